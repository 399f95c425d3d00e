"""Parquet files, read by row groups and a few thousand rows at a time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from rebase_db.errors import SourceError
from rebase_db.ingest.arrow_cells import Plan, batches_of, plan
from rebase_db.ingest.features import features_of
from rebase_db.ingest.files import SourceFile, open_bytes
from rebase_db.ingest.row_faults import Judge, RowFaults
from rebase_db.ingest.sample import Stride, stride
from rebase_db.ingest.source import BATCH_BYTES, BATCH_ROWS, Batch, ReadOptions, RejectedRow, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_BUFFER = 1 << 16


def open_parquet(file: SourceFile, config: str, split: str, options: ReadOptions) -> Split:
    """Read the metadata of a Parquet file.

    Raises:
        SourceError: It is damaged, has no rows or no column of text, or column names are empty or repeated.
    """
    with _opened(file) as parquet:
        rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    if not rows:
        raise SourceError(f"{file.path}: there is no row in it.", hint="Fetch it again, or leave it out.")
    what = plan(schema, features_of(schema), str(file.path))
    judge = partial(RowFaults, file.uri, str(file.path), options.on_error)
    return Split(
        config=config,
        split=split,
        uri=file.uri,
        revision=file.revision,
        rows=rows,
        columns=what.columns,
        left_out=what.left_out,
        read=partial(_batches, file, what, stride(rows, options.max_rows), judge),
    )


def schema_metadata(file: SourceFile) -> dict[str, str]:
    """The key-value metadata of a Parquet file's schema, as far as it is text."""
    with _opened(file) as parquet:
        metadata = parquet.schema_arrow.metadata or {}
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}


@contextmanager
def _opened(file: SourceFile) -> Iterator[pq.ParquetFile]:
    """The file for Arrow, whose complaints become SourceErrors. A compressed one is unpacked to a temporary file."""
    with ExitStack() as stack:
        readable: object = file.path
        if file.gzipped:
            readable = stack.enter_context(TemporaryFile())
            with open_bytes(file) as handle:
                copyfileobj(handle, readable)
        else:
            stack.enter_context(open_bytes(file))
        try:
            # Column chunks in small pieces: pre_buffer would hold whole row groups.
            with pq.ParquetFile(readable, pre_buffer=False, buffer_size=_READ_BUFFER) as parquet:
                yield parquet
        except (pa.ArrowException, OSError) as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            raise SourceError(
                f"{file.path}: cannot be read as Parquet ({reason}).",
                hint="It may be cut off or damaged: fetch it again.",
            ) from error


def _batches(
    file: SourceFile, what: Plan, sample: Stride, judge: Judge, rejected: list[RejectedRow]
) -> Iterator[Batch]:
    faults = judge(rejected)
    columns = [leaf.name for leaf in (*what.leaves, what.key) if leaf] if what.left_out else None
    with _opened(file) as parquet:
        start = 0
        for number in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(number)
            stop = start + group.num_rows
            if sample.within(start, stop):
                row_bytes = group.total_byte_size // max(1, group.num_rows) + 1
                size = max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))
                for rows in parquet.iter_batches(size, row_groups=[number], columns=columns, use_threads=False):
                    index = sample.within(start, start + len(rows))
                    wanted = rows if len(index) == len(rows) else rows.take([row - start for row in index])
                    yield from batches_of(wanted, what, index, faults)
                    start += len(rows)
            start = stop
