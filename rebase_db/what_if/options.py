"""What a user asks to be otherwise, held against what there is: as a request for a ranking, as a task file's keys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from rebase_db.errors import TaskError, UnknownNameError, did_you_mean
from rebase_db.licence.known import is_known, read_licence
from rebase_db.retrieve.options import datasets_named, plain_share, plain_weights, states
from rebase_db.retrieve.rank import AVERAGE_SCORE
from rebase_db.schema import Dataset
from rebase_db.task.file import MOST_WEIGHT, Retrieve, Weights

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from rebase_db.retrieve.run import Request

Scoring = Literal["average-score", "average-rank", "max-rank"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be otherwise; None is as in the present ranking.

    Datasets (globs on names) and licences (or duties) of `exclude_…` are left out besides those that are left out now;
    of these, datasets of `include_datasets` come back.
    """

    top_n: int | None = None
    scoring: Scoring | None = None
    input_weight: float | None = None
    output_weight: float | None = None
    dataset_weight: float | None = None
    max_share: float | None = None
    mirrors: Literal["first", "all"] | None = None
    exclude_datasets: tuple[str, ...] = ()
    exclude_licences: tuple[str, ...] = ()
    include_datasets: tuple[str, ...] = ()


def ask(connection: Connection, present: Request, options: Options) -> Request:
    """The present ranking's request, but for what is asked to be otherwise.

    Raises:
        TaskError: A weight or share is none.
        UnknownNameError: No dataset has a name or licence.
    """
    share = options.max_share
    if share is not None and not 0 < share <= 1:
        raise TaskError(
            f"A largest share of {share:g} is none.",
            hint="It is a part of the ranking: above 0, and 1 for no limit.",
        )
    scoring = options.scoring or present.scoring
    return replace(
        present,
        top_n=present.top_n if options.top_n is None else options.top_n,
        scoring=scoring,
        mirrors=options.mirrors or present.mirrors,
        excluded=_excluded(connection, present.excluded, options),
        weights=_weights(present, options, scoring),
        max_share=present.max_share if share is None else plain_share(share),
    )


def _weights(present: Request, options: Options, scoring: str) -> tuple[float, float, float] | None:
    given = options.input_weight, options.output_weight, options.dataset_weight
    if scoring != AVERAGE_SCORE:
        if any(weight is not None for weight in given):
            raise TaskError(
                f"Scoring {scoring} uses no weights.", hint=f"Ask for --scoring {AVERAGE_SCORE} too, or give none."
            )
        return None
    before = present.weights or (1.0, 1.0, 1.0)
    first, second, third = (old if new is None else new for new, old in zip(given, before, strict=True))
    for name, weight in (("input", first), ("output", second), ("dataset", third)):
        if not (math.isfinite(weight) and 0 <= weight <= MOST_WEIGHT):
            raise TaskError(f"The {name} score cannot weigh {weight:g}.", hint=f"Weights are from 0 to {MOST_WEIGHT}.")
    if not first + second + third:
        raise TaskError("The weights are all zero, so nothing would count.", hint="Give one of them more.")
    return None if plain_weights((first, second, third)) is None else (first, second, third)


def _excluded(connection: Connection, before: frozenset[int], options: Options) -> frozenset[int]:
    datasets = {
        name: (dataset_id, licence)
        for dataset_id, name, licence in connection.execute(select(Dataset.dataset_id, Dataset.name, Dataset.licence))
    }
    for glob in (*options.exclude_datasets, *options.include_datasets):
        if not any(fnmatchcase(name, glob) for name in datasets):
            raise UnknownNameError(f"There is no dataset {glob!r}.", hint=did_you_mean(glob, list(datasets)))
    for name in options.exclude_licences:
        if not any(states(licence, [name]) for _, licence in datasets.values()):
            raise UnknownNameError(
                f"No dataset has a licence or duty {name!r}.", hint=_known_licences(name, datasets.values())
            )
    included = _matching(datasets, options.include_datasets)
    added = datasets_named(connection, options.exclude_datasets, options.exclude_licences)
    return (before - included) | frozenset(added)


def _known_licences(name: str, datasets: Collection[tuple[int, str | None]]) -> str:
    licences = [read_licence(licence) for _, licence in datasets]
    return did_you_mean(name, sorted({part for each in licences for part in (*each.ids, *each.duties)}))


def _matching(datasets: dict[str, tuple[int, str | None]], globs: Sequence[str]) -> frozenset[int]:
    return frozenset(
        dataset_id for name, (dataset_id, _) in datasets.items() if any(fnmatchcase(name, glob) for glob in globs)
    )


def settings_for(connection: Connection, now: Retrieve, request: Request, options: Options) -> Retrieve:
    """The `retrieve` keys of a task file that ask for a ranking: its own as far as they go.

    Datasets that are left out are named as they were asked for where that comes to the same, else one by one.
    """
    globs = dict.fromkeys((*now.exclude_datasets, *options.exclude_datasets))
    licences = dict.fromkeys((*now.exclude_licences, *filter(is_known, options.exclude_licences)))
    if frozenset(datasets_named(connection, globs, licences)) != request.excluded:
        named = select(Dataset.name).where(Dataset.dataset_id.in_(request.excluded)).order_by(Dataset.name)
        # Letters that are more than themselves in a glob, each in brackets.
        plain = str.maketrans({letter: f"[{letter}]" for letter in "*?["})
        globs = dict.fromkeys(name.translate(plain) for name in connection.execute(named).scalars())
        licences = {}
    first, second, third = request.weights or (1.0, 1.0, 1.0)
    return Retrieve(
        encoder=now.encoder,
        top_n=request.top_n,
        scoring=request.scoring,  # type: ignore[arg-type]
        weights=Weights(input=first, output=second, dataset=third),
        exclude_datasets=tuple(globs),
        exclude_licences=tuple(licences),
        mirrors=request.mirrors,  # type: ignore[arg-type]
        max_share=request.max_share or 1,
    )
