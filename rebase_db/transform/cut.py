"""Shortening a row that is too long for its prompt: the least relevant column first, and never more than is needed.

All ways to cut a row stand in one line, from the whole row to a stub of its best column: first every cell in turn is
shortened to a stub, then every column in turn is left out. Each takes more away than the one before, so the least that
fits is found by doubling what is kept and then halving the difference: the whole row is counted once, then a dozen or
two prompts no longer than twice what fits, however long the row is and however many columns it has.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.transform.teacher import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rebase_db.transform.teacher import SourceRow

STUB = 80
"""Characters of a cell that are kept before any other column is left out."""
_BACK = 40  # how far a cut goes back to end between two words
_FIRST_STEP = 1024  # characters beyond the stubs that are tried first
_CLOSE_ENOUGH = 4  # characters; cuts go back to a word's end anyway

_MOST_MARKS = 32  # more on one letter are no writing
_JOINER, _FIRST_TONE, _LAST_TONE = "\u200d", "\U0001f3fb", "\U0001f3ff"
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A row as it fits: its columns in source order, and what was shortened or left out."""

    columns: Mapping[str, str]
    cuts: Mapping[str, Cut]

    @property
    def marked(self) -> frozenset[str]:
        """The columns that are there and shortened."""
        return frozenset(self.cuts) & frozenset(self.columns)


def cutting_order(row: SourceRow) -> list[str]:
    """The row's columns, first to be cut first: of unknown relevance, the longest first; then the least relevant."""
    relevance = row.relevance or {}

    def key(column: str) -> tuple[bool, float, int]:
        return column in relevance, relevance.get(column, 0.0), -len(row.columns[column])

    return sorted(row.columns, key=key)


def cut_to_fit(row: SourceRow, fits: Callable[[Fitted], bool]) -> Fitted | None:
    """The row, cut as little as makes it fit; None when not even a stub of its best column does.

    Args:
        row: The row.
        fits: Whether a prompt with this row is short enough; called for the whole row, and only if that does not fit
            for cut ones.
    """
    whole = Fitted(dict(row.columns), {})
    if fits(whole):
        return whole
    order = cutting_order(row)
    removable = sum(_beyond_stub(row, column) for column in order)
    most = removable + max(len(order) - 1, 0)
    best = _cut(row, order, most)
    if not order or not fits(best):
        return None
    little, enough = 0, most  # the first does not fit, the second does
    more = _FIRST_STEP
    while little == 0 and more < most:
        tried = _cut(row, order, most - more)
        if fits(tried):
            enough, best = most - more, tried
        else:
            little = most - more
        more *= 2
    while enough - little > 1 and not (enough <= removable and enough - little <= _CLOSE_ENOUGH):
        middle = (little + enough) // 2
        tried = _cut(row, order, middle)
        if fits(tried):
            enough, best = middle, tried
        else:
            little = middle
    return best


def _beyond_stub(row: SourceRow, column: str) -> int:
    return max(len(row.columns[column]) - STUB, 0)


def _cut(row: SourceRow, order: list[str], amount: int) -> Fitted:
    """The row less `amount`: characters beyond the stubs, then columns, one each."""
    kept: dict[str, int] = {}
    for column in order:
        taken = min(amount, _beyond_stub(row, column))
        amount -= taken
        if taken:
            kept[column] = len(row.columns[column]) - taken
    left_out = frozenset(order[:amount])
    columns: dict[str, str] = {}
    cuts: dict[str, Cut] = {}
    for column, text in row.columns.items():
        if column in left_out:
            cuts[column] = Cut(0, len(text))
            continue
        columns[column] = shorten_cell(text, kept[column]) if column in kept else text
        if column in kept:
            cuts[column] = Cut(len(columns[column]), len(text))
    return Fitted(columns, cuts)


def shorten_cell(text: str, limit: int) -> str:
    """The first `limit` characters of a longer text, or fewer: up to the end of a word if one is near.

    Never ends inside what is read as one character: a letter and its marks, a flag, a joined emoji.
    """
    end = next((at for at in range(limit, max(limit - _BACK, 0), -1) if text[at].isspace()), limit)
    while end > 0 and text[end - 1].isspace():
        end -= 1
    end = end or limit
    whole = next((at for at in range(end, max(end - _MOST_MARKS, 0), -1) if not _inside_one(text, at)), end)
    return text[:whole]


def _inside_one(text: str, at: int) -> bool:
    """Whether the characters before and after `at` are read as one."""
    before, after = text[at - 1], text[at]
    if before in _FLAG_LETTERS and after in _FLAG_LETTERS:
        return (at - len(text[:at].rstrip(_FLAG_LETTERS))) % 2 == 1  # flags are pairs
    return (
        _JOINER in {before, after}
        or unicodedata.category(after).startswith("M")
        or _FIRST_TONE <= after <= _LAST_TONE
        or (before == "\r" and after == "\n")
    )
