"""The examples of a task as they are now, and what checks have said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from rebase_db.check.duplicates import Elsewhere, Ranked
from rebase_db.check.normal import repeat_key
from rebase_db.schema import Cell, Example, RetrievalLink, SourceRow, TextValue
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.queue import Lane


@dataclass(frozen=True, slots=True)
class CurrentExample:
    """An example of the present ranking; `state` and `error` are its link's."""

    example_id: int
    link_id: int
    rank: int
    state: str
    input: str
    output: str
    rationale: str | None
    error: str | None

    @property
    def kept_out_by(self) -> str | None:
        """The check that keeps it out, as was decided last."""
        return self.error.partition(":")[0] if self.state == "rejected" and self.error is not None else None

    @property
    def ranked(self) -> Ranked:
        """As it is compared with others."""
        return Ranked(self.example_id, self.rank, self.input, self.output)


@dataclass(frozen=True, slots=True)
class NewestResult:
    """What a check of a name said last, and by which definition."""

    content_hash: bytes
    verdict: str
    other_example_id: int | None


def current_examples(connection: Connection, lane: Lane) -> list[CurrentExample]:
    """The examples of a lane, best ranked first."""
    found = connection.execute(text(named("current_examples")), {"task_version_id": lane[0], "encoder_id": lane[1]})
    return [CurrentExample(*row) for row in found]


def newest_results(connection: Connection, example_ids: Sequence[int]) -> dict[int, dict[str, NewestResult]]:
    """By example and name of the check."""
    found: dict[int, dict[str, NewestResult]] = {example_id: {} for example_id in example_ids}
    for example_id, name, content_hash, verdict, other in connection.execute(
        text(named("newest_results")), {"example_ids": list(example_ids)}
    ):
        found[example_id][name] = NewestResult(bytes(content_hash), verdict, other)
    return found


def source_rows(connection: Connection, example_ids: Sequence[int]) -> dict[int, Mapping[str, str]]:
    """The columns of the row that each example was made from."""
    rows = connection.execute(
        select(Example.example_id, SourceRow.content)
        .join(RetrievalLink, RetrievalLink.link_id == Example.link_id)
        .join(
            SourceRow,
            (SourceRow.dataset_id == RetrievalLink.dataset_id) & (SourceRow.row_id == RetrievalLink.row_id),
        )
        .where(Example.example_id.in_(example_ids))
    )
    return dict(rows.all())


def source_cells(connection: Connection, example_ids: Sequence[int]) -> dict[int, str]:
    """Of the row that each example was made from the cell that won its input score."""
    rows = connection.execute(
        select(Example.example_id, TextValue.text)
        .join(RetrievalLink, RetrievalLink.link_id == Example.link_id)
        .join(
            Cell,
            (Cell.dataset_id == RetrievalLink.dataset_id)
            & (Cell.row_id == RetrievalLink.row_id)
            & (Cell.column_id == RetrievalLink.input_column_id),
        )
        .join(TextValue, (TextValue.dataset_id == Cell.dataset_id) & (TextValue.text_id == Cell.text_id))
        .where(Example.example_id.in_(example_ids), TextValue.text.is_not(None))
    )
    return {example_id: cell for example_id, cell in rows if cell is not None}


def examples_elsewhere(connection: Connection, task_version_id: int) -> list[Elsewhere]:
    """The examples of other tasks."""
    found = connection.execute(text(named("examples_elsewhere")), {"task_version_id": task_version_id})
    return [Elsewhere(task, example_id, repeat_key(text_)) for task, example_id, text_ in found]
