"""Reads claimed links as source rows, with what a teacher needs of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.types import Text

from rebase_db.schema import Dataset, DatasetColumn, DatasetSplit, IngestColumn, RetrievalLink
from rebase_db.schema import SourceRow as SourceRowTable
from rebase_db.sql import named
from rebase_db.transform.teacher import SourceRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection


class RowReader:
    """Reads links' rows, their columns in the order the source has them; may be shared by threads."""

    def __init__(self) -> None:
        self._orders: dict[tuple[int, int, int], list[str]] = {}

    def read(self, connection: Connection, link_ids: Sequence[int], whole_row_bytes: int) -> list[SourceRow]:
        """The rows of these links, by link.

        Args:
            connection: The database.
            link_ids: Which links.
            whole_row_bytes: Longer rows (in UTF-8) come with the relevance of their columns, for they may be cut.
        """
        # Of the JSON's text, which is never shorter than its values.
        size = func.octet_length(SourceRowTable.content.cast(Text))
        found = connection.execute(
            select(
                RetrievalLink.link_id,
                SourceRowTable.dataset_id,
                SourceRowTable.ingest_id,
                SourceRowTable.split_id,
                Dataset.name,
                DatasetSplit.config,
                SourceRowTable.content,
                (size > whole_row_bytes).label("long"),
            )
            .join(
                SourceRowTable,
                (SourceRowTable.dataset_id == RetrievalLink.dataset_id)
                & (SourceRowTable.row_id == RetrievalLink.row_id),
            )
            .join(Dataset, Dataset.dataset_id == SourceRowTable.dataset_id)
            .join(
                DatasetSplit,
                (DatasetSplit.dataset_id == SourceRowTable.dataset_id)
                & (DatasetSplit.split_id == SourceRowTable.split_id),
            )
            # What was erased since it was claimed is no row any more.
            .where(RetrievalLink.link_id.in_(link_ids), SourceRowTable.erased_by.is_(None))
            .order_by(RetrievalLink.link_id)
        ).all()
        rows = [
            SourceRow(
                row.link_id,
                row.name,
                row.config,
                self._ordered(connection, (row.dataset_id, row.ingest_id, row.split_id), row.content),
            )
            for row in found
        ]
        relevance = _relevance(connection, [row.link_id for row in found if row.long])
        return [replace(row, relevance=relevance[row.link_id]) if row.link_id in relevance else row for row in rows]

    def _ordered(
        self, connection: Connection, load: tuple[int, int, int], content: Mapping[str, str]
    ) -> dict[str, str]:
        """Content in the order of the columns of its load: of a dataset, an ingest and a split."""
        order = self._orders.get(load)
        if order is None:
            order = self._orders[load] = list(
                connection.execute(
                    select(DatasetColumn.name)
                    .join(
                        IngestColumn,
                        (IngestColumn.dataset_id == DatasetColumn.dataset_id)
                        & (IngestColumn.column_id == DatasetColumn.column_id),
                    )
                    .where(tuple_(IngestColumn.dataset_id, IngestColumn.ingest_id, IngestColumn.split_id) == load)
                    .order_by(IngestColumn.position)
                ).scalars()
            )
        return {name: content[name] for name in order if name in content}


def _relevance(connection: Connection, link_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {link_id: {} for link_id in link_ids}
    if link_ids:
        for link_id, column, relevance in connection.execute(
            text(named("column_relevance")), {"link_ids": list(link_ids)}
        ):
            found[link_id][column] = relevance
    return found
