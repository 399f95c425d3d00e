"""The duties that travel with examples: the union over every source row behind them, through their parents too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.licence.duty import Duty, in_order
from rebase_db.licence.known import Licence, read_licence
from rebase_db.schema import Dataset, TrainingSetMix
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class LicensedSource:
    """A dataset behind a training set: what it states of its licence, and how many members come from it."""

    dataset: str
    licence: Licence
    examples: int


@dataclass(frozen=True, slots=True)
class SetDuties:
    """What the licences behind a training set ask.

    Args:
        size: Members.
        sources: The datasets behind them, most members first; a member made from several counts for each.
        examples: How many members are under each duty, from light to heavy; without duties that none is under.
        free: Members without any duty: all their sources are in the public domain.
    """

    size: int
    sources: Sequence[LicensedSource]
    examples: Mapping[Duty, int]
    free: int


def duties_of_examples(connection: Connection, example_ids: Sequence[int]) -> dict[int, frozenset[Duty]]:
    """Of each example that is there the union of the duties of all rows behind it; one statement for all of them."""
    found: dict[int, frozenset[Duty]] = {}
    rows = connection.execute(text(named("licences_of_examples")), {"example_ids": list(example_ids)})
    for example_id, licence in rows:
        found[example_id] = found.get(example_id, frozenset()) | read_licence(licence).duties
    return found


def duties_of_set(connection: Connection, training_set_id: int) -> SetDuties:
    """Of a training set, and so of the runs trained on it alone, the duties of its members; two statements."""
    mixes = connection.execute(
        select(TrainingSetMix.dataset_ids, TrainingSetMix.examples).where(
            TrainingSetMix.training_set_id == training_set_id
        )
    ).all()
    return _duties(connection, [(list(ids), examples) for ids, examples in mixes])


def duties_of_run(connection: Connection, training_run_id: int) -> SetDuties:
    """The duties of all that a run has learned from, also by the runs whose weights it started from."""
    mixes = connection.execute(text(named("mixes_of_run")), {"training_run_id": training_run_id}).all()
    return _duties(connection, [(list(ids), examples) for ids, examples in mixes])


def _duties(connection: Connection, mixes: Sequence[tuple[list[int], int]]) -> SetDuties:
    ids = {each for dataset_ids, _ in mixes for each in dataset_ids}
    columns = (Dataset.dataset_id, Dataset.name, Dataset.licence)
    rows = connection.execute(select(*columns).where(Dataset.dataset_id.in_(ids)))
    datasets = {row.dataset_id: (row.name, read_licence(row.licence)) for row in rows}
    by_dataset = dict.fromkeys(ids, 0)
    by_duty = dict.fromkeys(Duty, 0)
    free = 0
    for dataset_ids, examples in mixes:
        duties = frozenset[Duty]().union(*(datasets[each][1].duties for each in dataset_ids))
        free += 0 if duties else examples
        for each in dataset_ids:
            by_dataset[each] += examples
        for duty in duties:
            by_duty[duty] += examples
    sources = [LicensedSource(*datasets[each], examples) for each, examples in by_dataset.items()]
    return SetDuties(
        size=sum(examples for _, examples in mixes),
        sources=sorted(sources, key=lambda source: (-source.examples, source.dataset)),
        examples={duty: by_duty[duty] for duty in in_order(by_duty) if by_duty[duty]},
        free=free,
    )
