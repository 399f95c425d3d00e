"""What an import of published data did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt

    from rebase_db.ingest.receipt import Receipt
    from rebase_db.ingest.source import RejectedRow


@dataclass(slots=True)
class ImportReceipt:
    """What one import did.

    Args:
        publication: Its name.
        publication_id: Its number.
        created_at: Since when it is there.
        known: Whether the same files had been imported for the task before; then nothing was added.
        ranked: Places of the ranking.
        ranked_rows: Those whose row is in the database.
        other_cells: Rows of these that do not hold the best cells their publisher states.
        unresolved: Keys without a row by dataset, most first.
        examples: Examples.
        stated: Those whose publisher names a row that is in the database.
        unknown: Those whose reference leads to no row in the database; it is kept.
        placed: Those with a guess that is more likely than not, by method.
        unplaced: Those with neither.
        order: How likely it is that examples and ranking have one order; None where that was not looked at.
        datasets: What was loaded of the rows in the directory.
        rejected: What was left out.
    """

    publication: str
    publication_id: int
    created_at: dt.datetime
    known: bool = False
    ranked: int = 0
    ranked_rows: int = 0
    other_cells: int = 0
    unresolved: dict[str, int] = field(default_factory=dict)
    examples: int = 0
    stated: int = 0
    unknown: int = 0
    placed: dict[str, int] = field(default_factory=dict)
    unplaced: int = 0
    order: float | None = None
    datasets: list[Receipt] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON but for the time."""
        return asdict(self)
