"""What one load did to one dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rebase_db.ingest.source import RejectedRow


@dataclass(frozen=True, slots=True)
class ChangedColumn:
    """A column that a split has otherwise than in the load before.

    `before` and `after` are its types at the source, or why it was left out; None where the split has no such column.
    """

    config: str
    split: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"column {self.name!r} appeared ({self.after})"
        if self.after is None:
            return f"column {self.name!r} vanished (it was {self.before})"
        return f"column {self.name!r} was {self.before}, is {self.after}"


@dataclass(slots=True)
class Receipt:
    """What one load did to one dataset. Nothing is added when the source was in already.

    Every row that was read is added, changed, unchanged or rejected. `rows_removed` are those the source has no more,
    besides those that changed; `rows_unseen` those that a sample did not have, which stay. `rows_retracted` of the
    added and changed ones are covered by a retraction of the row they stand for. `ingest_id` is 0 where nothing is on
    record, because nothing changed; `match_by` is how rows were matched, None where there was nothing to match.
    """

    dataset: str
    dataset_id: int = 0
    ingest_id: int = 0
    match_by: str | None = None
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    rows_unchanged: int = 0
    rows_unseen: int = 0
    rows_retracted: int = 0
    texts_added: int = 0
    cells_added: int = 0
    splits: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    changed_columns: list[ChangedColumn] = field(default_factory=list)

    @property
    def rows_brought(self) -> int:
        """New rows of the database: added ones and what changed ones have become."""
        return self.rows_added + self.rows_changed

    @property
    def changes_something(self) -> bool:
        """Whether the load is to be on record."""
        return bool(self.rows_brought or self.rows_removed or self.changed_columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)
