from __future__ import annotations

import gc
import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.hub import HubName, parse_hub_name
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import LeftOutColumn, OnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Read = Callable[..., Any]
    Write = Callable[[str, str | bytes], Path]

pytest.importorskip("datasets")

# datasets leaves it to the garbage collector to close a CSV file that is not read to its end.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

CARD = """---
license: cc-by-4.0
configs:
- config_name: plain
  data_files:
  - split: train
    path: plain/train-*.csv
  - split: test
    path: plain/test.csv
- config_name: more
  data_files: more/*.csv
---
# Films

[![badge](x.svg)](y)

Sentences about
films.

More words.
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def films(tmp_path: Path, write: Write) -> Path:
    write("films/README.md", CARD)
    write("films/plain/train-0.csv", "text,label\n007,NA\n,1.50\n")
    write("films/plain/train-1.csv", 'text,label\n"a\nb",true\n')
    write("films/plain/test.csv", "text,label\nx,y\n")
    write("films/more/a.csv", "text\n2020-01-01\n")
    return tmp_path / "films"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf:squad", HubName("squad", None, None)),
        ("hf:glue:mnli", HubName("glue", "mnli", None)),
        ("hf:org/name", HubName("org/name", None, None)),
        ("hf:org/name/conf", HubName("org/name", "conf", None)),
        ("hf:org/name/a/b@v1.0", HubName("org/name", "a/b", "v1.0")),
        ("hf:org/na.me:a/b@refs/pr/1", HubName("org/na.me", "a/b", "refs/pr/1")),
    ],
)
def test_names_of_the_hub(source: str, name: HubName) -> None:
    assert parse_hub_name(source) == name


@pytest.mark.parametrize("source", ["hf:", "hf:a b", "hf:/no/such/folder", "hf:@main"])
def test_what_is_no_name(source: str) -> None:
    with pytest.raises(SourceError, match="neither a local folder nor the name"):
        parse_hub_name(source)


def test_all_splits_of_a_config_as_the_text_they_are(films: Path, read_split: Any) -> None:
    (dataset,) = open_sources([f"hf:{films}:plain"])
    assert (dataset.name, dataset.uri) == ("films", f"hf:{films}")
    assert (dataset.description, dataset.licence) == ("Sentences about films.", "cc-by-4.0")
    assert [(split.config, split.split, split.uri) for split in dataset.splits] == [
        ("plain", "train", f"hf:{films}:plain"),
        ("plain", "test", f"hf:{films}:plain"),
    ]
    index, _, columns = read_split(dataset.splits[0])
    assert index == [0, 1, 2]
    assert columns == {"text": ["007", "", "a\nb"], "label": ["NA", "1.50", "true"]}


def test_one_split_and_a_sample_of_it(films: Path, read: Read) -> None:
    found = read(f"hf:{films}", config="plain", split="train", max_rows=2)
    assert found.index == [0, 1]
    assert found.split.rows == 3
    assert read(f"hf:{films}:plain", split="test").columns == {"text": ["x"], "label": ["y"]}


def test_a_revision_is_what_the_files_hold(films: Path, read: Read) -> None:
    def revision(split: str) -> str:
        return str(read(f"hf:{films}:plain", split=split).split.revision)

    train, test = revision("train"), revision("test")
    assert train != test
    (films / "plain" / "test.csv").write_text("text,label\nx,z\n")
    assert revision("train") == train
    assert revision("test") != test


def test_parquet_files_with_features_and_row_counts(tmp_path: Path, read: Read, write: Write) -> None:
    label = {"_type": "ClassLabel", "names": ["no", "yes"]}
    metadata = {"huggingface": json.dumps({"info": {"features": {
        "text": {"_type": "Value", "dtype": "string"}, "label": label, "tags": {"_type": "List", "feature": label},
        "image": {"_type": "Image"}, "a": {"b": {"_type": "Value", "dtype": "int64"}},
    }}})}  # fmt: skip
    schema = pa.schema(
        {
            "text": pa.string(),
            "label": pa.int64(),
            "tags": pa.list_(pa.int64()),
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "a": pa.struct({"b": pa.int64()}),
        },
        metadata=metadata,
    )
    row = {"label": 1, "tags": [0, 1], "image": {"bytes": b"no image", "path": None}, "a": {"b": 5}}
    rows = pa.Table.from_pylist([{"text": str(n), **row} for n in range(10_000)], schema)
    write("ds/README.md", "A few words.\n")
    pq.write_table(rows, tmp_path / "ds" / "train.parquet")
    found = read(f"hf:{tmp_path}/ds")
    assert found.index == list(range(10_000))
    assert found.columns["text"] == [str(n) for n in range(10_000)]
    assert {name: cells[0] for name, cells in found.columns.items()} == {
        "text": "0",
        "label": "yes",
        "tags": '["no","yes"]',
        "a.b": "5",
    }
    assert found.split.left_out == (LeftOutColumn("image", "Image values are no text"),)
    assert found.dataset.description == "A few words."
    sample = read(f"hf:{tmp_path}/ds", max_rows=7)
    assert sample.index == [i * 10_000 // 7 for i in range(7)]
    assert sample.columns["text"] == [str(n) for n in sample.index]


def test_json_files_flatten(tmp_path: Path, read: Read, write: Write) -> None:
    write("ds/train.jsonl", '{"a": {"b": ["x", null]}, "c": 1, "m": "x"}\n{"a": {"b": []}, "d": true, "m": 2}\n')
    found = read(f"hf:{tmp_path}/ds")
    assert found.columns == {
        "a.b": ['["x",null]', "[]"],
        "c": ["1", None],
        "m": ["x", "2"],
        "d": [None, "true"],
    }


def test_faulty_cells_are_refused_or_left_out(tmp_path: Path, read: Read, write: Write) -> None:
    write("ds/train.jsonl", '{"a": "x"}\n{"a": "y\\u0000"}\n')
    with pytest.raises(SourceError, match=r"ds \(split train\): row 1, column 'a' holds a NUL"):
        read(f"hf:{tmp_path}/ds")
    found = read(f"hf:{tmp_path}/ds", on_error=OnError.SKIP)
    assert found.index == [0]
    assert found.split.rejected[0].uri == found.split.uri == f"hf:{tmp_path}/ds:default"


def test_a_wrong_count_of_rows_spoils_a_sample(films: Path, read: Read) -> None:
    card = CARD.replace(
        "configs:", "dataset_info:\n  config_name: more\n  splits:\n  - name: train\n    num_examples: 9\nconfigs:"
    )
    (films / "README.md").write_text(card)
    with pytest.raises(SourceError, match="states 9 rows but has 1"):
        read(f"hf:{films}:more", max_rows=2)
    assert read(f"hf:{films}:more").columns == {"text": ["2020-01-01"]}


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("", {}, "has several configs"),
        (":plane", {}, "there is no config 'plane'"),
        (":plain", {"config": "more"}, "names another config than --config more"),
        (":plain", {"split": "dev"}, "there is no split 'dev'"),
        (":plain@v1", {}, "a local folder has no revisions"),
    ],
)
def test_what_a_dataset_does_not_have(films: Path, source: str, options: dict[str, str], reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as error:
        list(open_sources([f"hf:{films}{source}"], config=options.get("config"), split=options.get("split")))
    assert error.value.hint


def test_a_hub_that_cannot_be_reached() -> None:
    with pytest.raises(SourceError, match=r"hf:org/name: cannot be read by datasets: .*reach"):
        list(open_sources(["hf:org/name"]))


def test_a_dataset_that_is_a_script_is_refused(write: Write, tmp_path: Path) -> None:
    write("ds/ds.py", "raise SystemExit")
    with pytest.raises(SourceError, match="scripts are no longer supported"):
        list(open_sources([f"hf:{tmp_path}/ds"]))


def test_an_empty_folder_and_a_damaged_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write("ds/train.parquet", b"PAR1 and no more")
    for name in ("empty", "ds"):
        with pytest.raises(SourceError, match="cannot be read by datasets"):
            list(open_sources([f"hf:{tmp_path}/{name}"]))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, films: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SourceError, match="datasets is not installed") as error:
        list(open_sources([f"hf:{films}:plain"]))
    assert "rebase-db[hub]" in error.value.hint
