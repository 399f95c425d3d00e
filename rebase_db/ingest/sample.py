"""The even stride over a split: which rows `--max-rows` reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Stride:
    """`count` of `total` rows, evenly spread: row i of the sample is row `i * total // count` of the split."""

    total: int
    count: int

    def within(self, start: int, stop: int) -> Sequence[int]:
        """The sampled rows r with `start <= r < stop`, ascending."""
        if self.count == self.total:
            return range(start, min(stop, self.total))
        # i * total // count >= row  <=>  i * total >= row * count
        first, end = (min(self.count, -(-row * self.count // self.total)) for row in (start, stop))
        return [i * self.total // self.count for i in range(first, end)]

    def __contains__(self, row: int) -> bool:
        return self.count == self.total or len(self.within(row, row + 1)) == 1


def stride(total: int, max_rows: int | None) -> Stride:
    """The sample of at most `max_rows` of `total` rows; None reads them all."""
    return Stride(total, total if max_rows is None else min(total, max_rows))


def check_max_rows(max_rows: int | None) -> None:
    """Raise SourceError for a sample of no rows."""
    if max_rows is not None and max_rows < 1:
        raise SourceError(f"A sample of {max_rows} rows holds nothing.", hint="Give --max-rows 1 or more.")
