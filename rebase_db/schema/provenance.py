"""Triggers that refuse to rewrite history.

`UPDATE OF` triggers fire only when a statement names a guarded column, so claiming and finishing rows pays nothing for
them; DELETE and TRUNCATE are refused on every provenance table. Some columns may be written once (`ONCE`), and those
that hold words may be emptied when the row they come from is erased (`ERASABLE`), by a retraction that is on record.
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

REFUSE_VECTOR_FUNCTION = """\
CREATE FUNCTION refuse_unless_text_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM text WHERE dataset_id = OLD.dataset_id AND text_id = OLD.text_id AND erased_by IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'DELETE of embedding refused: its text is not erased'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$"""

_JOB_COLUMNS = {"state", "worker_id", "attempt", "attempt_limit", "crashes", "ready_at", "error", "finished_at"}

MUTABLE: dict[str, set[str]] = {
    "dataset": {"last_row_id", "last_text_id"},
    "dataset_split": set(),
    "dataset_column": set(),
    "ingest": set(),
    "ingest_split": set(),
    "ingest_column": set(),
    "ingest_rejection": set(),
    "source_row": {"retracted_at", "removed_at"},
    "removed_row": set(),
    "changed_row": set(),
    "text": set(),
    "cell": set(),
    "encoder": set(),
    "embed_chunk": _JOB_COLUMNS,
    "embedding": set(),
    "task": {"settings", "priority", "paused_at"},
    "task_version": set(),
    "task_vector": set(),
    "retrieval": _JOB_COLUMNS,
    "retrieval_exclusion": set(),
    "retrieval_dataset": set(),
    "retrieval_link": _JOB_COLUMNS | {"score", "rank", "displaced_by", "retracted_at"},
    "retrieval_mirror": set(),
    "teacher": set(),
    "prompt": set(),
    "generation": set(),
    "example": set(),
    "example_parent": set(),
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
    "reservation": set(),
    "training_set": set(),
    "training_set_member": set(),
    "training_set_mix": set(),
    "training_run": _JOB_COLUMNS,
    "metric": set(),
    "benchmark": set(),
    "benchmark_item": set(),
    "evaluation": set(),
    "prediction": set(),
    "retraction": set(),
    "retracted_dataset": set(),
    "retracted_row": set(),
    "publication": set(),
    "published_rank": set(),
    "published_example": set(),
    "likely_source": set(),
    "event": set(),
    "worker": {"heartbeat_at", "stopped_at"},
}
"""Per provenance table the columns that may change. `row_score` is working state, not provenance."""

ONCE: dict[str, tuple[str, ...]] = {
    "ingest": ("texts_added", "cells_added", "finished_at"),
    "ingest_split": ("rows_in_source", "rows_added", "rows_unchanged", "rows_rejected", "finished_at"),
    "dataset": ("licence",),
    "retrieval": (
        "rows_scored",
        "rows_entered",
        "rows_kept",
        "rows_displaced",
        "mirrors_left_out",
        "cutoff_score",
        "retractions_seen",
        "loads_seen",
    ),
    "reservation": ("settled_at", "spent_cost", "spent_tokens", "presumed"),
    "training_run": ("environment", "artifact_path", "artifact_hash"),
    "retraction": ("undone_at", "undo_reason", "erased_at"),
}
"""Per table the columns that are empty at first and may be written once."""

ONCE_UNTIL = {"ingest": "finished_at", "ingest_split": "finished_at", "reservation": "settled_at"}
"""Tables of which the columns above may be written until this one of them is, for they have values from the start."""

ERASABLE: dict[str, tuple[str, ...]] = {
    "source_row": ("content",),
    "text": ("text",),
    "generation": ("raw_answer", "reason", "failures"),
    "example": ("input", "output", "rationale"),
    "judgement": ("raw_answer", "reason", "failures"),
    "check_result": ("evidence",),
    "event": ("detail",),
    "likely_source": ("evidence",),
}
"""Per table the columns with words of a row, or made of them; CHECKs say what stands there after an erasure."""


def late_columns(table: str) -> tuple[str, ...]:
    """The columns that are written once, or emptied when words are erased."""
    return (*ONCE.get(table, ()), *((*ERASABLE[table], "erased_by") if table in ERASABLE else ()))


def refusal(table: str) -> str:
    """When a change of `late_columns` is refused, in SQL over OLD and NEW."""
    if table in ERASABLE:
        return "OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL"
    if table in ONCE_UNTIL:
        return f"OLD.{ONCE_UNTIL[table]} IS NOT NULL"
    return " OR ".join(f"OLD.{each} IS NOT NULL AND NEW.{each} IS DISTINCT FROM OLD.{each}" for each in ONCE[table])


def trigger_statements(table: str, columns: list[str]) -> list[str]:
    """The CREATE TRIGGER statements of one provenance table with these columns."""
    late = late_columns(table)
    guarded = ", ".join(column for column in columns if column not in {*MUTABLE[table], *late})
    refuse = "EXECUTE FUNCTION refuse_provenance_change()"
    delete = "EXECUTE FUNCTION refuse_unless_text_erased()" if table == "embedding" else refuse
    found = [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {guarded} ON {table} FOR EACH ROW {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {delete}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}",
    ]
    if late:
        name = f"{table}_erase" if table in ERASABLE else f"{table}_once"
        found.append(
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {', '.join(late)} ON {table}"
            f" FOR EACH ROW WHEN ({refusal(table)}) {refuse}"
        )
    return found


def attach() -> None:
    """Hang the function and the triggers on the metadata, so that a schema created from it has them too."""
    for function in (REFUSE_FUNCTION, REFUSE_VECTOR_FUNCTION):
        event.listen(Base.metadata, "before_create", DDL(function.replace("%", "%%")))  # type: ignore[no-untyped-call]
    for name in MUTABLE:
        table = Base.metadata.tables[name]
        for statement in trigger_statements(name, [column.name for column in table.columns]):
            after_create(table, statement)
