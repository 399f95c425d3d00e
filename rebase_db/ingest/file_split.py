"""The reader of a file, by its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.ingest.delimited import open_delimited
from rebase_db.ingest.files import FileFormat, SourceFile
from rebase_db.ingest.json_array import open_json_array
from rebase_db.ingest.json_lines import open_json_lines
from rebase_db.ingest.parquet import open_parquet

if TYPE_CHECKING:
    from rebase_db.ingest.source import ReadOptions, Split

_READERS = {
    FileFormat.PARQUET: open_parquet,
    FileFormat.JSON_LINES: open_json_lines,
    FileFormat.NDJSON: open_json_lines,
    FileFormat.JSON: open_json_array,
    FileFormat.CSV: open_delimited,
    FileFormat.TSV: open_delimited,
}


def open_file(file: SourceFile, config: str, split: str, options: ReadOptions) -> Split:
    """Open a file as one split; errors as of its reader."""
    return _READERS[file.file_format](file, config, split, options)
