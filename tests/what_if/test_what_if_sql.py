"""`lineage.what_if` ranks as the code does and as the plain rule does, to the bit, whatever is asked of any scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rebase_db.database.engine import engine_for
from rebase_db.retrieve.rank import rank_rows
from rebase_db.retrieve.snapshot import stored_candidates
from tests.conftest import cloned_database
from tests.retrieve import reference
from tests.retrieve.conftest import fill
from tests.retrieve.corpus import Corpus
from tests.retrieve.reference import ScoredRow
from tests.retrieve.test_rank import SCORINGS, scores, shares, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NAMES = {"first": 1, "mirror": 2, "twins": 3, "holes": 4, "plain": 5}
LICENCES = {1: "MIT", 2: None, 3: "CC-BY-NC-4.0", 4: "mit", 5: "Own words"}
PRESENT: dict[str, Any] = {"top_n": 10, "scoring": "average-score", "mirrors": "first", "exclude_datasets": ["h*"]}
CALL = """
SELECT rank, dataset_id, row_id, score, present_rank, state, example_id
FROM lineage.what_if(
    'task', top_n => :top_n, scoring => :scoring, mirrors => :mirrors, max_share => :max_share,
    input_weight => :input_weight, output_weight => :output_weight, dataset_weight => :dataset_weight,
    exclude_datasets => :exclude_datasets, exclude_licences => :exclude_licences, include_datasets => :include_datasets
)
"""
NOTHING = dict.fromkeys(
    ["top_n", "scoring", "mirrors", "max_share", "input_weight", "output_weight", "dataset_weight",
     "exclude_datasets", "exclude_licences", "include_datasets"]
)  # fmt: skip


@pytest.fixture(scope="module")
def ranked(server_url: str, template_database: str) -> Iterator[tuple[Corpus, int]]:
    """A corpus with a task that was ranked once, and its version; changes to it are rolled back."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        corpus = fill(Corpus(engine))
        version = corpus.add_task("task")
        corpus.retrieve(version, **PRESENT)
        with engine.begin() as connection:
            for dataset_id, licence in LICENCES.items():
                statement = text("UPDATE dataset SET licence = :licence WHERE dataset_id = :dataset_id")
                connection.execute(statement, {"licence": licence, "dataset_id": dataset_id})
        yield corpus, version
        engine.dispose()


def scatter(connection: Connection, version: int, draw: Any) -> None:
    """Give every row other part scores, and withdraw or remove some."""
    kind = draw(st.sampled_from([scores, st.sampled_from([0.0, 0.25, 0.5])]))
    for dataset_id, rows in connection.execute(text("SELECT dataset_id, cardinality(row_ids) FROM row_score")).all():
        values = {
            "inputs": draw(st.lists(kind, min_size=rows, max_size=rows)),
            "outputs": draw(st.lists(kind, min_size=rows, max_size=rows)),
            "described": draw(kind),
        }
        connection.execute(
            text(
                "UPDATE row_score SET input_scores = cast(:inputs AS real[]), output_scores = cast(:outputs AS real[]),"
                " dataset_score = :described WHERE dataset_id = :dataset_id AND task_version_id = :version"
            ),
            values | {"dataset_id": dataset_id, "version": version},
        )
    for mark in ("retracted_at", "removed_at"):
        gone = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 23)), max_size=4))
        for dataset_id, row_id in gone:
            connection.execute(
                text(f"UPDATE source_row SET {mark} = now() WHERE dataset_id = :d AND row_id = :r"),  # noqa: S608
                {"d": dataset_id, "r": row_id},
            )


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    scoring = draw(st.sampled_from(SCORINGS))
    given = draw(weights) if scoring == "average-score" and draw(st.booleans()) else (None, None, None)
    return {
        "top_n": draw(st.integers(1, 60)),
        "scoring": scoring,
        "mirrors": draw(st.sampled_from(["first", "all"])),
        "max_share": draw(st.none() | shares),
        **dict(zip(("input_weight", "output_weight", "dataset_weight"), given, strict=True)),
        "exclude_datasets": draw(st.sampled_from([None, [], ["first"], ["f*", "twi??"], ["*i*"]])),
        "exclude_licences": draw(st.sampled_from([None, ["mit"], ["unknown"], ["cc-by-nc-4.0", "OWN WORDS"]])),
        "include_datasets": draw(st.sampled_from([None, ["holes"]])),
    }


def left_out(asked: dict[str, Any]) -> set[int]:
    by_glob = {"first": {1}, "f*": {1}, "twi??": {3}, "*i*": {1, 2, 3, 5}}
    by_licence = {"mit": {1, 4}, "unknown": {2}, "cc-by-nc-4.0": {3}, "OWN WORDS": {5}}
    found = set() if asked["include_datasets"] else {4}
    for glob in asked["exclude_datasets"] or ():
        found |= by_glob[glob]
    for licence in asked["exclude_licences"] or ():
        found |= by_licence[licence]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_question_of_any_scores(ranked: tuple[Corpus, int], data: st.DataObject) -> None:
    corpus, version = ranked
    asked = data.draw(questions())
    with corpus.engine.connect() as connection:
        scatter(connection, version, data.draw)
        answered = [tuple(row) for row in connection.execute(text(CALL), asked)]
        rows = stored_candidates(connection, version, corpus.encoder_id)
        contents = connection.execute(text("SELECT dataset_id, row_id, content_hash FROM source_row"))
        content = {(dataset_id, row_id): bytes(digest) for dataset_id, row_id, digest in contents}
        # Of earlier rankings there are displaced links, which have a state still, and no rank.
        links = connection.execute(text("SELECT dataset_id, row_id, displaced_by, rank, state FROM retrieval_link"))
        present = {(link[0], link[1]): (None if link.displaced_by else link.rank, link.state) for link in links}
        connection.rollback()
    assert [row[0] for row in answered] == list(range(1, len(answered) + 1))
    options: dict[str, Any] = {
        "top_n": asked["top_n"],
        "scoring": asked["scoring"],
        "excluded": left_out(asked),
        "drop_mirrors": asked["mirrors"] == "first",
        "weights": None if asked["input_weight"] is None else tuple(asked[name] for name in list(NOTHING)[4:7]),
        "max_share": asked["max_share"],
    }
    if options["weights"] is not None and len(set(options["weights"])) == 1:
        options["weights"] = None
    by_code = rank_rows(rows, **options)
    keys = list(zip(rows.dataset_ids[by_code.chosen].tolist(), rows.row_ids[by_code.chosen].tolist(), strict=True))
    assert [row[1:3] for row in answered] == keys
    assert [row[3] for row in answered] == by_code.scores.tolist()
    assert [row[4:6] for row in answered] == [present.get(key, (None, None)) for key in keys]
    by_hand = reference.rank(
        [
            ScoredRow(dataset_id, row_id, of_input, of_output, of_dataset, 1, 1, content[dataset_id, row_id])
            for dataset_id, row_id, of_input, of_output, of_dataset in zip(
                rows.dataset_ids.tolist(), rows.row_ids.tolist(), rows.input_scores.tolist(),
                rows.output_scores.tolist(), rows.dataset_scores.tolist(), strict=True,
            )
        ],
        **options,
    )  # fmt: skip
    assert keys == [row.key for row, _ in by_hand.chosen]


def test_with_nothing_asked_it_is_the_present_ranking(ranked: tuple[Corpus, int]) -> None:
    corpus, version = ranked
    with corpus.engine.begin() as connection:
        answered = connection.execute(text("SELECT rank, present_rank, state FROM lineage.what_if('task')")).all()
    assert [tuple(row) for row in answered] == [(rank, rank, "retrieved") for rank in range(1, 11)]
    # And what a later one asked for is what is not given.
    later = PRESENT | {"weights": (0.0, 2.0, 1.0), "max_share": 0.5, "top_n": 7}
    corpus.retrieve(version, **later)
    try:
        with corpus.engine.begin() as connection:
            query = text("SELECT rank, present_rank FROM lineage.what_if('task', mirrors => 'first')")
            assert [tuple(row) for row in connection.execute(query)] == [(rank, rank) for rank in range(1, 8)]
            query = text("SELECT rank, score FROM lineage.what_if('task', input_weight => 0, dataset_weight => 0)")
            by_output = [score for _, score in connection.execute(query)]
            rows = stored_candidates(connection, version, corpus.encoder_id)
        assert by_output[0] == np.max(rows.output_scores[rows.dataset_ids != 4])
    finally:
        corpus.retrieve(version, **PRESENT)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"top_n": 0}, "top_n is below 1"),
        ({"scoring": "best"}, "scoring is not average-score"),
        ({"mirrors": "none"}, "mirrors is not first or all"),
        ({"max_share": 0.0}, "max_share is not above 0"),
        ({"max_share": 1.5}, "max_share is not above 0"),
        ({"input_weight": 0.0, "output_weight": 0.0, "dataset_weight": 0.0}, "not all zero"),
        ({"input_weight": -1.0}, "weights are from 0 to 1000"),
        ({"input_weight": float("nan")}, "weights are from 0 to 1000"),
        ({"scoring": "max-rank", "output_weight": 1.0}, "weights count in scoring average-score only"),
        ({"exclude_datasets": ["first", "frist"]}, "there is no dataset 'frist'"),
        ({"include_datasets": ["frist%"]}, "there is no dataset 'frist%'"),
        ({"exclude_licences": ["gpl"]}, "no dataset states the licence 'gpl'"),
    ],
)
def test_what_cannot_be_asked_is_refused(ranked: tuple[Corpus, int], changed: dict[str, Any], words: str) -> None:
    with ranked[0].engine.connect() as connection, pytest.raises(DBAPIError, match=words):
        connection.execute(text(CALL), NOTHING | changed)


def test_an_unknown_task_is_refused(ranked: tuple[Corpus, int]) -> None:
    with ranked[0].engine.connect() as connection, pytest.raises(DBAPIError, match="no ranking of a task 'tsak'"):
        connection.execute(text("SELECT * FROM lineage.what_if('tsak')"))
