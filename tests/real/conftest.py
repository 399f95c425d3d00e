"""The corpus of REBASE_TEST_DATA, loaded once, with its published vectors and all its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import func, select, update

from rebase_db.database.copy import copy_in
from rebase_db.database.engine import engine_for
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.embed.store import EMBEDDING_COLUMNS, embedding_tuples
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.schema import Dataset, EmbedChunk, TextValue
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.ingest.receipt import Receipt


@dataclass(frozen=True)
class PublishedVectors:
    """Vectors of texts by the SHA-256 of their UTF-8: shape (texts, 384), unit length, half precision."""

    vectors: NDArray[np.float16]
    places: dict[bytes, int]


@dataclass(frozen=True)
class LoadedCorpus:
    """The database with the corpus in it, and what each load said."""

    engine: Engine
    receipts: list[Receipt]


@pytest.fixture(scope="session")
def loaded(real_data: Path, server_url: str, template_database: str) -> Iterator[LoadedCorpus]:
    """The corpus as `rebase ingest` loads it."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        receipts = [load_dataset(engine, source) for source in open_sources([str(real_data / "corpus")])]
        yield LoadedCorpus(engine, receipts)
        engine.dispose()


@pytest.fixture(scope="session")
def published(real_data: Path) -> PublishedVectors:
    """The vectors that come with the corpus."""
    vectors = np.load(real_data / "vectors" / "all-MiniLM-L6-v2.float16.npy")
    digests = (real_data / "vectors" / "sha256.bin").read_bytes()
    return PublishedVectors(vectors, {digests[32 * place :][:32]: place for place in range(len(vectors))})


@pytest.fixture(scope="session")
def encoder_id(loaded: LoadedCorpus, published: PublishedVectors) -> int:
    """An encoder under which every text of the corpus has its published vector."""
    with loaded.engine.begin() as connection:
        encoder = register_encoder(connection, EncoderIdentity("published", "1", bytes(32), 384, 256, "float32"))
        plan_chunks(connection, encoder)
        for dataset_id in connection.execute(select(Dataset.dataset_id)).scalars().all():
            texts = connection.execute(
                select(TextValue.text_id, TextValue.sha256).where(TextValue.dataset_id == dataset_id)
            ).all()
            vectors = published.vectors[[published.places[bytes(digest)] for _, digest in texts]].astype(np.float32)
            buffer = embedding_tuples(dataset_id, encoder, [text_id for text_id, _ in texts], vectors)
            copy_in(connection, "embedding", EMBEDDING_COLUMNS, [buffer])
        connection.execute(update(EmbedChunk).values(state="done", finished_at=func.now()))
    return encoder
