"""Every CHECK refuses what it is for: a copy of the lineage's row, changed so that it alone is violated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from rebase_db.queue import QUEUES
from rebase_db.schema import Base
from tests.schema.chain import NOW, Row, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

MACHINES = {queue.name: queue.machine for queue in QUEUES}
SHORT = b"\0" * 31

# Constraint to the changes that violate it, one test each. A claimable row starts from one that nobody has claimed yet.
VIOLATIONS: dict[str, list[dict[str, Any]]] = {
    "benchmark_content_hash_length_check": [{"content_hash": SHORT}],
    "budget_limits_check": [{"max_cost": -1}, {"max_tokens": -1}, {"max_examples": -1}],
    "budget_sums_check": [{"spent_cost": -1}, {"spent_tokens": -1}, {"held_cost": -1}, {"held_tokens": -1}],
    "check_definition_content_hash_length_check": [{"content_hash": SHORT}],
    "check_result_erased_check": [{"erased_by": 1, "evidence": {"seen": "words"}}],
    "check_result_verdict_check": [{"verdict": "perhaps"}],
    "dataset_name_check": [{"name": ""}],
    "embed_chunk_range_check": [{"last_text_id": 0}],
    "embedding_unit_length_check": [{"vector": [0.5, 0, 0]}, {"vector": [1, 0.5, 0]}, {"vector": [0, 0, 0]}],
    "embedding_width_check": [{"vector": [1, 0]}, {"width": 4}],
    "encoder_weights_hash_length_check": [{"weights_hash": SHORT}],
    "encoder_width_check": [{"width": 0}, {"width": 4001}],
    "evaluation_interval_check": [{"low": 0.6}, {"high": 0.4}],
    "example_content_hash_length_check": [{"content_hash": SHORT}],
    "event_erased_check": [{"erased_by": 1, "detail": "words"}],
    "example_not_empty_check": [
        {"input": ""},
        {"output": ""},
        {"erased_by": 1},
        {"erased_by": 1, "input": "", "output": "", "rationale": "words"},
    ],
    "example_parent_older_check": [{"parent_id": 2}, {"example_id": 1, "parent_id": 2}],
    "generation_erased_check": [{"erased_by": 1}, {"erased_by": 1, "raw_answer": None, "failures": ["words"]}],
    "generation_outcome_check": [{"outcome": "perhaps", "reason": "so"}],
    "generation_prompt_hash_length_check": [{"prompt_hash": SHORT}],
    "generation_reason_check": [{"reason": "accepted all the same"}, {"outcome": "rejected"}, {"outcome": "error"}],
    "generation_reading_check": [{"reading": None}],
    "generation_reused_check": [
        {"reused_from": 1},
        {"reused_from": 1, "requests": 0},
        {"reused_from": 1, "requests": 0, "raw_answer": None, "cost": 1},
        {"reused_from": 1, "requests": 0, "raw_answer": None, "outcome": "error", "reason": "so"},
    ],
    "judgement_erased_check": [{"erased_by": 1}, {"erased_by": 1, "raw_answer": None, "failures": ["words"]}],
    "judgement_outcome_check": [{"outcome": "perhaps", "points": None, "reason": "so"}],
    "judgement_points_check": [{"points": None}, {"outcome": "error", "reason": "so"}],
    "judgement_points_range_check": [{"points": 0}, {"points": 6}],
    "judgement_prompt_hash_length_check": [{"prompt_hash": SHORT}],
    "judgement_reason_check": [{"outcome": "rejected", "points": None}],
    "likely_source_confidence_check": [{"confidence": 0}, {"confidence": 1.5, "method": "stated"}],
    "likely_source_erased_check": [{"erased_by": 1, "evidence": {"seen": "words"}}],
    "likely_source_guess_check": [{"confidence": 1}],
    "prompt_content_hash_length_check": [{"content_hash": SHORT}],
    "publication_form_check": [{"form": "another"}],
    "published_example_content_hash_length_check": [{"content_hash": SHORT}],
    "published_rank_rank_check": [{"rank": 0}],
    "published_rank_row_check": [{"row_id": None}, {"dataset_id": None}],
    "reservation_presumed_check": [{"presumed": True}],
    "reservation_settled_check": [{"settled_at": NOW}, {"spent_tokens": 1}],
    "retraction_erased_is_final_check": [{"undone_at": NOW, "undo_reason": "so", "erased_at": NOW}],
    "retraction_kind_check": [{"kind": "task"}],
    "retraction_reason_check": [{"reason": ""}],
    "retraction_undone_check": [{"undone_at": NOW}, {"undo_reason": "so"}],
    "retrieval_done_has_counts_check": [{"rows_scored": 1}, {"state": "done", "finished_at": NOW}],
    "retrieval_link_rank_check": [{"rank": 0}],
    "retrieval_mirrors_check": [{"mirrors": "last"}],
    "retrieval_max_share_check": [{"max_share": 0}, {"max_share": 1}],
    "retrieval_weights_check": [
        {"weights": [1, 1], "scoring": "average-score"},
        {"weights": [1, 1, -1], "scoring": "average-score"},
        {"weights": [0, 0, 0], "scoring": "average-score"},
        {"weights": [1, 1, 1], "scoring": "max-rank"},
    ],
    "retrieval_scoring_check": [{"scoring": "worst-rank"}],
    "retrieval_top_n_check": [{"top_n": 0}],
    "row_score_parallel_check": [
        {"row_ids": [1, 2]},
        {"input_scores": [0.5, 0.5]},
        {"output_scores": []},
        {"input_columns": [1, 1]},
        {"output_columns": []},
    ],
    "source_row_content_check": [{"content": ["a"]}, {"content": "a"}],
    "source_row_content_hash_length_check": [{"content_hash": SHORT}],
    "task_version_content_hash_length_check": [{"content_hash": SHORT}],
    "teacher_content_hash_length_check": [{"content_hash": SHORT}],
    "text_erased_check": [{"erased_by": 1}, {"text": None}],
    "text_sha256_check": [{"text": "about letters."}, {"sha256": digest("another")}, {"sha256": SHORT}],
    "training_run_artifact_check": [
        {"artifact_path": "there"},
        {"state": "done", "finished_at": NOW, "artifact_hash": digest("artifact")},
    ],
    "training_run_artifact_hash_length_check": [
        {"state": "done", "finished_at": NOW, "artifact_hash": SHORT, "artifact_path": "there"}
    ],
    "training_run_base_weights_hash_length_check": [{"base_weights_hash": SHORT}],
    "training_run_done_has_artifact_check": [
        {"artifact_hash": digest("artifact"), "artifact_path": "there"},
        {"state": "done", "finished_at": NOW},
    ],
    "training_run_run_key_length_check": [{"run_key": SHORT}],
    "training_set_manifest_hash_length_check": [{"manifest_hash": SHORT}],
    "training_set_size_check": [{"size": 0}],
    "training_set_successor_check": [{"successor_of": 9}],
    "training_set_mix_dataset_ids_check": [{"dataset_ids": []}],
    "training_set_mix_examples_check": [{"examples": 0}],
    "training_run_parent_check": [{"parent_run_id": 2**31 - 1, "run_key": digest("child")}],
    "changed_row_previous_check": [{"previous_row_id": 9}],
}


def job_violations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Violations of the CHECKs that every claimable table has."""
    for table, machine in MACHINES.items():
        yield f"{table}_state_check", {"state": "lost"}
        yield f"{table}_worker_check", {"worker_id": 1}
        yield f"{table}_worker_check", {"state": machine.working}
        yield f"{table}_finished_check", {"finished_at": NOW}
        yield f"{table}_finished_check", {"state": "failed", "error": "E"}
        yield f"{table}_failure_has_error_check", {"state": "failed", "finished_at": NOW}
        yield f"{table}_attempt_check", {"attempt": -1}
        yield f"{table}_attempt_check", {"attempt": 6}


CASES = [(name, change) for name, changes in VIOLATIONS.items() for change in changes] + list(job_violations())
UNCLAIMED = {
    "attempt": 0,
    "finished_at": None,
    "error": None,
    "rows_scored": None,
    "artifact_hash": None,
    "artifact_path": None,
}


def copy_of(chain: dict[str, Row], table: str, change: dict[str, Any]) -> Row:
    """The values of a new row like the lineage's, unclaimed if that can be claimed, with a change."""
    stored = Base.metadata.tables[table]
    row = {name: value for name, value in chain[table].items() if stored.c[name].identity is None and name != "seal"}
    if table in MACHINES:
        row |= {name: value for name, value in UNCLAIMED.items() if name in row}
        row["state"] = MACHINES[table].ready
    return row | change


def table_of(constraint: str) -> str:
    """The table a CHECK is named after."""
    return max((name for name in Base.metadata.tables if constraint.startswith(f"{name}_")), key=len)


@pytest.mark.parametrize(("constraint", "change"), CASES, ids=[f"{name}-{'-'.join(change)}" for name, change in CASES])
def test_the_database_refuses(
    connection: Connection, chain: dict[str, Row], constraint: str, change: dict[str, Any]
) -> None:
    table = table_of(constraint)
    with pytest.raises(IntegrityError) as caught:
        connection.execute(insert(Base.metadata.tables[table]).values(copy_of(chain, table, change)))
    assert isinstance(caught.value.orig, CheckViolation)
    assert caught.value.orig.diag.constraint_name == constraint


def test_no_check_is_left_untested(connection: Connection) -> None:
    query = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = CAST('public' AS regnamespace)"
    assert {name for name, _ in CASES} == set(connection.execute(text(query)).scalars())
