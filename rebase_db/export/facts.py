"""What an export says of a training set and of a run as a whole: read once, written by every format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from rebase_db.errors import UnknownNameError
from rebase_db.licence.duties import SetDuties, duties_of_run, duties_of_set
from rebase_db.licence.known import Licence, read_licence
from rebase_db.reference import find
from rebase_db.schema import TrainingRun
from rebase_db.sql import named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping


@dataclass(frozen=True, slots=True)
class Part:
    """A split of a dataset as one load read it, and how many of its rows are behind the set."""

    config: str
    split: str
    uri: str
    ingest_id: int
    revision: str
    rows: int


@dataclass(frozen=True, slots=True)
class Load:
    """A load of a dataset: when it was, and what it brought."""

    ingest_id: int
    created_at: dt.datetime
    code_version: str
    rows_added: int
    rows_unchanged: int
    rows_rejected: int


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset behind a set; a member made from several datasets counts for each."""

    dataset_id: int
    name: str
    uri: str
    description: str
    licence: Licence
    examples: int
    rows: int
    rows_retracted: int
    rows_erased: int
    parts: Sequence[Part]
    loads: Sequence[Load]

    @property
    def revisions(self) -> list[str]:
        """The revisions its rows were read in, each once."""
        return sorted({part.revision for part in self.parts})


@dataclass(frozen=True, slots=True)
class SetFacts:
    """A training set; hashes are 32 bytes, `teachers`, `checks`, `retractions`, `retrievals` rows of their queries.

    `sources` and all after it are of `examples` examples: its own, or all that a run has learned from.
    """

    training_set_id: int
    name: str
    size: int
    manifest_hash: bytes
    created_at: dt.datetime
    successor_of: str | None
    task: str
    task_version: int
    task_hash: bytes
    instruction: str
    labels: Sequence[str]
    examples: int
    sources: Sequence[Source]
    duties: SetDuties
    teachers: Sequence[RowMapping]
    checks: Sequence[RowMapping]
    retractions: Sequence[RowMapping]
    retrievals: Sequence[RowMapping]

    @property
    def rows_retracted(self) -> int:
        """Rows behind it that are retracted now."""
        return sum(source.rows_retracted for source in self.sources)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A training run, finished or not, and its scores as rows of their query; hashes are 32 bytes.

    `before` are the runs whose weights it started from, nearest first, as rows of their query.
    """

    training_run_id: int
    training_set_id: int
    state: str
    student: str
    base: str
    base_revision: str
    base_weights_hash: bytes
    hyperparameters: dict[str, Any]
    seed: int
    code_version: str
    run_key: bytes
    environment: dict[str, Any] | None
    artifact_path: str | None
    artifact_hash: bytes | None
    created_at: dt.datetime
    began_at: dt.datetime
    finished_at: dt.datetime | None
    scores: Sequence[RowMapping]
    before: Sequence[RowMapping]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported: a training set, and the run trained on it where a run was asked for.

    `learned` is the set with the sources, teachers and so on of all that the run has learned from; without a run, or
    where that started from its base model, it is the set.
    """

    training_set: SetFacts
    run: RunFacts | None
    learned: SetFacts

    @property
    def reference(self) -> str:
        """What it is called on the command line."""
        return f"set:{self.training_set.name}" if self.run is None else f"run:{self.run.training_run_id}"


def find_subject(connection: Connection, reference: str) -> Subject:
    """The subject that `set:NAME` or `run:NUMBER` means.

    Raises:
        UnknownNameError: It is no such reference, or there is no such set or run.
    """
    node = find(connection, reference, ("set", "run"))
    number = int(node.ids[0])
    if node.kind == "set":
        own = set_facts(connection, number)
        return Subject(own, None, own)
    run = run_facts(connection, number)
    own = set_facts(connection, run.training_set_id)
    return Subject(own, run, learned_facts(connection, own, run))


def need_run(connection: Connection, subject: Subject, form: str) -> RunFacts:
    """The finished run of a subject, for the forms that are about a model.

    Raises:
        UnknownNameError: The subject is a set, or the run has left no model.
    """
    run = subject.run
    if run is None:
        name = subject.training_set.name
        query = select(TrainingRun.training_run_id).where(
            TrainingRun.training_set_id == subject.training_set.training_set_id, TrainingRun.state == "done"
        )
        runs = connection.execute(query.order_by(TrainingRun.training_run_id)).scalars().all()
        known = f"Trained on it: {', '.join(f'run:{each}' for each in runs[-8:])}." if runs else "No run was trained."
        raise UnknownNameError(f"--as {form} is about a model, and set:{name} is none.", hint=known)
    if run.artifact_hash is None:
        raise UnknownNameError(
            f"Run {run.training_run_id} is {run.state} and has left no model.",
            hint="`rebase status` shows how far it is.",
        )
    return run


def set_facts(connection: Connection, training_set_id: int) -> SetFacts:
    """What the database knows of a training set."""
    asked = {"training_set_id": training_set_id}
    own = connection.execute(text(named("export_set")), asked).mappings().one()
    behind = _behind(connection, [training_set_id], duties_of_set(connection, training_set_id))
    return SetFacts(
        **{key: value for key, value in own.items() if key != "labels"}, labels=own["labels"] or [], **behind
    )


def learned_facts(connection: Connection, own: SetFacts, run: RunFacts) -> SetFacts:
    """The facts of a run's set, with what is behind all that it has learned from."""
    if not run.before:
        return own
    set_ids = [own.training_set_id, *(each["training_set_id"] for each in run.before)]
    return replace(own, **_behind(connection, set_ids, duties_of_run(connection, run.training_run_id)))


def _behind(connection: Connection, training_set_ids: Sequence[int], duties: SetDuties) -> dict[str, Any]:
    """What the members of some sets come from, under names of `SetFacts`; an example in several counts once."""

    def rows(name: str) -> Sequence[RowMapping]:
        return connection.execute(text(named(name)), {"training_set_ids": training_set_ids}).mappings().all()

    examples = {source.dataset: source.examples for source in duties.sources}
    return {
        "examples": duties.size,
        "sources": _sources(rows("export_sources"), examples),
        "duties": duties,
        "teachers": rows("export_teachers"),
        "checks": rows("export_checks"),
        "retractions": rows("export_retractions"),
        "retrievals": rows("export_retrievals"),
    }


def run_facts(connection: Connection, training_run_id: int) -> RunFacts:
    """What the database knows of a training run."""
    asked = {"training_run_id": training_run_id}
    run = connection.execute(text(named("export_run")), asked).mappings().one()
    scores, before = (
        connection.execute(text(named(name)), asked).mappings().all() for name in ("export_scores", "export_before")
    )
    return RunFacts(**run, scores=scores, before=before)


def _sources(rows: Sequence[RowMapping], examples: dict[str, int]) -> list[Source]:
    """A source a dataset, most examples first, from a row for each split and load of it."""
    found = []
    for name, group in groupby(rows, key=lambda row: str(row["dataset"])):
        lines = list(group)
        loads = {
            line["ingest_id"]: Load(
                line["ingest_id"],
                line["ingested_at"],
                line["code_version"],
                *(
                    sum(each[count] for each in lines if each["ingest_id"] == line["ingest_id"])
                    for count in ("rows_added", "rows_unchanged", "rows_rejected")
                ),
            )
            for line in lines
        }
        first = lines[0]
        parts = [
            Part(
                line["config"],
                line["split"],
                line["split_uri"],
                line["ingest_id"],
                line["revision"],
                line["rows_used"],
            )
            for line in lines
        ]
        found.append(
            Source(
                dataset_id=first["dataset_id"],
                name=name,
                uri=first["uri"],
                description=first["description"] or "",
                licence=read_licence(first["licence"]),
                examples=examples[name],
                rows=sum(part.rows for part in parts),
                rows_retracted=sum(line["rows_retracted"] for line in lines),
                rows_erased=sum(line["rows_erased"] for line in lines),
                parts=parts,
                loads=[loads[key] for key in sorted(loads)],
            )
        )
    return sorted(found, key=lambda source: (-source.examples, source.name))
