"""What is known of the rows that outputs may come from: their own content, or the cells a ranking states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.hashing import text_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rebase_db.audit.published import RankedRow
    from rebase_db.audit.rows import Row, RowId


def candidate_texts(
    ranking: Sequence[RankedRow], ids: Sequence[RowId | None], contents: Mapping[RowId, Row]
) -> list[list[str]]:
    """The texts of each candidate: of its row, or where that is not known of the cells the ranking states."""
    stated = [one.cells for one in ranking] if len(ranking) == len(ids) else [(None, None)] * len(ids)
    texts: list[list[str]] = []
    for row, cells in zip(ids, stated, strict=True):
        content = contents.get(row) if row is not None else None
        if content is not None and not content.erased:
            texts.append(list(content.content.values()))
        else:
            texts.append([cell for cell in cells if cell] if row is None else [])
    return texts


def cell_columns(one: RankedRow, row: Row) -> dict[str, str | None]:
    """Which column of the row holds the best cell that is stated; None where none does."""
    found: dict[str, str | None] = {}
    for name, cell in zip(("input_column", "output_column"), one.cells, strict=True):
        if cell is not None and not row.erased:
            found[name] = next((column for column, text in row.content.items() if text == cell), None)
    return found


def cell_hashes(one: RankedRow) -> dict[str, str]:
    """The SHA-256 of the best cells that are stated, for a row that is not in the database.

    Not the cells: words of a row are kept with the row, where they can be erased.
    """
    names = ("input_sha256", "output_sha256")
    return {name: text_hash(cell).hex() for name, cell in zip(names, one.cells, strict=True) if cell is not None}
