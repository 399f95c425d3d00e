"""Sources in parts: each load of a dataset has the rows of the loads before, and more."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from rebase_db.ingest.source import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rebase_db.ingest.source import RejectedRow, SourceDataset, Split


def part_of(source: SourceDataset, share: float, seed: int = 0) -> SourceDataset | None:
    """A dataset with a random share of its rows; None where that is none. A larger share has those of a smaller one."""
    splits = []
    for split in source.splits:
        chosen = _chosen(source, split, share, seed)
        if any(batch.source_index for batch in map(chosen, split.batches())):
            splits.append(_with_rows(split, f"{split.revision}:{share}", chosen))
    return replace(source, splits=splits) if splits else None


def _chosen(source: SourceDataset, split: Split, share: float, seed: int) -> Callable[[Batch], Batch]:
    def of(batch: Batch) -> Batch:
        places = [
            place
            for place, index in enumerate(batch.source_index)
            if random.Random(f"{seed} {source.name} {split.config} {split.split} {index}").random() < share  # noqa: S311
        ]
        return Batch(
            [batch.source_index[place] for place in places],
            [batch.source_key[place] for place in places],
            [[cells[place] for place in places] for cells in batch.cells],
        )

    return of


def _with_rows(split: Split, revision: str, chosen: Callable[[Batch], Batch]) -> Split:
    whole = split.read

    def read(rejected: list[RejectedRow]) -> Iterator[Batch]:
        return map(chosen, whole(rejected))

    return replace(split, revision=revision, read=read)
