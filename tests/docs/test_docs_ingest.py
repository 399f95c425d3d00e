"""docs/ingest.md quotes what a faulty source is refused with; here each quotation is checked against the refusal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rebase_db.errors import SourceError
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from scripts.generate_docs import DOCS

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.ingest.source import Batch

REFUSED = {
    "rows.xlsx": b"PK\x03\x04",
    "rows.csv.gz": b"a,b\n1,2\n",
    "page.csv": b"<!doctype html><html></html>",
    "image.csv": b"\x89PNG\r\n",
    "empty.csv": b"",
    "header.csv": b"a,b\n",
    "twice.csv": b"a,a\n1,2\n",
    "unnamed.csv": b",a\n0,1\n",
    "semicolons.csv": b"a;b\n1;2\n",
    "ragged.csv": b"a,b\n1,2\n3\n",
    "quote.csv": b'a,b\n1,"2\n3,4\n',
    "latin.csv": "a,b\n1,Käse\n".encode("latin-1"),
    "nul.jsonl": b'{"a": "x\\u0000y"}\n',
    "half.jsonl": b'{"a": "\\ud83d"}\n',
    "broken.jsonl": b'{"a": 1}\n{"a": 1\n',
    "list.jsonl": b"[1, 2]\n",
    "repeated.jsonl": b'{"a": 1, "a": 2}\n',
    "clash.jsonl": b'{"a.b": 1, "a": {"b": 2}}\n',
    "rows.json": b'{"a": 1}\n',
    "text.parquet": b"plain text",
}


PAGE = (DOCS / "ingest.md").read_text(encoding="utf-8")
KEPT = re.findall(r"^\| `(\{.+\})` \| `(.+)` \| `(.+)` \|$", PAGE, re.MULTILINE)
QUOTED = dict(re.findall(r"^\| `([^`{]+)` \| [^`|]+ \| `([^|]+)` \|$", PAGE, re.MULTILINE))


def read(name: str) -> list[Batch]:
    return [batch for source in open_sources([name]) for split in source.splits for batch in split.batches()]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_reads_as_quoted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(REFUSED[name])
    with pytest.raises(SourceError) as refusal:
        read(name)
    assert QUOTED.get(name) == refusal.value.message


def test_nothing_is_quoted_that_is_not_checked() -> None:
    assert QUOTED.keys() == REFUSED.keys()


@pytest.mark.parametrize(("source", "column", "cell"), KEPT)
def test_a_value_of_json_is_kept_as_shown(source: str, column: str, cell: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(source, encoding="utf-8")
    ((split,),) = (opened.splits for opened in open_sources([str(path)]))
    (batch,) = split.batches()
    assert ([kept.name for kept in split.columns], batch.cells) == ([column], [[cell]])


def test_another_source_is_refused_as_quoted(seeded: Engine, tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text('{"text": "another text", "team": "sales"}\n', encoding="utf-8")
    (source,) = open_sources([str(path)])
    with pytest.raises(SourceError) as refusal:
        load_dataset(seeded, source)
    assert refusal.value.message.removeprefix(f"{path.as_uri()}: ").removesuffix(".") in PAGE
