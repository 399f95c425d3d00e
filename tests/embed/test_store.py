"""Chunks are read without what is embedded already, and vectors come back as they were stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rebase_db.database.copy import copy_in
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.embed.store import EMBEDDING_COLUMNS, ChunkTexts, embedding_tuples, read_chunk, write_vectors
from rebase_db.ingest.load import load_dataset
from rebase_db.queue import Claim
from tests.load.sources import dataset_of, fetch, split_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Engine

WIDTH = 384
TEXTS = ["The description.", "", "first", "second", "日本語 😀"]


def unit_vectors(count: int, width: int = WIDTH) -> NDArray[np.float32]:
    vectors = np.random.default_rng(5).normal(size=(count, width))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture
def chunk(engine: Engine) -> ChunkTexts:
    """The one chunk of a dataset of five texts, as read before anything is embedded."""
    rows = [{"a": value} for value in TEXTS[1:]]
    load_dataset(engine, dataset_of("d", split_of(rows), description=TEXTS[0]))
    with engine.begin() as connection:
        encoder_id = register_encoder(connection, EncoderIdentity("mini", "1", bytes(32), WIDTH, 256, "float32"))
        plan_chunks(connection, encoder_id)
        return read_chunk(connection, the_claim(engine))


def the_claim(engine: Engine) -> Claim:
    return Claim(fetch(engine, "SELECT coalesce(max(embed_chunk_id), 1) FROM embed_chunk")[0][0], 1, last=False)


def stored_vectors(engine: Engine, encoder_id: int = 1) -> dict[int, NDArray[np.float32]]:
    """Vectors by text id, as the database itself turns them into numbers."""
    query = "SELECT text_id, vector::real[] FROM embedding WHERE encoder_id = :encoder ORDER BY text_id"
    rows = fetch(engine, query, encoder=encoder_id)
    return {text_id: np.array(vector, np.float32) for text_id, vector in rows}


def test_a_chunk_is_read_in_order_with_its_texts(chunk: ChunkTexts) -> None:
    assert list(chunk.text_ids) == [1, 2, 3, 4, 5]
    assert list(chunk.texts) == TEXTS


def test_texts_that_have_a_vector_are_skipped(engine: Engine, chunk: ChunkTexts) -> None:
    with engine.begin() as connection:
        some = ChunkTexts(chunk.claim, chunk.dataset_id, chunk.encoder_id, [2, 5], ["", "日本語 😀"])
        write_vectors(connection, some, unit_vectors(2))
        rest = read_chunk(connection, chunk.claim)
        assert (list(rest.text_ids), list(rest.texts)) == ([1, 3, 4], [TEXTS[0], "first", "second"])
        write_vectors(connection, rest, unit_vectors(3))
        done = read_chunk(connection, chunk.claim)
        assert (list(done.text_ids), list(done.texts)) == ([], [])
        write_vectors(connection, done, np.empty((0, WIDTH), np.float32))
    assert list(stored_vectors(engine)) == [1, 2, 3, 4, 5]


def test_a_vector_of_another_encoder_does_not_count(engine: Engine, chunk: ChunkTexts) -> None:
    with engine.begin() as connection:
        other = register_encoder(connection, EncoderIdentity("other", "1", bytes(32), WIDTH, 256, "float32"))
        same_texts = ChunkTexts(chunk.claim, chunk.dataset_id, other, chunk.text_ids, chunk.texts)
        write_vectors(connection, same_texts, unit_vectors(5))
        assert list(read_chunk(connection, chunk.claim).text_ids) == [1, 2, 3, 4, 5]


def test_vectors_come_back_in_half_precision(engine: Engine, chunk: ChunkTexts) -> None:
    vectors = unit_vectors(5)
    vectors[1] = 0
    vectors[1, 7] = -1
    vectors[1, 0] = 6e-8  # the smallest half float there is
    with engine.begin() as connection:
        write_vectors(connection, chunk, vectors)
    found = stored_vectors(engine)
    for text_id, vector in zip(range(1, 6), vectors, strict=True):
        assert np.array_equal(found[text_id], vector.astype(np.float16))
        assert np.abs(found[text_id] - vector).max() <= 2**-12  # half an ulp below 1
        assert abs(np.linalg.norm(found[text_id]) - 1) < 1e-3
    assert fetch(engine, "SELECT DISTINCT width, vector_dims(vector) FROM embedding") == [(WIDTH, WIDTH)]
    assert fetch(engine, "SELECT pg_typeof(vector)::text FROM embedding LIMIT 1") == [("halfvec",)]


def test_any_width_an_encoder_may_have(engine: Engine, chunk: ChunkTexts) -> None:
    for width in (1, 2, 1024, 4000):
        vectors = unit_vectors(2, width)
        with engine.begin() as connection:
            encoder_id = register_encoder(
                connection, EncoderIdentity(str(width), "1", bytes(32), width, 256, "float32")
            )
            buffer = embedding_tuples(chunk.dataset_id, encoder_id, [3, 1], vectors)
            copy_in(connection, "embedding", EMBEDDING_COLUMNS, [buffer])
        found = stored_vectors(engine, encoder_id)
        assert np.array_equal(found[3], vectors[0].astype(np.float16))
        assert np.array_equal(found[1], vectors[1].astype(np.float16))


def test_the_database_refuses_what_is_no_unit_vector_of_the_encoder(engine: Engine, chunk: ChunkTexts) -> None:
    not_a_number = unit_vectors(5)
    not_a_number[3, 3] = np.nan
    refused: list[tuple[NDArray[np.float32], type[psycopg.Error]]] = [
        (unit_vectors(5, WIDTH + 1), psycopg.errors.ForeignKeyViolation),
        (unit_vectors(5) * np.float32(1.02), psycopg.errors.CheckViolation),
        (np.zeros((5, WIDTH), np.float32), psycopg.errors.CheckViolation),
        (not_a_number, psycopg.errors.DataException),
    ]
    for vectors, error in refused:
        with pytest.raises(error), engine.begin() as connection:
            write_vectors(connection, chunk, vectors)
    assert stored_vectors(engine) == {}


def test_a_text_has_one_vector_for_an_encoder(engine: Engine, chunk: ChunkTexts) -> None:
    with engine.begin() as connection:
        write_vectors(connection, chunk, unit_vectors(5))
    with pytest.raises(psycopg.errors.UniqueViolation), engine.begin() as connection:
        write_vectors(connection, chunk, unit_vectors(5))


def test_a_wrong_width_is_refused_even_if_the_column_is_right(engine: Engine, chunk: ChunkTexts) -> None:
    row = "INSERT INTO embedding VALUES (:dataset_id, :encoder_id, 1, :width, '[1, 0]'::halfvec)"
    key = {"dataset_id": chunk.dataset_id, "encoder_id": chunk.encoder_id, "width": WIDTH}
    with pytest.raises(IntegrityError, match="embedding_width_check"), engine.begin() as connection:
        connection.execute(text(row), key)
