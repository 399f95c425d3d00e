"""A small corpus in which much is equal: texts, rows, and datasets without a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.retrieve.corpus import Corpus, exact_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Engine

Row = dict[str, str | None]


def fill(corpus: Corpus) -> Corpus:
    """Five datasets: two repeat rows of the first, one has rows without cells, one is described by its columns."""
    first: list[Row] = [
        {"question": f"question {n % 11}", "answer": f"answer {n % 3}", "id": str(n)} for n in range(23)
    ]
    corpus.load("first", first, "Questions and answers.")
    mirror: list[Row] = [*first[4:12], {"question": "another", "answer": "answer 1", "id": "new"}]
    corpus.load("mirror", mirror, "The same questions.")
    corpus.load("twins", [first[3], first[3], first[5], {"lone": "row"}], "Questions and answers.")
    corpus.load("holes", [{"a": None, "b": None}, {"a": "only a", "b": None}, {"a": None, "b": "answer 2"}], "Holes.")
    corpus.load("plain", [{"text": f"text {n}", "same": f"text {n}", "other": f"text {n % 4}"} for n in range(9)])
    corpus.embed()
    return corpus


@pytest.fixture
def new_corpus(engine: Engine) -> Callable[..., Corpus]:
    """Make the small corpus, with vectors of a kind."""

    def make(vector_of: Callable[[str], NDArray[np.float32]] = exact_vector) -> Corpus:
        return fill(Corpus(engine, vector_of))

    return make


@pytest.fixture
def corpus(new_corpus: Callable[..., Corpus]) -> Corpus:
    """The small corpus with exact vectors."""
    return new_corpus()
