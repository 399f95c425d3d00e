"""Content hashes of records that are many: texts, rows with their cells, examples. Recomputed in the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.verify.read import named_lies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from rebase_db.verify.lie import Lie


def check_texts(connection: Connection) -> Iterator[Lie]:
    """`text.sha256`."""
    return named_lies(connection, "verify_texts")


def check_rows(connection: Connection) -> Iterator[Lie]:
    """`source_row.content_hash`."""
    return named_lies(connection, "verify_row_hashes")


def check_cells(connection: Connection) -> Iterator[Lie]:
    """Whether a row's cells, by the columns and texts they refer to, are its content."""
    return named_lies(connection, "verify_cells")


def check_examples(connection: Connection) -> Iterator[Lie]:
    """`example.content_hash`, and `published_example.content_hash`."""
    return named_lies(connection, "verify_example_hashes")
