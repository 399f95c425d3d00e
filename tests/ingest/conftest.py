"""Reading a source in one go, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.ingest.open import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rebase_db.ingest.source import SourceDataset, Split


@dataclass
class Reading:
    """The one split of a source, read to its end."""

    dataset: SourceDataset
    split: Split
    index: list[int]
    keys: list[str | None]
    columns: dict[str, list[str | None]]


def read_split(split: Split) -> tuple[list[int], list[str | None], dict[str, list[str | None]]]:
    index: list[int] = []
    keys: list[str | None] = []
    columns: dict[str, list[str | None]] = {column.name: [] for column in split.columns}
    for batch in split.batches():
        index += batch.source_index
        keys += batch.source_key
        for name, cells in zip(columns, batch.cells, strict=True):
            assert len(cells) == len(batch.source_index)
            columns[name] += cells
    return index, keys, columns


@pytest.fixture(name="read_split")
def read_split_fixture() -> Callable[[Split], tuple[list[int], list[str | None], dict[str, list[str | None]]]]:
    """Read one split: its row indexes, its row keys, its cells by column name."""
    return read_split


@pytest.fixture
def read() -> Callable[..., Reading]:
    """Open a source that is one dataset of one split, and read it."""

    def read(source: Path | str, **options: Any) -> Reading:
        (dataset,) = open_sources([str(source)], **options)
        (split,) = dataset.splits
        return Reading(dataset, split, *read_split(split))

    return read


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below the test's folder and return its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
