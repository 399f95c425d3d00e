"""What another ranking of a task, or another cut of its checks, would change against the present one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.errors import RebaseError
from rebase_db.retrieve.run import rank_for
from rebase_db.retrieve.snapshot import stored_candidates
from rebase_db.schema import Dataset
from rebase_db.sql import named
from rebase_db.task.store import find_task
from rebase_db.what_if.difference import Difference, Entrants, Moved, Part, Side
from rebase_db.what_if.options import Options, ask, settings_for
from rebase_db.what_if.present import links_of, present_request
from rebase_db.what_if.selection import select_examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Lane
    from rebase_db.retrieve.run import Request
    from rebase_db.task.file import Retrieve, TaskFile
    from rebase_db.what_if.present import Link, RowKey
    from rebase_db.what_if.selection import Selection


@dataclass(frozen=True, slots=True)
class Averages:
    """What a call of a task took so far; None where that is not known."""

    prompt_tokens: Decimal | None
    completion_tokens: Decimal | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The difference, and how it is made permanent: the lane, and the task file's keys that ask for it."""

    difference: Difference
    lane: Lane
    settings: Retrieve


def what_if(engine: Engine, file: TaskFile, changed: TaskFile, options: Options) -> Asked:
    """What a ranking by other options would change, and other checks: those of `changed`.

    Raises:
        TaskError: An option has a value that it cannot have.
        UnknownNameError: No dataset has a name or licence.
        RebaseError: The task has no ranking yet.
    """
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        task = find_task(connection, file.name)
        present = present_request(connection, task)
        request = ask(connection, present, options)
        settings = settings_for(connection, file.retrieve, request, options)
        lane = present.task_version_id, present.encoder_id
        rows = stored_candidates(connection, *lane)
        links = links_of(connection, present)
        to_score = connection.execute(text(named("rows_to_score"))).scalar_one()
        asked = {"task_version_id": lane[0], "encoder_id": lane[1]}
        averages = Averages(*connection.execute(text(named("call_averages")), asked).one())
        datasets = {
            dataset_id: (name, licence)
            for dataset_id, name, licence in connection.execute(
                select(Dataset.dataset_id, Dataset.name, Dataset.licence)
            )
        }
    ranking = rank_for(request, rows)
    keys = zip(rows.dataset_ids[ranking.chosen].tolist(), rows.row_ids[ranking.chosen].tolist(), strict=True)
    after = dict(zip(keys, ranking.scores.tolist(), strict=True))
    standing = sorted(((key, link) for key, link in links.items() if link.present), key=lambda each: each[1].rank)
    before = {key: link.score for key, link in standing}
    entering, leaving = [key for key in after if key not in before], [key for key in before if key not in after]
    now = select_examples(engine, file, lane, [link for _, link in standing])
    then = select_examples(engine, changed, lane, [links.get(key) for key in after])
    names = {dataset_id: name for dataset_id, (name, _) in datasets.items()}
    licences = {dataset_id: licence or "unknown" for dataset_id, (_, licence) in datasets.items()}
    difference = Difference(
        task=task.name,
        version=task.version,
        present=_side(present, names, before, now, file),
        then=_side(request, names, after, then, changed),
        staying=len(after) - len(entering),
        entering=len(entering),
        leaving=len(leaving),
        entrants=_entrants([links.get(key) for key in entering], then, file, averages),
        datasets=_parts(names, before, after),
        licences=_parts(licences, before, after),
        unscored=max(0, to_score - len(rows.row_ids)),
        rows=_moved(engine, names, (entering, after), (leaving, before)),
    )
    return Asked(difference, lane, settings)


def _side(
    request: Request, names: Mapping[int, str], ranked: Mapping[RowKey, float], chosen: Selection, file: TaskFile
) -> Side:
    return Side(
        top_n=request.top_n,
        scoring=request.scoring,
        weights=request.weights,
        mirrors=request.mirrors,
        max_share=request.max_share,
        excluded=sorted(names[dataset_id] for dataset_id in request.excluded),
        rows=len(ranked),
        cutoff_score=list(ranked.values())[-1] if ranked else None,
        examples=len(chosen.outputs),
        labels=chosen.labels(file),
        kept_out=chosen.kept_out,
        unsaid=chosen.unsaid,
    )


def _entrants(links: Sequence[Link | None], then: Selection, file: TaskFile, averages: Averages) -> Entrants:
    kinds = Counter(_kind(link, then) for link in links)
    to_ask = kinds["to_ask"]
    if file.teacher is not None and file.teacher.provider == "template":
        averages = Averages(Decimal(0), Decimal(0), Decimal(0))
    prompt, completion, cost = averages.prompt_tokens, averages.completion_tokens, averages.cost
    return Entrants(
        accepted=kinds["accepted"],
        kept_out=kinds["kept_out"],
        rejected=kinds["rejected"],
        failed=kinds["failed"],
        to_ask=to_ask,
        prompt_tokens=None if prompt is None else round(prompt * to_ask),
        completion_tokens=None if completion is None else round(completion * to_ask),
        cost=None if cost is None else cost * to_ask,
    )


def _kind(link: Link | None, then: Selection) -> str:
    if link is None or link.state in {"retrieved", "transforming"}:
        return "to_ask"
    if link.example_id is not None:
        return "accepted" if link.example_id in then.outputs else "kept_out"
    return "rejected" if link.state == "rejected" else "failed"


def _parts(names: Mapping[int, str], before: Iterable[RowKey], after: Iterable[RowKey]) -> list[Part]:
    was, will = dict.fromkeys(before), dict.fromkeys(after)
    counts = [
        Counter(names[dataset_id] for dataset_id, _ in keys)
        for keys in (was, will, (key for key in will if key not in was), (key for key in was if key not in will))
    ]
    found = [Part(name, *(count[name] for count in counts)) for name in {*counts[0], *counts[1]}]
    return sorted(found, key=lambda part: (-abs(part.after - part.before), -part.after, part.name))


def _moved(
    engine: Engine,
    names: Mapping[int, str],
    entering: tuple[Sequence[RowKey], Mapping[RowKey, float]],
    leaving: tuple[Sequence[RowKey], Mapping[RowKey, float]],
) -> list[Moved]:
    keys = [*entering[0], *leaving[0]]
    with engine.connect() as connection:
        places = _places(connection, keys)
    found = []
    for there, (moved, ranked) in ((True, entering), (False, leaving)):
        ranks = {key: rank for rank, key in enumerate(ranked, 1)}
        found += [
            Moved(
                names[key[0]],
                *places[key],
                ranks[key] if there else None,
                None if there else ranks[key],
                ranked[key],
                *key,
            )
            for key in moved
        ]
    return found


def _places(connection: Connection, keys: Sequence[RowKey]) -> dict[RowKey, tuple[str, str, int]]:
    asked = {"dataset_ids": [key[0] for key in keys], "row_ids": [key[1] for key in keys]}
    rows = connection.execute(text(named("row_places")), asked)
    return {(dataset_id, row_id): (config, split, index) for dataset_id, row_id, config, split, index in rows}


def refuse_other_lane(asked: Asked, task: str, lane: Lane) -> None:
    """Refuse to apply what was answered for another version or encoder than the task has now.

    Raises:
        RebaseError: The present ranking is not of that version or encoder.
    """
    if asked.lane != lane:
        raise RebaseError(
            f"The present ranking of task {task!r} is of another version, or of another encoder than its file names.",
            hint=f"`rebase retrieve {task}` makes the one that the file asks for.",
        )
