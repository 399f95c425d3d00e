"""Whatever table of text is written in any of the formats comes back as it was."""

from __future__ import annotations

import csv
import gzip
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rebase_db.ingest.open import open_sources

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
name = text.filter(lambda value: bool(value.strip()) and value != "__row_id")
Table = tuple[list[str], list[list[str | None]]]


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str | None]) -> Table:
    names = draw(st.lists(name, min_size=1, max_size=4, unique=True))
    rows = draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), min_size=1, max_size=12))
    return names, rows


def read(path: Path, max_rows: int | None = None) -> tuple[list[str], list[list[str | None]]]:
    (dataset,) = open_sources([str(path)], max_rows=max_rows)
    (split,) = dataset.splits
    rows = [list(row) for batch in split.batches() for row in zip(*batch.cells, strict=True)]
    return [column.name for column in split.columns], rows


@settings(deadline=None)
@given(tables(text), st.sampled_from(["csv", "tsv"]), st.booleans())
def test_delimited(tmp_path_factory: pytest.TempPathFactory, table: Table, form: str, unix: bool) -> None:
    names, rows = table
    names = [f"{name.replace(chr(13), '')}." for name in names]
    assume(len(set(names)) == len(names) and not names[0].startswith("\ufeff"))
    assume(len(names) > 1 or not set(names[0]) & set(";\t|"))  # taken for a header with another separator
    path = tmp_path_factory.mktemp("rows") / f"a.{form}"
    with path.open("w", encoding="utf-8", newline="") as handle:
        # csv.writer leaves a carriage return unquoted unless it is part of the line end.
        writer = csv.writer(
            handle,
            delimiter="\t" if form == "tsv" else ",",
            lineterminator="\n" if unix else "\r\n",
            quoting=csv.QUOTE_ALL if unix else csv.QUOTE_MINIMAL,
        )
        writer.writerow(names)
        writer.writerows(rows)
    assert read(path) == (names, rows)


@settings(deadline=None)
@given(tables(st.none() | text), st.booleans(), st.booleans())
def test_json_lines(tmp_path_factory: pytest.TempPathFactory, table: Table, escaped: bool, packed: bool) -> None:
    names, rows = table
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=escaped) for row in rows]
    content = "\n".join(lines).encode()
    path = tmp_path_factory.mktemp("rows") / ("a.jsonl.gz" if packed else "a.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read(path) == (names, rows)


@settings(deadline=None)
@given(tables(st.none() | text), st.booleans())
def test_json_array(tmp_path_factory: pytest.TempPathFactory, table: Table, indented: bool) -> None:
    names, rows = table
    path = tmp_path_factory.mktemp("rows") / "a.json"
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    path.write_text(json.dumps(objects, indent=1 if indented else None, ensure_ascii=False), encoding="utf-8")
    assert read(path) == (names, rows)


@settings(deadline=None)
@given(tables(st.none() | text), st.integers(1, 5), st.integers(1, 14))
def test_parquet(tmp_path_factory: pytest.TempPathFactory, table: Table, group: int, max_rows: int) -> None:
    names, rows = table
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=names), path, row_group_size=group)
    assert read(path) == (names, rows)
    count = min(max_rows, len(rows))
    assert read(path, max_rows) == (names, [rows[i * len(rows) // count] for i in range(count)])
