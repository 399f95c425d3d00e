"""The job runner: cancelling, crash counts, priorities, pausing, waking workers, storage of the hot tables.

Revision: 0002, after 0001. Deploy: with every process of the version before stopped, since none of them looks at the
schema again. The claimable tables are read a few times, for their checks and their indexes for claiming.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JOB_STATES = ("waiting", "running", "done", "failed", "cancelled")
LINK_STATES = ("retrieved", "transforming", "transformed", "rejected", "failed", "cancelled", "distilled")
CLAIMABLE = {
    "embed_chunk": (JOB_STATES, ("done", "failed", "cancelled")),
    "retrieval": (JOB_STATES, ("done", "failed", "cancelled")),
    "retrieval_link": (LINK_STATES, ("transformed", "rejected", "failed", "cancelled", "distilled")),
    "training_run": (JOB_STATES, ("done", "failed", "cancelled")),
}
# Columns of the indexes for claiming, before and now, and their condition.
READY = {
    "embed_chunk_waiting_idx": (
        "embed_chunk", ["encoder_id", "embed_chunk_id"], ["encoder_id", "ready_at", "embed_chunk_id"],
        "state = 'waiting'",
    ),
    "retrieval_waiting_idx": (
        "retrieval", ["retrieval_id"], ["encoder_id", "ready_at", "retrieval_id"], "state = 'waiting'",
    ),
    "retrieval_link_retrieved_idx": (
        "retrieval_link", ["task_version_id", "encoder_id", "rank"],
        ["task_version_id", "encoder_id", "ready_at", "rank"], "state = 'retrieved' AND displaced_by IS NULL",
    ),
}  # fmt: skip
STORAGE = {
    "fillfactor": 70,
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": 20000,
    "autovacuum_vacuum_cost_delay": 0,
}
WORKER_TRIGGERS = (
    (
        "worker_no_update BEFORE UPDATE OF worker_id, host, pid, code_version, stages, concurrency, started_at"
        " ON worker FOR EACH ROW"
    ),
    "worker_no_delete BEFORE DELETE ON worker FOR EACH ROW",
    "worker_no_truncate BEFORE TRUNCATE ON worker FOR EACH STATEMENT",
)
LIVE_RANKING = """\
CREATE VIEW live_ranking AS
SELECT DISTINCT ON (task.task_id)
    task.task_id,
    task.name AS task,
    task.priority,
    task.paused_at,
    retrieval.task_version_id,
    retrieval.encoder_id
FROM task
INNER JOIN task_version USING (task_id)
INNER JOIN retrieval USING (task_version_id)
WHERE retrieval.state = 'done'
ORDER BY task.task_id, task_version.version DESC, retrieval.retrieval_id DESC"""
WAKE_FUNCTION = """\
CREATE FUNCTION wake_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rebase_work', TG_TABLE_NAME);
    RETURN NULL;
END $$"""


def upgrade() -> None:
    op.add_column("task", sa.Column("priority", sa.SmallInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("task", sa.Column("paused_at", sa.TIMESTAMP(timezone=True)))
    op.add_column("worker", sa.Column("stages", ARRAY(sa.Text)))
    op.add_column("worker", sa.Column("concurrency", sa.SmallInteger, nullable=False, server_default=sa.text("1")))
    op.create_index("event_at_idx", "event", ["at"], postgresql_using="brin")
    # Its checks took 8 % of the throughput at 16 rows a batch; instead, workers can no longer be deleted.
    op.drop_constraint("event_worker_id_fkey", "event")
    for trigger in WORKER_TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger} EXECUTE FUNCTION refuse_provenance_change()")
    op.execute(LIVE_RANKING)
    op.execute(WAKE_FUNCTION)
    for table, (states, finished) in CLAIMABLE.items():
        op.add_column(table, sa.Column("crashes", sa.SmallInteger, nullable=False, server_default=sa.text("0")))
        op.alter_column(table, "ready_at", server_default=sa.text("now()"))
        _replace_state_checks(table, states, finished)
        op.execute(f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in STORAGE.items())})")
        op.execute(
            f"CREATE TRIGGER {table}_wake AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION wake_workers()"
        )
    for index, (table, _, columns, condition) in READY.items():
        op.drop_index(index, table)
        op.create_index(index, table, columns, postgresql_where=sa.text(condition))
    op.create_index(
        "retrieval_link_finished_idx",
        "retrieval_link",
        ["task_version_id", "encoder_id", "state"],
        postgresql_where=sa.text("finished_at IS NOT NULL AND displaced_by IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("retrieval_link_finished_idx", "retrieval_link")
    for index, (table, columns, _, condition) in READY.items():
        op.drop_index(index, table)
        op.create_index(index, table, columns, postgresql_where=sa.text(condition))
    for table, (states, finished) in CLAIMABLE.items():
        op.execute(f"DROP TRIGGER {table}_wake ON {table}")
        op.execute(f"ALTER TABLE {table} RESET ({', '.join(STORAGE)})")
        # What was cancelled failed, in the words of the version before.
        op.execute(f"UPDATE {table} SET state = 'failed', error = 'cancelled' WHERE state = 'cancelled'")  # noqa: S608
        _replace_state_checks(
            table,
            tuple(state for state in states if state != "cancelled"),
            tuple(state for state in finished if state != "cancelled"),
        )
        op.alter_column(table, "ready_at", server_default=sa.text("clock_timestamp()"))
        op.drop_column(table, "crashes")
    op.execute("DROP VIEW live_ranking")
    op.execute("DROP FUNCTION wake_workers()")
    op.drop_index("event_at_idx", "event")
    for trigger in WORKER_TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger.partition(' ')[0]} ON worker")
    op.create_foreign_key("event_worker_id_fkey", "event", "worker", ["worker_id"], ["worker_id"])
    op.drop_column("worker", "concurrency")
    op.drop_column("worker", "stages")
    op.drop_column("task", "paused_at")
    op.drop_column("task", "priority")


def _replace_state_checks(table: str, states: tuple[str, ...], finished: tuple[str, ...]) -> None:
    """The CHECKs that list states. Not NOT VALID: the tables are read for their indexes anyway."""
    for name, condition in (
        ("state", f"state IN ({_quoted(states)})"),
        ("finished", f"(finished_at IS NOT NULL) = (state IN ({_quoted(finished)}))"),
    ):
        op.drop_constraint(f"{table}_{name}_check", table)
        op.create_check_constraint(op.f(f"{table}_{name}_check"), table, condition)


def _quoted(states: tuple[str, ...]) -> str:
    return ", ".join(f"'{state}'" for state in states)
