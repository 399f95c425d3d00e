"""Transform for real teachers: what calls came to, reuse, budgets, checks.

Revision: 0003, after 0002. Deploy: with every process of the version before stopped; a worker that is running notices
the new schema and stops by itself. `generation` is written once and read for its checks and indexes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CALL_COLUMNS = (
    ("response_form", sa.Text(), True, None),
    ("requests", sa.SmallInteger(), False, "1"),
    ("failures", ARRAY(sa.Text), False, "'{}'"),
    ("maybe_billed", sa.Boolean(), False, "false"),
)
# Columns of the new tables that no UPDATE may name: all but those that money is counted in.
GUARDED = {
    "check_definition": "check_id, name, parameters, content_hash, created_at",
    "judgement": (
        "judgement_id, example_id, points, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason,"
        " response_form, prompt_tokens, completion_tokens, cost, latency_seconds, requests, failures, maybe_billed,"
        " outcome, reason, created_at"
    ),
    "check_result": (
        "check_result_id, example_id, check_id, verdict, score, evidence, other_example_id, judgement_id, created_at"
    ),
    "budget": "task_id, created_at",
    "reservation": "reservation_id, task_id, worker_id, link_id, attempt, cost, tokens, created_at",
}
GENERATION = (
    "generation_id, link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason,"
    " prompt_tokens, completion_tokens, cost, latency_seconds, outcome, reason, created_at"
)
GENERATION_NOW = (
    "generation_id, link_id, attempt, reading, cuts, reused_from, teacher_id, prompt_id, worker_id, "
    "prompt_hash, raw_answer, finish_reason, response_form, prompt_tokens, completion_tokens, cost, "
    "latency_seconds, requests, failures, maybe_billed, outcome, reason, created_at"
)
NEW_IN_GENERATION = "reading, cuts, reused_from, response_form, requests, failures, maybe_billed"


def upgrade() -> None:
    # Every call is written once: of millions that takes longer than the limit for ordinary migrations.
    op.execute("SET LOCAL statement_timeout = 0")
    _upgrade_generation()
    op.create_table(
        "check_definition",
        sa.Column("check_id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("content_hash", sa.LargeBinary, nullable=False, unique=True),
        _created_at(),
        _digest("content_hash"),
    )
    op.create_table(
        "judgement",
        sa.Column("judgement_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("example_id", sa.BigInteger, sa.ForeignKey("example.example_id"), nullable=False),
        sa.Column("points", sa.SmallInteger),
        sa.Column("teacher_id", sa.Integer, sa.ForeignKey("teacher.teacher_id"), nullable=False),
        sa.Column("prompt_id", sa.Integer, sa.ForeignKey("prompt.prompt_id"), nullable=False),
        sa.Column("worker_id", sa.Integer, sa.ForeignKey("worker.worker_id"), nullable=False),
        sa.Column("prompt_hash", sa.LargeBinary, nullable=False),
        sa.Column("raw_answer", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cost", sa.Numeric),
        sa.Column("latency_seconds", sa.REAL, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        *(_column(*each) for each in CALL_COLUMNS),
        _created_at(),
        sa.UniqueConstraint("judgement_id", "example_id"),
        sa.CheckConstraint("outcome IN ('judged', 'rejected', 'error')", name="outcome"),
        sa.CheckConstraint("(outcome = 'judged') = (points IS NOT NULL)", name="points"),
        sa.CheckConstraint("points BETWEEN 1 AND 5", name="points_range"),
        sa.CheckConstraint("outcome = 'judged' OR reason IS NOT NULL", name="reason"),
        _digest("prompt_hash"),
    )
    op.create_index("judgement_example_id_idx", "judgement", ["example_id"])
    op.create_table(
        "check_result",
        sa.Column("check_result_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("example_id", sa.BigInteger, sa.ForeignKey("example.example_id"), nullable=False),
        sa.Column("check_id", sa.Integer, sa.ForeignKey("check_definition.check_id"), nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("score", sa.REAL, nullable=False),
        sa.Column("evidence", JSONB, nullable=False),
        sa.Column("other_example_id", sa.BigInteger, sa.ForeignKey("example.example_id")),
        sa.Column("judgement_id", sa.BigInteger),
        _created_at(),
        sa.ForeignKeyConstraint(["judgement_id", "example_id"], ["judgement.judgement_id", "judgement.example_id"]),
        sa.CheckConstraint("verdict IN ('pass', 'warn', 'fail')", name="verdict"),
    )
    op.create_index("check_result_example_id_check_id_idx", "check_result", ["example_id", "check_id"])
    _create_budget()
    for table, columns in GUARDED.items():
        _guard(table, columns)


def _upgrade_generation() -> None:
    for each in CALL_COLUMNS:
        op.add_column("generation", _column(*each))
    op.add_column("generation", sa.Column("reading", sa.Text))
    op.add_column("generation", sa.Column("cuts", JSONB))
    op.add_column("generation", sa.Column("reused_from", sa.BigInteger))
    _drop_checks("outcome", "reason")
    # An answer that was read as an example was called accepted, which is what becomes of the link, not of the answer.
    op.execute("DROP TRIGGER generation_no_update ON generation")
    op.execute("UPDATE generation SET outcome = 'parsed', reading = 'strict' WHERE outcome = 'accepted'")
    # The update leaves checks of foreign keys to be done, before which no table can be altered.
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name, condition in (
        ("outcome", "outcome IN ('parsed', 'rejected', 'error')"),
        ("reason", "(outcome = 'parsed') = (reason IS NULL)"),
        ("reading", "outcome <> 'parsed' OR reading IS NOT NULL"),
        (
            "reused",
            "reused_from IS NULL OR (requests = 0 AND raw_answer IS NULL AND cost IS NULL AND outcome <> 'error')",
        ),
    ):
        op.create_check_constraint(op.f(f"generation_{name}_check"), "generation", condition)
    op.drop_index("generation_teacher_id_idx", "generation")
    op.create_unique_constraint(
        "generation_teacher_id_prompt_hash_generation_id_key",
        "generation",
        ["teacher_id", "prompt_hash", "generation_id"],
    )
    op.create_foreign_key(
        "generation_teacher_id_prompt_hash_reused_from_fkey",
        "generation",
        "generation",
        ["teacher_id", "prompt_hash", "reused_from"],
        ["teacher_id", "prompt_hash", "generation_id"],
    )
    op.create_index(
        "generation_reused_from_idx",
        "generation",
        ["reused_from"],
        postgresql_where=sa.text("reused_from IS NOT NULL"),
    )
    _guard_updates("generation", GENERATION_NOW)


def _create_budget() -> None:
    op.create_table(
        "budget",
        sa.Column("task_id", sa.Integer, sa.ForeignKey("task.task_id"), primary_key=True, autoincrement=False),
        sa.Column("max_cost", sa.Numeric),
        sa.Column("max_tokens", sa.BigInteger),
        sa.Column("max_examples", sa.Integer),
        *(
            sa.Column(name, kind, nullable=False, server_default=sa.text("0"))
            for name, kind in (
                ("spent_cost", sa.Numeric),
                ("spent_tokens", sa.BigInteger),
                ("held_cost", sa.Numeric),
                ("held_tokens", sa.BigInteger),
            )
        ),
        sa.Column("exhausted_at", TIMESTAMP(timezone=True)),
        _created_at(),
        sa.CheckConstraint("max_cost >= 0 AND max_tokens >= 0 AND max_examples >= 0", name="limits"),
        sa.CheckConstraint(
            "spent_cost >= 0 AND spent_tokens >= 0 AND held_cost >= 0 AND held_tokens >= 0", name="sums"
        ),
    )
    op.create_table(
        "reservation",
        sa.Column("reservation_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("budget.task_id"), nullable=False),
        sa.Column("worker_id", sa.Integer, sa.ForeignKey("worker.worker_id"), nullable=False),
        sa.Column("link_id", sa.BigInteger, sa.ForeignKey("retrieval_link.link_id"), nullable=False),
        sa.Column("attempt", sa.SmallInteger),
        sa.Column("cost", sa.Numeric),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("settled_at", TIMESTAMP(timezone=True)),
        sa.Column("spent_cost", sa.Numeric),
        sa.Column("spent_tokens", sa.BigInteger),
        sa.Column("presumed", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _created_at(),
        sa.CheckConstraint("(settled_at IS NULL) = (spent_tokens IS NULL)", name="settled"),
        sa.CheckConstraint("NOT presumed OR settled_at IS NOT NULL", name="presumed"),
    )
    op.create_index("reservation_open_idx", "reservation", ["task_id"], postgresql_where=sa.text("settled_at IS NULL"))
    op.create_index("reservation_link_id_attempt_idx", "reservation", ["link_id", "attempt"])


def downgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    for table in ("reservation", "budget", "check_result", "judgement", "check_definition"):
        op.drop_table(table)
    op.execute("DROP TRIGGER generation_no_update ON generation")
    _drop_checks("outcome", "reason", "reading", "reused")
    # A reused answer becomes a call of its own, which is how the version before would have it.
    op.execute(
        "UPDATE generation SET raw_answer = source.raw_answer FROM generation AS source"
        " WHERE source.generation_id = generation.reused_from"
    )
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.drop_index("generation_reused_from_idx", "generation")
    op.drop_constraint("generation_teacher_id_prompt_hash_reused_from_fkey", "generation")
    op.drop_constraint("generation_teacher_id_prompt_hash_generation_id_key", "generation")
    op.create_index("generation_teacher_id_idx", "generation", ["teacher_id"])
    op.execute("UPDATE generation SET outcome = 'accepted' WHERE outcome = 'parsed'")
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.create_check_constraint(
        op.f("generation_outcome_check"), "generation", "outcome IN ('accepted', 'rejected', 'error')"
    )
    op.create_check_constraint(
        op.f("generation_reason_check"), "generation", "(outcome = 'accepted') = (reason IS NULL)"
    )
    for name in NEW_IN_GENERATION.split(", "):
        op.drop_column("generation", name)
    _guard_updates("generation", GENERATION)


def _column(
    name: str, kind: type[sa.types.TypeEngine[object]], nullable: bool, default: str | None
) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=nullable, server_default=None if default is None else sa.text(default))


def _created_at() -> sa.Column[object]:
    return sa.Column(
        "created_at", TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
    )


def _digest(column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"octet_length({column}) = 32", name=f"{column}_length")


def _drop_checks(*names: str) -> None:
    for name in names:
        op.drop_constraint(op.f(f"generation_{name}_check"), "generation")


def _guard(table: str, columns: str) -> None:
    _guard_updates(table, columns)
    for name, event in (("delete", "DELETE"), ("truncate", "TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table}"
            f" FOR EACH {'ROW' if name == 'delete' else 'STATEMENT'} EXECUTE FUNCTION refuse_provenance_change()"
        )


def _guard_updates(table: str, columns: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {columns} ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change()"
    )
