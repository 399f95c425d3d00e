from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import Column, LeftOutColumn, OnError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a Parquet file of columns (or of a table) and return its path."""

    def table(columns: dict[str, Any] | pa.Table, **options: Any) -> Path:
        path = tmp_path / "rows.parquet"
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
        return path

    return table


def features(**columns: object) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": columns}}).encode()}


def invalid_utf8(*values: bytes) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def test_strings_are_kept_to_the_letter(read: Read, table: Callable[..., Path]) -> None:
    cells = ["", None, " ", "a\r\nb", "\ufeff\u2028", "\U0001f600", "NA"]
    found = read(
        table({"a.b": cells, "c": pa.array(cells, pa.large_string()), "d": pa.array(cells).dictionary_encode()})
    )
    assert found.columns == {"a.b": cells, "c": cells, "d": cells}
    assert found.split.rows == 7
    assert found.split.columns[1] == Column("c", "large_string")


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([1, None, -(2**63)], pa.int64(), ["1", None, "-9223372036854775808"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([True, False, None], pa.bool_(), ["true", "false", None]),
        ([0.1, 1.0, 1e20, -0.0, 5e-324], pa.float64(), ["0.1", "1.0", "1e+20", "-0.0", "5e-324"]),
        ([float("nan"), float("inf"), -float("inf")], pa.float64(), ["NaN", "Infinity", "-Infinity"]),
        ([0.1, None, float("nan"), 16777216.0], pa.float32(), ["0.1", None, "NaN", "16777216.0"]),
        ([None, None], pa.null(), [None, None]),
        ([Decimal("1.10"), Decimal("0E-10")], pa.decimal128(20, 10), ["1.1000000000", "0.0000000000"]),
        ([dt.date(2024, 5, 6), None], pa.date32(), ["2024-05-06", None]),
        ([dt.time(7, 8, 9, 10), dt.time(7)], pa.time64("us"), ["07:08:09.000010", "07:00:00"]),
        ([dt.timedelta(days=1, seconds=5)], pa.duration("us"), ["1 day, 0:00:05"]),
        ([dt.datetime(2024, 5, 6, 7, 8, 9)], pa.timestamp("s"), ["2024-05-06T07:08:09"]),  # noqa: DTZ001 - without zone
        (
            [1_500_000_000, 123_456_789],
            pa.timestamp("ns"),
            ["1970-01-01T00:00:01.500000000", "1970-01-01T00:00:00.123456789"],
        ),
        ([0], pa.timestamp("us", "UTC"), ["1970-01-01T00:00:00+00:00"]),
        ([0, 1000], pa.timestamp("ms", "+05:30"), ["1970-01-01T05:30:00+05:30", "1970-01-01T05:30:01+05:30"]),
        ([uuid.UUID(int=7).bytes], pa.uuid(), ["00000000-0000-0000-0000-000000000007"]),
        (['{"a":  1}', None], pa.json_(), ['{"a":  1}', None]),
        ([["é", None, '"'], [], None], pa.list_(pa.string()), ['["é",null,"\\""]', "[]", None]),
        ([[0.1, float("nan"), 1]], pa.list_(pa.float32()), ["[0.1,NaN,1.0]"]),
        ([[float("inf")]], pa.large_list(pa.float64()), ["[Infinity]"]),
        ([[1, 2]], pa.list_(pa.int8(), 2), ["[1,2]"]),
        ([[[True], None]], pa.list_(pa.list_(pa.bool_())), ["[[true],null]"]),
        (
            [[{"z": 1, "a": [0.5]}, None]],
            pa.list_(pa.struct({"z": pa.int8(), "a": pa.list_(pa.float16())})),
            ['[{"z":1,"a":[0.5]},null]'],
        ),
        ([[("k", 1), ("j", None)]], pa.map_(pa.string(), pa.int64()), ['{"k":1,"j":null}']),
        ([[1_000_000]], pa.list_(pa.timestamp("ns")), ['["1970-01-01T00:00:00.001000"]']),
        ([[dt.date(2024, 5, 6)]], pa.list_(pa.date32()), ['["2024-05-06"]']),
        ([[Decimal("1.50")]], pa.list_(pa.decimal128(5, 2)), ['["1.50"]']),
        ([['{"a":  [1]}']], pa.list_(pa.json_()), ['[{"a":[1]}]']),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_values_as_text(
    read: Read, table: Callable[..., Path], values: list[Any], kind: pa.DataType, texts: list[str]
) -> None:
    if isinstance(kind, pa.BaseExtensionType):
        array = pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    elif pa.types.is_list(kind) and isinstance(kind.value_type, pa.BaseExtensionType):
        items = pa.ExtensionArray.from_storage(kind.value_type, pa.array(values[0], kind.value_type.storage_type))
        array = pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items)
    else:
        array = pa.array(values, kind)
    found = read(table({"v": array, "w": pa.array(["x"] * len(texts))}))
    assert found.columns["v"] == texts


def test_structs_flatten_to_dotted_names(read: Read, table: Callable[..., Path]) -> None:
    rows = [{"text": ["a"], "at": {"start": 1, "end": None}}, None, {"text": None, "at": None}]
    found = read(table({"answers": rows, "id": ["1", "2", "3"]}))
    assert found.columns == {
        "answers.text": ['["a"]', None, None],
        "answers.at.start": ["1", None, None],
        "answers.at.end": [None, None, None],
        "id": ["1", "2", "3"],
    }


def test_the_row_key_is_no_column(read: Read, table: Callable[..., Path]) -> None:
    found = read(table({"__row_id": [5, None, 7], "a": ["x", "y", "z"]}))
    assert found.keys == ["5", None, "7"]
    assert list(found.columns) == ["a"]


def test_binary_columns_are_left_out_with_a_notice(read: Read, table: Callable[..., Path]) -> None:
    found = read(table({"t": ["x"], "b": [b"\0"], "l": [[b"1"]], "s": [{"bytes": b"1", "path": "p.png"}]}))
    assert found.columns == {"t": ["x"], "s.path": ["p.png"]}
    assert found.split.left_out == (
        LeftOutColumn("b", "binary values (binary) are no text"),
        LeftOutColumn("l", "binary values (binary) are no text"),
        LeftOutColumn("s.bytes", "binary values (binary) are no text"),
    )


def test_labels_show_as_names_at_any_depth(read: Read, table: Callable[..., Path]) -> None:
    label = {"_type": "ClassLabel", "names": ["no", "yes"]}
    schema = pa.schema(
        {
            "label": pa.int64(),
            "tags": pa.list_(pa.int64()),
            "legacy": pa.list_(pa.int64()),
            "spans": pa.list_(pa.struct({"tag": pa.int64(), "n": pa.int64()})),
            "struct": pa.struct({"label": pa.int64()}),
            "sequence": pa.struct({"label": pa.list_(pa.int64()), "n": pa.list_(pa.int64())}),
        },
        metadata=features(
            label=label,
            tags={"_type": "List", "feature": label},
            legacy=[label],
            spans={"_type": "List", "feature": {"tag": label, "n": {"_type": "Value", "dtype": "int64"}}},
            struct={"label": label},
            sequence={"_type": "Sequence", "feature": {"label": label, "n": {"_type": "Value", "dtype": "int64"}}},
        ),
    )
    row = {
        "label": 1,
        "tags": [0, None, 1],
        "legacy": [1],
        "spans": [{"tag": 0, "n": 0}, None],
        "struct": {"label": 0},
        "sequence": {"label": [1], "n": [1]},
    }
    unknown = {"label": -1, "struct": None}
    found = read(table(pa.Table.from_pylist([row, unknown], schema)))
    assert found.columns == {
        "label": ["yes", "-1"],
        "tags": ['["no",null,"yes"]', None],
        "legacy": ['["yes"]', None],
        "spans": ['[{"tag":"no","n":0},null]', None],
        "struct.label": ["no", None],
        "sequence.label": ['["yes"]', None],
        "sequence.n": ["[1]", None],
    }
    assert found.split.columns[0] == Column("label", "ClassLabel")


def test_media_columns_are_left_out(read: Read, table: Callable[..., Path]) -> None:
    schema = pa.schema(
        {
            "text": pa.string(),
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "clips": pa.list_(pa.string()),
        },
        metadata=features(image={"_type": "Image"}, clips={"_type": "List", "feature": {"_type": "Audio"}}),
    )
    found = read(table(pa.Table.from_pylist([{"text": "x", "image": {"path": "p"}, "clips": ["y"]}], schema)))
    assert list(found.columns) == ["text"]
    assert found.split.left_out == (
        LeftOutColumn("image", "Image values are no text"),
        LeftOutColumn("clips", "it holds Audio values, which are no text"),
    )


def test_a_json_feature_shows_strings_as_they_are(read: Read, table: Callable[..., Path]) -> None:
    array = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['"x"', '{"a": 1}', "2", None]))
    schema = pa.schema({"v": pa.json_(), "w": pa.string()}, metadata=features(v={"_type": "Json"}))
    found = read(table(pa.table([array, pa.array(["1"] * 4)], schema=schema)))
    assert found.columns["v"] == ["x", '{"a":1}', "2", None]


def test_what_the_texts_of_a_json_feature_hold_is_judged_too(read: Read, table: Callable[..., Path]) -> None:
    texts = pa.array(['"\\u0000"', '{"a": "\\ud800"}', "3", "{", "[" * 100_000])
    lists = pa.ListArray.from_arrays(
        pa.array([0, 0, 0, 0, 0, 0], pa.int32()), pa.ExtensionArray.from_storage(pa.json_(), pa.array([], pa.string()))
    )
    schema = pa.schema({"v": pa.json_(), "l": lists.type}, metadata=features(v={"_type": "Json"}))
    path = table(pa.table([pa.ExtensionArray.from_storage(pa.json_(), texts), lists], schema=schema))
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"v": ["3"], "l": ["[]"]}
    assert [row.reason.split(" (")[0] for row in found.split.rejected] == [
        "holds a NUL character",
        "holds a lone surrogate",
        "cannot be written as text",
        "is nested too deeply to be written as text",
    ]


def test_a_date_beyond_the_calendar_is_a_faulty_row(read: Read, table: Callable[..., Path]) -> None:
    path = table({"d": pa.array([9 * 10**18, 0], pa.int64()).cast(pa.timestamp("us"))})
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"d": ["1970-01-01T00:00:00"]}
    assert found.split.rejected[0].reason == "is a date that no calendar has"


def test_a_label_without_a_name_is_a_faulty_row(read: Read, table: Callable[..., Path]) -> None:
    schema = pa.schema({"l": pa.int8()}, metadata=features(l={"_type": "ClassLabel", "names": ["a"]}))
    path = table(pa.table({"l": pa.array([0, 1], pa.int8())}, schema=schema))
    with pytest.raises(SourceError, match=r"row 1, column 'l' is the label 1, which has no name"):
        read(path)


def test_faulty_cells_are_refused_with_row_and_column(read: Read, table: Callable[..., Path]) -> None:
    path = table(
        {"ok": ["a", "b", "c", "d"], "bad": invalid_utf8(b"a", b"n\0l", b"c", b"\xed\xa0\x80")}, row_group_size=2
    )
    with pytest.raises(SourceError) as error:
        read(path)
    assert (
        error.value.message
        == f"{path}: row 1, column 'bad' holds a NUL character (U+0000), which no Postgres text can."
    )
    found = read(path, on_error=OnError.SKIP)
    assert found.columns == {"ok": ["a", "c"], "bad": ["a", "c"]}
    assert found.index == [0, 2]
    assert [(row.source_index, row.line, row.column, row.reason) for row in found.split.rejected] == [
        (1, None, "bad", "holds a NUL character (U+0000), which no Postgres text can"),
        (3, None, "bad", "is not UTF-8"),
    ]


def test_faults_inside_lists_and_maps_cost_their_row_only(read: Read, table: Callable[..., Path]) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), invalid_utf8(b"\xff", b"b"))
    maps = pa.array([[("k", 1)], [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))
    found = read(table({"l": lists, "w": ["x", "y"]}), on_error=OnError.SKIP)
    assert (found.index, found.columns["l"]) == ([1], ['["b"]'])
    found = read(table({"m": maps, "w": ["x", "y"]}), on_error=OnError.SKIP)
    assert (found.index, found.columns["m"]) == ([0], ['{"k":1}'])
    assert "duplicate" in found.split.rejected[0].reason


def test_a_sample_spans_row_groups_evenly(read: Read, table: Callable[..., Path]) -> None:
    path = table({"n": list(range(1000))}, row_group_size=7)
    found = read(path, max_rows=13)
    assert found.index == [i * 1000 // 13 for i in range(13)]
    assert found.columns["n"] == [str(n) for n in found.index]
    assert read(path).index == list(range(1000))


def test_long_texts_make_small_batches(table: Callable[..., Path]) -> None:
    (dataset,) = open_sources([str(table({"t": [str(n) + "x" * 1_000_000 for n in range(10)]}))])
    assert max(len(batch.source_index) for batch in dataset.splits[0].batches()) <= 5


def test_a_compressed_file_reads_the_same(read: Read, table: Callable[..., Path]) -> None:
    path = table({"a": ["x", "y"]})
    packed = path.with_name("rows.parquet.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed).columns == read(path).columns == {"a": ["x", "y"]}


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "a"], "columns 1 and 2 are both named 'a'"),
        (["a", ""], "column 2 has no name"),
        (["a", "n\0l"], "the name of column 2 holds a NUL"),
    ],
)
def test_column_names_that_name_nothing_are_refused(table: Callable[..., Path], names: list[str], reason: str) -> None:
    path = table(pa.table([["x"], ["y"]], names=names))
    with pytest.raises(SourceError, match=reason):
        list(open_sources([str(path)], on_error=OnError.SKIP))


def test_a_flattened_name_may_not_meet_another(table: Callable[..., Path]) -> None:
    path = table(pa.table([["x"], [{"b": "y"}]], names=["a.b", "a"]))
    with pytest.raises(SourceError, match=r"columns 1 and 2 are both named 'a\.b'"):
        list(open_sources([str(path)]))


def test_a_file_without_text_says_what_it_has(table: Callable[..., Path]) -> None:
    with pytest.raises(SourceError, match=r"no column of it is text \(left out: a\)"):
        list(open_sources([str(table({"a": [b"x"]}))]))
