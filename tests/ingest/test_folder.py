from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.open import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str | bytes], Path]


def test_a_dataset_a_folder_and_a_config_a_file(tmp_path: Path, write: Write) -> None:
    write("corpus/org__films/short.csv", "a\n1\n")
    write("corpus/org__films/long.jsonl", '{"a": 1}\n')
    write("corpus/books/default.tsv", "a\n1\n2\n")
    write("corpus/books/README.md", "no data")
    write("corpus/books/.hidden.csv", "no data")
    write("corpus/.cache/x.csv", "no data")
    write("corpus/manifest.jsonl", "no data")
    write("corpus/stats.json", "no data")
    write("corpus/descriptions.json", json.dumps({"org/films": "Of films.", "other": "Of what is not there."}))
    write("corpus/licences.json", json.dumps({"books": "CC0-1.0"}))
    found = list(open_sources([str(tmp_path / "corpus")], split="test"))
    assert [(dataset.name, dataset.description, dataset.licence) for dataset in found] == [
        ("books", "", "CC0-1.0"),
        ("org/films", "Of films.", ""),
    ]
    assert [(split.config, split.split) for dataset in found for split in dataset.splits] == [
        ("default", "test"),
        ("long", "test"),
        ("short", "test"),
    ]
    assert found[1].uri == (tmp_path / "corpus" / "org__films").as_uri()
    assert found[1].splits[1].uri == (tmp_path / "corpus" / "org__films" / "short.csv").as_uri()


def test_datasets_are_opened_one_by_one(tmp_path: Path, write: Write) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    write("corpus/b/x.csv", "")
    datasets = open_sources([str(tmp_path / "corpus")])
    assert next(datasets).name == "a"
    with pytest.raises(SourceError, match="the file is empty"):
        next(datasets)


def test_metadata_and_lists_settle_what_a_name_was(tmp_path: Path, write: Write) -> None:
    schema = pa.schema({"a": pa.string()}, metadata={"dataset_id": "org/x__y", "config_id": "p/q"})
    write("corpus/org__x__y/p__q.parquet", b"")
    pq.write_table(pa.table({"a": ["1"]}, schema=schema), tmp_path / "corpus/org__x__y/p__q.parquet")
    write("corpus/org__z__w/a.csv", "a\n1\n")
    write("corpus/org__v__w/a.csv", "a\n1\n")
    write("corpus/renamed/p__q.parquet", (tmp_path / "corpus/org__x__y/p__q.parquet").read_bytes())
    write("corpus/descriptions.json", json.dumps({"org/z__w": "Z."}))
    found = {dataset.name: dataset for dataset in open_sources([str(tmp_path / "corpus")])}
    assert list(found) == ["org/v/w", "org/x__y", "org/z__w", "renamed"]
    assert found["org/x__y"].splits[0].config == "p/q"
    assert found["org/z__w"].description == "Z."


def test_deeper_folders_are_datasets_named_by_their_path(tmp_path: Path, write: Write) -> None:
    write("corpus/releases/jnli/v1.jsonl", '{"a": 1}\n')
    write("corpus/releases/jnli/v2.jsonl", '{"a": 1}\n')
    (dataset,) = open_sources([str(tmp_path / "corpus")])
    assert dataset.name == "releases/jnli"
    assert [split.config for split in dataset.splits] == ["v1", "v2"]


def test_a_folder_of_files_is_one_dataset(tmp_path: Path, write: Write) -> None:
    write("films/a.csv", "a\n1\n")
    write("films/b.csv", "a\n1\n")
    write("films/descriptions.json", json.dumps({"films": "Of films."}))
    (dataset,) = open_sources([str(tmp_path / "films")])
    assert (dataset.name, dataset.description, len(dataset.splits)) == ("films", "Of films.", 2)
    (dataset,) = open_sources([str(tmp_path / "films")], name="mine", config="b")
    assert (dataset.name, [split.config for split in dataset.splits]) == ("mine", ["b"])


def test_a_folder_without_data_is_refused(tmp_path: Path, write: Write) -> None:
    write("corpus/a/notes.txt", "x")
    write("corpus/descriptions.json", "{}")
    with pytest.raises(SourceError, match="there is no data file in this folder"):
        list(open_sources([str(tmp_path / "corpus")]))


def test_a_config_nobody_has_is_refused(tmp_path: Path, write: Write) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    with pytest.raises(SourceError, match="no dataset in it has a config 'y'"):
        list(open_sources([str(tmp_path / "corpus")], config="y"))


def test_one_name_for_several_datasets_is_refused_before_any_is_opened(tmp_path: Path, write: Write) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    write("corpus/b/x.csv", "a\n1\n")
    with pytest.raises(SourceError, match="holds 2 datasets"):
        next(open_sources([str(tmp_path / "corpus")], name="c"))


def test_two_files_of_one_config_are_refused(tmp_path: Path, write: Write) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    write("corpus/a/x.tsv", "a\n1\n")
    with pytest.raises(SourceError, match="another file of the config 'x'"):
        list(open_sources([str(tmp_path / "corpus")]))


def test_data_beside_dataset_folders_is_refused(tmp_path: Path, write: Write) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    write("corpus/stray.csv", "a\n1\n")
    with pytest.raises(SourceError, match=r"stray\.csv: lies beside dataset folders"):
        list(open_sources([str(tmp_path / "corpus")]))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": 1}', b"\xff"])
def test_broken_lists_are_refused(tmp_path: Path, write: Write, content: bytes) -> None:
    write("corpus/a/x.csv", "a\n1\n")
    write("corpus/descriptions.json", content)
    with pytest.raises(SourceError, match=r"descriptions\.json"):
        list(open_sources([str(tmp_path / "corpus")]))


def test_links_that_lead_back_are_followed_once(tmp_path: Path, write: Write) -> None:
    write("elsewhere/x.csv", "a\n1\n")
    write("corpus/a/x.csv", "a\n1\n")
    (tmp_path / "corpus" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "a" / "loop").symlink_to(tmp_path / "corpus")
    assert [dataset.name for dataset in open_sources([str(tmp_path / "corpus")])] == ["a", "b"]
