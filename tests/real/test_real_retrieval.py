"""Retrieval of every published task against NumPy on the same vectors, from the Parquet files on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from sqlalchemy import insert

from rebase_db.hashing import content_hash
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.run import read_requests, request_retrieval
from rebase_db.schema import Task, TaskVersion
from tests.load.sources import fetch
from tests.real.brute_force import EPSILON, BruteForce, ReferenceEncoder, brute_force, cost, cost_bounds
from tests.retrieve.corpus import compute_and_finish

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from tests.real.conftest import LoadedCorpus, PublishedVectors

    Floats = NDArray[np.float64]

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

TOP_N = 1000
SCORINGS = ("average-score", "average-rank", "max-rank")


@pytest.fixture(scope="module")
def tasks(real_data: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((real_data / "tasks.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def encoder() -> ReferenceEncoder:
    return ReferenceEncoder()


@pytest.fixture(scope="module")
def versions(loaded: LoadedCorpus, tasks: dict[str, Any]) -> list[int]:
    """The tasks in the database."""
    found = []
    with loaded.engine.begin() as connection:
        for name, task in tasks.items():
            parts = ("instruction", "retrieval_instruction", "examples", "retrieval_examples")
            version = {part: task[part] for part in parts} | {"version": 1, "reasoning": False, "notes": ""}
            added = insert(Task).values(name=name, settings={}).returning(Task.task_id)
            version |= {
                "task_id": connection.execute(added).scalar_one(),
                "content_hash": content_hash("test", version),
            }
            inserted = insert(TaskVersion).values(version).returning(TaskVersion.task_version_id)
            found.append(connection.execute(inserted).scalar_one())
    return found


@pytest.fixture(scope="module")
def expected(
    real_data: Path,
    loaded: LoadedCorpus,
    published: PublishedVectors,
    tasks: dict[str, Any],
    encoder: ReferenceEncoder,
    encoder_id: int,
    versions: list[int],
) -> BruteForce:
    kept = ensure_query_vectors(loaded.engine, lambda: cast("Encoder", encoder), encoder_id, versions)
    of_tasks = [kept[version] for version in versions]
    return brute_force(real_data, loaded.engine, published, list(tasks.values()), encoder, of_tasks)


def retrieve(engine: Engine, encoder_id: int, versions: list[int], encoder: ReferenceEncoder, **options: Any) -> None:
    with engine.begin() as connection:
        asked = [
            request_retrieval(connection, version, encoder_id, top_n=TOP_N, exclude_datasets=[], **options)
            for version in versions
        ]
        requests = read_requests(connection, asked)
    compute_and_finish(engine, requests, cast("Encoder", encoder))


def present(engine: Engine, version: int) -> tuple[list[tuple[int, int]], Floats]:
    """Keys and scores of the present ranking, best first."""
    rows = fetch(
        engine,
        "SELECT dataset_id, row_id, score FROM retrieval_link"
        " WHERE task_version_id = :version AND displaced_by IS NULL ORDER BY rank",
        version=version,
    )
    return [row[:2] for row in rows], np.array([row[2] for row in rows])


@pytest.mark.parametrize("scoring", SCORINGS)
def test_rankings_are_those_of_brute_force(
    loaded: LoadedCorpus, encoder_id: int, versions: list[int], encoder: ReferenceEncoder, expected: BruteForce,
    scoring: str,
) -> None:  # fmt: skip
    retrieve(loaded.engine, encoder_id, versions, encoder, scoring=scoring, mirrors="all")
    places = {key: place for place, key in enumerate(expected.keys)}
    same = 0
    for task, version in enumerate(versions):
        keys, scores = present(loaded.engine, version)
        assert len(keys) == len(set(keys)) == TOP_N
        low, high = cost_bounds(expected.parts[:, task], scoring)
        chosen = np.array([places[key] for key in keys])
        costs = -scores if scoring == "average-score" else scores
        assert np.all((low[chosen] <= costs) & (costs <= high[chosen]))
        # Whatever was not chosen is no better than what was, or ties with it; and so for neighbours in the ranking.
        left_out = np.setdiff1d(np.arange(len(low)), chosen)
        assert low[chosen].max() <= high[left_out].min()
        assert np.all(low[chosen[:-1]] <= high[chosen[1:]])
        assert np.all(np.diff(costs) >= 0)
        # With scores rounded as ours are, brute force has the very same ranking.
        rounded = expected.rounded[:, task].astype(np.float64)
        own = np.lexsort((-rounded.sum(axis=0), cost(rounded, scoring, 0)))[:TOP_N]
        same += own.tolist() == chosen.tolist()
    assert same >= len(versions) - 1  # once in a blue moon a score lies where rounding may go either way


def test_mirrors_are_left_out(
    loaded: LoadedCorpus, encoder_id: int, versions: list[int], encoder: ReferenceEncoder, expected: BruteForce
) -> None:
    retrieve(loaded.engine, encoder_id, versions, encoder, scoring="average-score", mirrors="first")
    places = {key: place for place, key in enumerate(expected.keys)}
    left_out = 0
    for task, version in enumerate(versions):
        keys, scores = present(loaded.engine, version)
        chosen = np.array([places[key] for key in keys])
        average = expected.parts[:, task].mean(axis=0)
        assert np.abs(average[chosen] - scores).max() < EPSILON
        contents = expected.contents[chosen]
        assert len(set(contents.tolist())) == TOP_N
        best_of_content = np.full(expected.contents.max() + 1, -np.inf)
        np.maximum.at(best_of_content, expected.contents, average)
        # The best row of each content competes; the chosen contents are the best, but for ties at the cut.
        assert np.abs(best_of_content[contents] - scores).max() < EPSILON
        others = np.delete(best_of_content, contents)
        assert others.max() <= scores[-1] + EPSILON
        mirrors = fetch(
            loaded.engine,
            "SELECT mirror.dataset_id, mirror.row_id, link.dataset_id, link.row_id FROM retrieval_mirror AS mirror"
            " JOIN retrieval_link AS link ON link_id = kept_link_id WHERE retrieval_id ="
            " (SELECT max(retrieval_id) FROM retrieval WHERE task_version_id = :version)",
            version=version,
        )
        left_out += len(mirrors)
        for *mirror, dataset_id, row_id in mirrors:
            repeated, kept = places[mirror[0], mirror[1]], places[dataset_id, row_id]
            assert expected.contents[repeated] == expected.contents[kept]
            assert scores[-1] - EPSILON <= average[repeated] <= average[kept] + EPSILON
            assert kept in chosen
            assert repeated not in chosen
        passed_over = (average > scores[-1] + EPSILON).sum() - (best_of_content > scores[-1] + EPSILON).sum()
        ties = (np.abs(average - scores[-1]) <= EPSILON).sum()
        assert passed_over <= len(mirrors) <= passed_over + ties
    assert left_out > 0


def test_scores_of_all_rows_and_their_winning_columns(
    loaded: LoadedCorpus, encoder_id: int, versions: list[int], encoder: ReferenceEncoder, expected: BruteForce
) -> None:
    retrieve(loaded.engine, encoder_id, versions, encoder, scoring="max-rank", mirrors="first")
    columns_query = "SELECT dataset_id, column_id, name FROM dataset_column"
    names = {(key, column): name for key, column, name in fetch(loaded.engine, columns_query)}
    starts = expected.starts
    for task, version in enumerate(versions):
        rows = fetch(
            loaded.engine,
            "SELECT dataset_id, dataset_score, row_ids, input_scores, output_scores, input_columns, output_columns"
            " FROM row_score WHERE task_version_id = :version ORDER BY dataset_id",
            version=version,
        )
        assert [(row[0], row_id) for row in rows for row_id in row[2]] == expected.keys
        found = [np.concatenate([row[column] for row in rows]) for column in (3, 4)]
        found.append(np.repeat([row[1] for row in rows], [len(row[2]) for row in rows]))
        assert np.abs(np.stack(found) - expected.parts[:, task]).max() < EPSILON
        for side, of_side in ((0, 5), (1, 6)):
            # The named column's cell has the best cosine, and no cell before it has a better one.
            cosines = expected.cosines[:, task + side * len(versions)]
            best = expected.parts[side, task]
            columns = [names[row[0], column] for row in rows for column in row[of_side]]
            own = np.array([of_row.index(name) for of_row, name in zip(expected.columns, columns, strict=True)])
            assert np.abs(cosines[starts + own] - best).max() < EPSILON
            for place in np.flatnonzero(own):
                earlier = cosines[starts[place] : starts[place] + own[place]]
                assert earlier.max() < best[place] or best[place] - earlier.max() < EPSILON
