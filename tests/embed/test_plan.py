"""Planning: every text lies in exactly one chunk of each encoder, whenever and however often it is asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from rebase_db.embed import plan
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.embed.plan import chunks_of, plan_chunks, register_encoder
from rebase_db.ingest.load import load_dataset
from rebase_db.schema import EmbedChunk
from tests.load.sources import dataset_of, fetch, split_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

MINI = EncoderIdentity("mini", "1", bytes(32), 8, 256, "float32")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_TEXTS", 3)


def load(engine: Engine, name: str, texts: int) -> None:
    """Make a dataset have this many distinct texts, its description among them."""
    load_dataset(engine, dataset_of(name, split_of([{"a": f"{name} {place}"} for place in range(1, texts)])))


def add(engine: Engine, encoder_id: int) -> int:
    with engine.begin() as connection:
        return plan_chunks(connection, encoder_id)


def register(engine: Engine, identity: EncoderIdentity = MINI) -> int:
    with engine.begin() as connection:
        return register_encoder(connection, identity)


def chunks(engine: Engine, encoder_id: int) -> list[tuple[str, int, int]]:
    return fetch(
        engine,
        "SELECT name, first_text_id, embed_chunk.last_text_id FROM embed_chunk JOIN dataset USING (dataset_id)"
        " WHERE encoder_id = :encoder ORDER BY 1, 2",
        encoder=encoder_id,
    )


def test_every_text_is_covered_once_and_again_adds_none(engine: Engine) -> None:
    for name, texts in (("a", 2), ("b", 3), ("c", 4), ("d", 7)):
        load(engine, name, texts)
    encoder_id = register(engine)
    assert add(engine, encoder_id) == 1 + 1 + 2 + 3
    expected = [("a", 1, 2), ("b", 1, 3), ("c", 1, 3), ("c", 4, 4), ("d", 1, 3), ("d", 4, 6), ("d", 7, 7)]
    assert chunks(engine, encoder_id) == expected
    covered = fetch(
        engine,
        "SELECT count(*), count(DISTINCT (text.dataset_id, text_id)) FROM text JOIN embed_chunk ON text.dataset_id ="
        " embed_chunk.dataset_id AND text_id BETWEEN first_text_id AND last_text_id",
    )
    assert covered == [(16, 16)]
    assert add(engine, encoder_id) == 0
    assert chunks(engine, encoder_id) == expected
    assert fetch(engine, "SELECT DISTINCT state, attempt FROM embed_chunk") == [("waiting", 0)]


def test_after_growth_only_what_is_new_is_added(engine: Engine) -> None:
    load(engine, "a", 4)
    load(engine, "b", 2)
    encoder_id = register(engine)
    add(engine, encoder_id)
    load(engine, "a", 9)
    load(engine, "c", 2)
    assert add(engine, encoder_id) == 3
    assert chunks(engine, encoder_id) == [
        ("a", 1, 3), ("a", 4, 4), ("a", 5, 7), ("a", 8, 9), ("b", 1, 2), ("c", 1, 2),
    ]  # fmt: skip


def test_every_encoder_has_chunks_of_its_own(engine: Engine) -> None:
    load(engine, "a", 4)
    first, second = register(engine), register(engine, EncoderIdentity("mini", "2", bytes(32), 8, 256, "float32"))
    assert first != second
    assert (add(engine, first), add(engine, second)) == (2, 2)
    assert chunks(engine, first) == chunks(engine, second)
    with engine.connect() as connection:
        assert len(connection.execute(select(EmbedChunk).where(chunks_of(first))).all()) == 2


def test_an_empty_corpus_needs_no_chunks(engine: Engine) -> None:
    assert add(engine, register(engine)) == 0


def test_an_encoder_is_registered_once_and_anew_when_its_vectors_would_differ(engine: Engine) -> None:
    encoder_id = register(engine)
    assert register(engine) == encoder_id
    others = [
        EncoderIdentity("other", "1", bytes(32), 8, 256, "float32"),
        EncoderIdentity("mini", "2", bytes(32), 8, 256, "float32"),
        EncoderIdentity("mini", "1", b"\1" * 32, 8, 256, "float32"),
        EncoderIdentity("mini", "1", bytes(32), 8, 128, "float32"),
        EncoderIdentity("mini", "1", bytes(32), 8, 256, "bfloat16"),
    ]
    assert len({encoder_id, *(register(engine, other) for other in others)}) == 6
    assert fetch(
        engine, "SELECT name, width, max_tokens, precision FROM encoder WHERE encoder_id = :i", i=encoder_id
    ) == [("mini", 8, 256, "float32")]


def test_two_planners_at_once_cover_everything_once(engine: Engine) -> None:
    load(engine, "a", 8)
    encoder_id = register(engine)
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            assert plan_chunks(connection, encoder_id) == 3
            other = threads.submit(add, engine, encoder_id)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.3)  # waits for this one to commit
        assert other.result() == 0
    assert chunks(engine, encoder_id) == [("a", 1, 3), ("a", 4, 6), ("a", 7, 8)]


def test_a_planner_takes_over_from_one_that_failed(engine: Engine) -> None:
    load(engine, "a", 8)
    encoder_id = register(engine)
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            plan_chunks(connection, encoder_id)
            other = threads.submit(add, engine, encoder_id)
            connection.rollback()
        assert other.result() == 3
