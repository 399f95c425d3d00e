"""Four releases of one dataset, as its owners published them: 29 labels were mended between the second and third."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rebase_db.analytics.releases import diff_loads, find_release
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.verify.run import Tally, verify
from tests.docs.seeded import WORD_COUNTER
from tests.load.sources import counts, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

pytestmark = pytest.mark.real_data
ROWS = 2434
EMBEDDED = "SELECT coalesce(sum(last_text_id - first_text_id + 1), 0) FROM embed_chunk"


@pytest.mark.parametrize("match", [None, "content", "index", "key:sentence_pair_id"])
def test_only_what_changed_is_new(engine: Engine, real_data: Path, match: str | None) -> None:
    files = [real_data / "extra" / "versions" / "jnli_valid" / f"v1.{number}.jsonl" for number in range(4)]
    releases = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    with engine.begin() as connection:
        encoder_id = register_encoder(connection, WORD_COUNTER)
    texts: set[str] = set()
    for number, (file, rows) in enumerate(zip(files, releases, strict=True)):
        before = counts(engine), fetch(engine, EMBEDDED)
        (source,) = open_sources([str(file)], name="jnli")
        receipt = load_dataset(engine, source, match=match)
        with engine.begin() as connection:
            plan_chunks(connection, encoder_id)
        said = (receipt.rows_added, receipt.rows_changed, receipt.rows_removed, receipt.rows_unchanged)
        expected = {0: (ROWS, 0, 0, 0), 2: (0, 29, 0, ROWS - 29)}.get(number, (0, 0, 0, ROWS))
        assert said == expected
        new = {value for row in rows for value in row.values()} - texts
        texts |= new
        assert receipt.texts_added == len(new) + (number == 0)  # its description
        assert fetch(engine, EMBEDDED) == [(len(texts) + 1,)]
        if number in {1, 3}:  # the same bytes
            assert (counts(engine), fetch(engine, EMBEDDED)) == before
    with engine.connect() as connection:
        found = diff_loads(connection, find_release(connection, "jnli@1"), find_release(connection, "jnli"))
    assert [{name: (old, new) for name, old, new in row.cells()} for row in found.rows] == [
        {name: (old[name], new[name]) for name in old if old[name] != new[name]}
        for old, new in zip(releases[1], releases[2], strict=True)
        if old != new
    ]
    assert fetch(engine, "SELECT count(*), count(removed_at) FROM source_row") == [(ROWS + 29, 29)]
    assert [str(lie) for lie in verify(engine, Tally())] == []
