"""Any small table, written to a file of any format, is in the database as it was."""

from __future__ import annotations

import csv
import json
from itertools import count
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebase_db.hashing import content_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from tests.load.sources import fetch, stored_rows, stored_texts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from sqlalchemy import Engine

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
_number = count()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str | None]], bool]:
    """Column names, rows, and whether there are nulls among the cells."""
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    nulls = draw(st.booleans())
    # A small alphabet of cells, too, so that texts repeat.
    cells = st.sampled_from(["", "a", "b"]) | texts | (st.none() if nulls else st.nothing())
    row = st.lists(cells, min_size=len(columns), max_size=len(columns))
    return columns, draw(st.lists(row, min_size=1, max_size=9)), nulls


def write(path: Path, columns: list[str], rows: list[list[str | None]]) -> None:
    if path.suffix == ".jsonl":
        lines = (json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        path.write_text("\n".join(lines), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
            writer.writerows([columns, *rows])
    else:
        arrays = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(arrays, names=columns), path, row_group_size=4)


# One database serves all examples: each has a dataset of its own.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sampled_from([".csv", ".jsonl", ".parquet"]), st.integers(0, 9))
def test_any_table(
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[str], list[list[str | None]], bool],
    ending: str,
    before: int,
) -> None:
    columns, rows, nulls = table
    ending = ".jsonl" if nulls and ending == ".csv" else ending
    name = f"table {next(_number)}"
    path = tmp_path_factory.mktemp("table") / f"rows{ending}"
    # First a part of it, then all: the whole has to come out the same.
    for part in ([rows[:before]] if 0 < before < len(rows) else []) + [rows]:
        write(path, columns, part)
        (source,) = open_sources([str(path)], name=name)
        load_dataset(engine, source)
    expected = [
        {column: value for column, value in zip(columns, row, strict=True) if value is not None} for row in rows
    ]
    # A row more of a content that was there is numbered after the others of its load.
    found = sorted(stored_rows(engine, name), key=lambda row: row.source_index)
    assert [row.source_index for row in found] == list(range(len(rows)))
    assert [row.cells for row in found] == expected
    assert [row.content for row in found] == expected
    assert [row.content_hash for row in found] == [content_hash("source_row/v1", row) for row in expected]
    stored = stored_texts(engine, name)
    described = f"{name}: {', '.join(columns)}"
    assert stored[0] == described
    assert sorted(stored) == sorted({described, *(value for row in expected for value in row.values())})
    ((last_row, last_text, cells),) = fetch(
        engine,
        "SELECT last_row_id, last_text_id, (SELECT sum(cells_added) FROM ingest WHERE ingest.dataset_id ="
        " dataset.dataset_id) FROM dataset WHERE name = :name",
        name=name,
    )
    assert (last_row, last_text, cells) == (len(rows), len(stored), sum(map(len, expected)))
