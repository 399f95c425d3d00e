"""Triggers that refuse to rewrite history.

`UPDATE OF` triggers fire only when a statement names a guarded column, so claiming and finishing rows pays nothing for
them; DELETE and TRUNCATE are refused on every provenance table. Withdrawal and dropping have commands of their own.
"""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.schema import DDL

from rebase_db.schema.base import Base, after_create

REFUSE_FUNCTION = """\
CREATE FUNCTION refuse_provenance_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: provenance is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$"""

_JOB_COLUMNS = {"state", "worker_id", "attempt", "attempt_limit", "crashes", "ready_at", "error", "finished_at"}

MUTABLE: dict[str, set[str]] = {
    "dataset": {"last_row_id", "last_text_id", "licence"},
    "dataset_split": set(),
    "dataset_column": set(),
    "split_column": set(),
    "ingest": {"texts_added", "cells_added"},
    "ingest_split": {"rows_in_source", "rows_added", "rows_unchanged", "rows_rejected"},
    "ingest_rejection": set(),
    "source_row": {"retracted_at"},
    "text": set(),
    "cell": set(),
    "encoder": set(),
    "embed_chunk": _JOB_COLUMNS,
    "embedding": set(),
    "task": {"settings", "priority", "paused_at"},
    "task_version": set(),
    "task_vector": set(),
    "retrieval": _JOB_COLUMNS
    | {"rows_scored", "rows_entered", "rows_kept", "rows_displaced", "mirrors_left_out", "cutoff_score"},
    "retrieval_exclusion": set(),
    "retrieval_link": _JOB_COLUMNS | {"score", "rank", "displaced_by"},
    "retrieval_mirror": set(),
    "teacher": set(),
    "prompt": set(),
    "generation": set(),
    "example": set(),
    "check_definition": set(),
    "judgement": set(),
    "check_result": set(),
    "budget": {
        "max_cost",
        "max_tokens",
        "max_examples",
        "spent_cost",
        "spent_tokens",
        "held_cost",
        "held_tokens",
        "exhausted_at",
    },
    "reservation": {"settled_at", "spent_cost", "spent_tokens", "presumed"},
    "training_set": set(),
    "training_set_member": set(),
    "training_run": _JOB_COLUMNS | {"environment", "artifact_path", "artifact_hash"},
    "metric": set(),
    "benchmark": set(),
    "benchmark_item": set(),
    "evaluation": set(),
    "prediction": set(),
    "event": set(),
    "worker": {"heartbeat_at", "stopped_at"},
}
"""Per provenance table the columns that may change. `row_score` is working state, not provenance."""


def trigger_statements(table: str, columns: list[str]) -> list[str]:
    """The CREATE TRIGGER statements of one provenance table with these columns."""
    guarded = ", ".join(column for column in columns if column not in MUTABLE[table])
    refuse = "EXECUTE FUNCTION refuse_provenance_change()"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {guarded} ON {table} FOR EACH ROW {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {refuse}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}",
    ]


def attach() -> None:
    """Hang the function and the triggers on the metadata, so that a schema created from it has them too."""
    function = DDL(REFUSE_FUNCTION.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(Base.metadata, "before_create", function)
    for name in MUTABLE:
        table = Base.metadata.tables[name]
        for statement in trigger_statements(name, [column.name for column in table.columns]):
            after_create(table, statement)
