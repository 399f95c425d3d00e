"""What retrieval writes is what the method says, cell by cell, whatever is scored together and in what portions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import text

from rebase_db.errors import RebaseError
from rebase_db.retrieve import corpus as corpus_module
from rebase_db.retrieve import run, score
from rebase_db.retrieve.corpus import read_live
from rebase_db.retrieve.query_vectors import QueryVectors
from rebase_db.retrieve.score import score_rows
from tests.load.sources import fetch
from tests.retrieve.corpus import WIDTH, Corpus, exact_vector, expected_links, links, smooth_vector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Engine

SCORINGS = ("average-score", "average-rank", "max-rank")


@pytest.mark.parametrize("mirrors", ["first", "all"])
def test_exact_vectors_give_exactly_the_reference(corpus: Corpus, mirrors: str) -> None:
    version = corpus.add_task("task", examples=4)
    for scoring in SCORINGS:
        for top_n in (1, 7, 1000):
            retrieval_id = corpus.retrieve(version, scoring=scoring, top_n=top_n, mirrors=mirrors)
            expected = corpus.ranked(version, scoring=scoring, top_n=top_n, drop_mirrors=mirrors == "first")
            assert links(corpus.engine, version) == expected_links(expected)
            recorded = fetch(
                corpus.engine,
                "SELECT mirror.dataset_id, mirror.row_id, link.dataset_id, link.row_id FROM retrieval_mirror AS mirror"
                " JOIN retrieval_link AS link ON link_id = kept_link_id WHERE retrieval_id = :id ORDER BY 1, 2",
                id=retrieval_id,
            )
            assert recorded == sorted((*left.key, *kept.key) for left, kept in expected.mirrors)
            counts = fetch(
                corpus.engine,
                "SELECT rows_scored, rows_entered + rows_kept, mirrors_left_out, cutoff_score FROM retrieval"
                " WHERE retrieval_id = :id",
                id=retrieval_id,
            )
            assert counts == [(47, len(expected.chosen), len(expected.mirrors), expected.chosen[-1][1])]
    assert len(corpus.encoded) == 1  # the task's vectors are kept


@pytest.mark.parametrize("examples", [1, 3])
def test_smooth_vectors_give_the_reference_within_rounding(new_corpus: Callable[..., Corpus], examples: int) -> None:
    corpus = new_corpus(smooth_vector)
    version = corpus.add_task("task", examples)
    for scoring in SCORINGS:
        corpus.retrieve(version, scoring=scoring, top_n=30, mirrors="all")
        expected = expected_links(corpus.ranked(version, scoring=scoring, top_n=30, drop_mirrors=False))
        found = links(corpus.engine, version)
        assert [(link.key, link.columns) for link in found] == [(link.key, link.columns) for link in expected]
        np.testing.assert_allclose([link.score for link in found], [link.score for link in expected], atol=1e-6)
        np.testing.assert_allclose([link.parts for link in found], [link.parts for link in expected], atol=1e-6)


def test_scores_of_all_rows_are_kept(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    retrieval_id = corpus.retrieve(version, top_n=1, exclude_datasets=["first"])
    found = fetch(
        corpus.engine,
        "SELECT dataset_id, unnest(row_ids), unnest(input_scores), unnest(output_scores), dataset_score,"
        " unnest(input_columns), unnest(output_columns) FROM row_score"
        " WHERE task_version_id = :version AND retrieval_id = :id ORDER BY 1, 2",
        version=version,
        id=retrieval_id,
    )
    assert found == [
        (*row.key, row.input_score, row.output_score, row.dataset_score, row.input_column, row.output_column)
        for row in sorted(corpus.scored(version), key=lambda row: row.key)
    ]
    assert len(found) == 47
    # In arrays that stand side by side, a dataset a row, without the rows that have no cells.
    assert fetch(
        corpus.engine, "SELECT name, row_ids FROM row_score JOIN dataset USING (dataset_id) WHERE name = 'holes'"
    ) == [("holes", [2, 3])]
    assert fetch(corpus.engine, "SELECT count(*) FROM row_score") == [(5,)]


def test_of_equal_cells_the_first_column_wins(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    corpus.retrieve(version, top_n=100, mirrors="all")
    plain = fetch(
        corpus.engine,
        "SELECT input_column.name, output_column.name FROM retrieval_link AS link JOIN dataset USING (dataset_id)"
        " JOIN dataset_column AS input_column ON input_column.dataset_id = link.dataset_id AND input_column.column_id ="
        " input_column_id JOIN dataset_column AS output_column ON output_column.dataset_id = link.dataset_id AND"
        " output_column.column_id = output_column_id WHERE dataset.name = 'plain'",
    )
    assert len(plain) == 9
    assert {name for pair in plain for name in pair} <= {"text", "other"}  # never `same`, which repeats `text`


def test_neither_portions_nor_company_matter(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [corpus.add_task(name) for name in ("one", "two", "three")]

    def ask() -> list[int]:
        """Anew, with other links and without any score."""
        for version in versions:
            corpus.retrieve(version, top_n=1)
        with corpus.engine.begin() as connection:
            connection.execute(text("DELETE FROM row_score"))
        asked = zip(versions, SCORINGS, strict=True)
        return [corpus.ask(version, scoring=scoring, mirrors="all") for version, scoring in asked]

    def written() -> list[list[Any]]:
        columns = "task_version_id, dataset_id, dataset_score, row_ids, input_scores, output_scores, input_columns"
        order = "output_columns FROM row_score ORDER BY task_version_id, dataset_id"
        scores = fetch(corpus.engine, f"SELECT {columns}, {order}")
        return [scores, *(links(corpus.engine, version) for version in versions)]

    corpus.compute(*ask())
    expected = written()
    assert [len(part) for part in expected] == [15, 10, 10, 10]
    for module, name, value in (
        (score, "TEXTS_A_GROUP", 1),
        (score, "TEXTS_A_GROUP", 40),
        (score, "CELLS_A_BLOCK", 1),
        (score, "CELLS_A_BLOCK", 4),
        (corpus_module, "VECTORS_A_MESSAGE", 1),
        (corpus_module, "VECTORS_A_MESSAGE", 7),
        (corpus_module, "ROWS_A_MESSAGE", 1),
        (corpus_module, "ROWS_A_MESSAGE", 5),
        (run, "SCORE_BYTES_A_PASS", 1),
        (run, "SCORE_BYTES_A_PASS", 12 * 50 * 2),
    ):
        wanted = ask()
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            corpus.compute(*wanted)
        assert written() == expected, (name, value)
    for retrieval_id in reversed(ask()):
        corpus.compute(retrieval_id)
    assert written() == expected


def test_scorings_of_one_task_in_one_pass_are_merged_in_the_order_they_were_asked_for(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    wanted = [corpus.ask(version, scoring=scoring, top_n=top_n) for scoring in SCORINGS for top_n in (20, 4, 12)]
    corpus.compute(*wanted)
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version, scoring="max-rank", top_n=12))
    assert fetch(corpus.engine, "SELECT DISTINCT retrieval_id FROM row_score") == [(wanted[0],)]
    scored = "SELECT retrieval_id, sum(scored) FROM retrieval_dataset GROUP BY 1 ORDER BY 1"
    assert fetch(corpus.engine, scored) == [(wanted[0], 47), *((later, 0) for later in wanted[1:])]


def test_retracted_rows_do_not_compete(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    before = corpus.ranked(version, drop_mirrors=False)
    gone = [before.chosen[place][0].key for place in (0, 2)]
    with corpus.engine.begin() as connection:
        retract = text("UPDATE source_row SET retracted_at = now() WHERE (dataset_id, row_id) = (:dataset_id, :row_id)")
        connection.execute(retract, [{"dataset_id": key[0], "row_id": key[1]} for key in gone])
        connection.execute(text("UPDATE source_row SET retracted_at = now() WHERE dataset_id = 5"))
    corpus.retrieve(version)
    expected = corpus.ranked(version)
    assert {row.key for row, _ in expected.chosen}.isdisjoint(gone)
    assert links(corpus.engine, version) == expected_links(expected)
    assert fetch(corpus.engine, "SELECT rows_scored FROM retrieval") == [
        (47 - 2 - 9 + sum(key[0] == 5 for key in gone),)
    ]
    assert fetch(corpus.engine, "SELECT array_agg(dataset_id ORDER BY dataset_id) FROM row_score") == [([1, 2, 3, 4],)]


def test_a_mirror_of_a_retracted_row_takes_its_place(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    kept = corpus.ranked(version, top_n=100).mirrors[0][1]
    with corpus.engine.begin() as connection:
        connection.execute(
            text("UPDATE source_row SET retracted_at = now() WHERE (dataset_id, row_id) = (:dataset_id, :row_id)"),
            {"dataset_id": kept.dataset_id, "row_id": kept.row_id},
        )
    expected = corpus.ranked(version, top_n=100)
    (instead,) = [row for row, _ in expected.chosen if row.content == kept.content]
    assert instead.key != kept.key
    corpus.retrieve(version, top_n=100)
    assert links(corpus.engine, version) == expected_links(expected)


def test_excluded_datasets_are_scored_but_not_ranked(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    for globs, excluded in (
        (["first"], {1}),
        (["*i*"], {1, 2, 3, 5}),
        (["none", "holes", "t?ins"], {3, 4}),
        (["*"], {1, 2, 3, 4, 5}),
    ):
        before = len(links(corpus.engine, version))
        retrieval_id = corpus.retrieve(version, exclude_datasets=globs, top_n=100)
        assert links(corpus.engine, version) == expected_links(corpus.ranked(version, excluded=excluded, top_n=100))
        assert fetch(corpus.engine, "SELECT count(*) FROM row_score") == [(5,)]
        recorded = fetch(
            corpus.engine,
            "SELECT array_agg(dataset_id ORDER BY dataset_id) FROM retrieval_exclusion WHERE retrieval_id = :id",
            id=retrieval_id,
        )
        assert recorded == [(sorted(excluded),)]
    counts = "SELECT rows_scored, rows_entered, rows_kept, rows_displaced, cutoff_score FROM retrieval"
    assert fetch(corpus.engine, f"{counts} ORDER BY retrieval_id DESC LIMIT 1") == [(47, 0, 0, before, None)]


def test_an_empty_corpus_gives_an_empty_ranking(engine: Engine) -> None:
    corpus = Corpus(engine)
    version = corpus.add_task("task")
    corpus.retrieve(version)
    assert links(engine, version) == []
    assert fetch(engine, "SELECT rows_scored, cutoff_score FROM retrieval") == [(0, None)]
    corpus.load("nothing", [{"a": None}, {"a": None}])  # two rows that are mirrors of each other and have no cell
    corpus.embed()
    corpus.retrieve(version, top_n=3)
    assert links(engine, version) == []
    assert fetch(engine, "SELECT rows_scored FROM retrieval ORDER BY retrieval_id") == [(0,), (0,)]


def test_a_corpus_that_is_not_embedded_is_refused(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    corpus.load("late", [{"a": "one"}, {"a": "two"}])
    with pytest.raises(RebaseError, match=r"3 texts of the corpus have no vector under encoder 1") as raised:
        corpus.retrieve(version)
    assert "rebase embed" in raised.value.hint
    assert corpus.encoded == []
    assert fetch(corpus.engine, "SELECT state FROM retrieval") == [("waiting",)]
    corpus.embed()
    corpus.retrieve(version)
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version))


def test_texts_ingested_while_query_vectors_are_computed_are_noticed(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    retrieval_id = corpus.ask(version)

    class Slow(Corpus):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            corpus.load("late", [{"a": "one"}])
            return corpus.encode(texts)

    slow = Slow(corpus.engine)
    with pytest.raises(RebaseError, match="2 texts of the corpus have no vector"):
        slow.compute(retrieval_id)
    assert fetch(corpus.engine, "SELECT count(*) FROM row_score") == [(0,)]


@pytest.mark.parametrize("missing", [1, 2])
def test_a_vector_that_is_missing_though_its_chunk_is_done_is_noticed(engine: Engine, missing: int) -> None:
    corpus = Corpus(engine)
    version = corpus.add_task("task")
    corpus.load("d", [{"a": "one"}], "D.")
    with engine.begin() as connection:  # one text's vector is written, the other's is not
        connection.execute(
            text(
                "INSERT INTO embed_chunk (encoder_id, dataset_id, first_text_id, last_text_id, state, finished_at)"
                " VALUES (1, 1, 1, 2, 'done', now())"
            )
        )
        connection.execute(
            text("INSERT INTO embedding VALUES (1, 1, :text_id, :width, CAST(:vector AS halfvec))"),
            {"text_id": 3 - missing, "width": WIDTH, "vector": str(exact_vector("x").tolist())},
        )
    with pytest.raises(RebaseError, match="Dataset 1 has texts without a vector"):
        corpus.retrieve(version)


def test_an_error_while_vectors_stream_in_lets_go_of_the_connection(corpus: Corpus) -> None:
    wrong = QueryVectors(*(np.ones(WIDTH + 1, np.float32),) * 3)
    with corpus.engine.connect() as connection:
        with pytest.raises(ValueError, match="matmul"):
            list(score_rows(connection, corpus.encoder_id, [wrong], read_live(connection)[0]))
        connection.rollback()
        assert connection.execute(text("SELECT count(*) FROM dataset")).scalar_one() == 5
