"""What the database cannot hold of a dataset beside its cells: said before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.errors import SourceError
from rebase_db.ingest.values import text_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.ingest.source import SourceDataset

MAX_NAME_BYTES = 1_000
"""Names are indexed, a config with its split, and an entry of a B-tree ends at about 2,700 bytes."""
MAX_NUMBERED = 32_767
"""Columns and splits are numbered within their dataset in 16 bits."""


def check_names(source: SourceDataset) -> None:
    """Refuse texts and names of a dataset that cannot be stored.

    Raises:
        SourceError: One is no proper text, or a name is too long.
    """
    for what, text in _texts(source):
        if fault := text_fault(text):
            raise SourceError(f"{source.uri}: the dataset's {what} {fault}.", hint="Give another one.")
    for what, name in _names(source):
        if len(name.encode()) > MAX_NAME_BYTES:
            raise SourceError(
                f"{source.uri}: the {what} {name[:40]!r}… is longer than {MAX_NAME_BYTES:,} bytes.",
                hint="Give it a shorter name.",
            )


def check_number(source: SourceDataset, what: str, number: int) -> None:
    """Refuse more columns or splits (`what`) than a dataset can have, over all loads.

    Raises:
        SourceError: There are too many.
    """
    if number > MAX_NUMBERED:
        raise SourceError(
            f"{source.uri}: dataset {source.name!r} would have {number:,} {what}; {MAX_NUMBERED:,} is the most.",
            hint="Ingest it as several datasets (--name).",
        )


def _texts(source: SourceDataset) -> Iterator[tuple[str, str]]:
    yield "name", source.name
    yield "description", source.description
    yield "licence", source.licence
    for split in source.splits:
        yield "config", split.config
        yield "split", split.split


def _names(source: SourceDataset) -> Iterator[tuple[str, str]]:
    yield "dataset's name", source.name
    for split in source.splits:
        yield "config", split.config
        yield "split", split.split
        yield from (("column", column.name) for column in split.columns)
        yield from (("column", column.name) for column in split.left_out)
