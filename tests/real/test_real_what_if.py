"""Other rankings of published tasks over the published corpus: SQL and code agree to the bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import insert, text

from rebase_db.hashing import content_hash
from rebase_db.retrieve.rank import rank_rows
from rebase_db.retrieve.run import read_requests, request_retrieval
from rebase_db.retrieve.snapshot import stored_candidates
from rebase_db.schema import Task, TaskVersion
from tests.real.brute_force import ReferenceEncoder
from tests.retrieve.corpus import compute_and_finish

if TYPE_CHECKING:
    from pathlib import Path

    from rebase_db.embed.encoder import Encoder
    from tests.real.conftest import LoadedCorpus

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

TASKS = 3
QUESTIONS: list[dict[str, Any]] = [
    {"top_n": 1000},
    {"max_share": 0.1},
    {"mirrors": "all", "scoring": "average-rank"},
    {"scoring": "max-rank", "max_share": 0.05},
    {"input_weight": 0.3, "output_weight": 2.0, "dataset_weight": 0.7, "max_share": 0.29},
    {"exclude_datasets": ["*a*"], "output_weight": 1.5},
]


@pytest.fixture(scope="module")
def versions(loaded: LoadedCorpus, encoder_id: int, real_data: Path) -> dict[str, int]:
    """Some tasks, ranked, by name."""
    tasks = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))
    found = {}
    with loaded.engine.begin() as connection:
        for name, task in list(tasks.items())[:TASKS]:
            parts = ("instruction", "retrieval_instruction", "examples", "retrieval_examples")
            version = {part: task[part] for part in parts} | {"version": 1, "reasoning": False, "notes": ""}
            added = insert(Task).values(name=f"what if {name}", settings={}).returning(Task.task_id)
            version |= {
                "task_id": connection.execute(added).scalar_one(),
                "content_hash": content_hash("test", version),
            }
            inserted = insert(TaskVersion).values(version).returning(TaskVersion.task_version_id)
            found[f"what if {name}"] = connection.execute(inserted).scalar_one()
        options: dict[str, Any] = {"scoring": "average-score", "mirrors": "first", "exclude_datasets": []}
        asked = [request_retrieval(connection, each, encoder_id, top_n=3000, **options) for each in found.values()]
        requests = read_requests(connection, asked)
    compute_and_finish(loaded.engine, requests, cast("Encoder", ReferenceEncoder()))
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_sql_and_code_agree(
    loaded: LoadedCorpus, encoder_id: int, versions: dict[str, int], question: dict[str, Any]
) -> None:
    arguments = ", ".join(f"{name} => :{name}" for name in question)
    query = f"SELECT dataset_id, row_id, score FROM lineage.what_if(:task, {arguments}) ORDER BY rank"  # noqa: S608
    weights = tuple(question.get(f"{part}_weight", 1.0) for part in ("input", "output", "dataset"))
    with loaded.engine.connect() as connection:
        excluded: set[int] = set()
        if "exclude_datasets" in question:
            names = text("SELECT dataset_id FROM dataset WHERE name LIKE '%a%'")
            excluded = set(connection.execute(names).scalars())
            assert excluded
        for task, version in versions.items():
            answered = [tuple(row) for row in connection.execute(text(query), {"task": task, **question})]
            rows = stored_candidates(connection, version, encoder_id)
            ranking = rank_rows(
                rows,
                top_n=question.get("top_n", 3000),
                scoring=question.get("scoring", "average-score"),
                excluded=excluded,
                drop_mirrors=question.get("mirrors", "first") == "first",
                weights=weights if len(set(weights)) > 1 else None,
                max_share=question.get("max_share"),
            )
            assert answered == list(
                zip(
                    rows.dataset_ids[ranking.chosen].tolist(),
                    rows.row_ids[ranking.chosen].tolist(),
                    ranking.scores.tolist(),
                    strict=True,
                )
            )
            assert len(answered) > 500
