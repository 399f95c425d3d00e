"""What a retraction names, and the rows that this covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import column, func, insert, select, table, text
from sqlalchemy.types import Integer

from rebase_db.errors import UnknownNameError
from rebase_db.hashing import text_hash
from rebase_db.reference import Reference, datasets_under, find, resolve
from rebase_db.schema import Cell, Dataset, TextValue
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

covered_row = table("covered_row", column("dataset_id", Integer), column("row_id", Integer))


@dataclass(frozen=True, slots=True)
class Target:
    """What is withdrawn.

    Attributes:
        kind: `dataset`, `row`, `licence` or `text`.
        name: As it is written down: a dataset's name, a row's reference without its kind, a licence, or of a text its
            SHA-256 in hex; the text itself is not kept.
        dataset_ids: The datasets that are withdrawn whole, with all that might be loaded into them.
        row: The row, of that kind.
    """

    kind: str
    name: str
    dataset_ids: tuple[int, ...] = ()
    row: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"the text with SHA-256 {self.name[:12]}…" if self.kind == "text" else f"{self.kind} {self.name!r}"


def find_target(connection: Connection, kind: str, said: str) -> Target:
    """What a kind and a name, a row's reference, a licence or a text mean.

    Raises:
        UnknownNameError: There is no such thing in the database; the hint says what there is.
    """
    if kind == "text":
        return _text(connection, said)
    if kind == "dataset":
        (dataset_id,) = resolve(connection, Reference("dataset", said.removeprefix("dataset:"))).ids
        return Target(kind, said.removeprefix("dataset:"), (int(dataset_id),))
    if kind == "licence":
        (licence,) = resolve(connection, Reference("licence", said.removeprefix("licence:"))).ids
        return Target(kind, str(licence), datasets_under(connection, str(licence)))
    node = find(connection, said if said.startswith("row:") else f"row:{said}", ["row"])
    dataset_id, row_id = node.ids  # type: ignore[misc]
    return Target(kind, node.reference.key, row=(int(dataset_id), int(row_id)))


def _text(connection: Connection, said: str) -> Target:
    digest = text_hash(said)
    held = (
        select(Cell.row_id)
        .join(TextValue, (TextValue.dataset_id == Cell.dataset_id) & (TextValue.text_id == Cell.text_id))
        .join(Dataset, Dataset.dataset_id == TextValue.dataset_id)
        .where(TextValue.sha256 == digest)
    )
    if connection.execute(held.limit(1)).first() is None:
        raise UnknownNameError(
            "No row has a cell that is exactly this text.",
            hint="Spaces, line ends and case count; a text is read as it stands, from standard input with `-`.",
        )
    return Target("text", digest.hex())


def cover(connection: Connection, target: Target, *, mirrors: bool) -> None:
    """Fill the work tables with what a target covers now; with `mirrors` also the rows with the same content."""
    _clear(connection)
    if target.dataset_ids:
        connection.execute(text(named("cover_datasets")), {"dataset_ids": list(target.dataset_ids)})
    if target.row is not None:
        connection.execute(insert(covered_row).values(dataset_id=target.row[0], row_id=target.row[1]))
    if target.kind == "text":
        connection.execute(text(named("cover_text")), {"digest": bytes.fromhex(target.name)})
    if mirrors:
        connection.execute(text("ANALYZE covered_row"))
        connection.execute(text(named("cover_mirrors")))
    _cover_rest(connection, target.dataset_ids)


def cover_again(connection: Connection, retraction_id: int, dataset_ids: Sequence[int]) -> None:
    """Fill the work tables with what a retraction on record covers; `dataset_ids` are those it withdrew whole."""
    cover_rows_again(connection, retraction_id)
    _cover_rest(connection, dataset_ids)


def cover_rows_again(connection: Connection, retraction_id: int) -> None:
    """The same, but for what was made of the rows and their texts, which takes longest."""
    _clear(connection)
    connection.execute(text(named("cover_retracted")), {"retraction_id": retraction_id})
    connection.execute(text("ANALYZE covered_row"))


def covered(connection: Connection) -> int:
    """How many rows the work tables hold."""
    return connection.execute(select(func.count()).select_from(covered_row)).scalar_one()


def _clear(connection: Connection) -> None:
    connection.exec_driver_sql(named("retraction_tables"))


def _cover_rest(connection: Connection, dataset_ids: Sequence[int]) -> None:
    # The planner knows nothing of a table that was just filled, and nobody else analyses temporary ones.
    connection.execute(text("ANALYZE covered_row"))
    connection.execute(text(named("cover_examples")))
    connection.execute(text("ANALYZE covered_example"))
    connection.execute(text(named("cover_texts")), {"dataset_ids": list(dataset_ids)})
    connection.execute(text("ANALYZE covered_text"))
