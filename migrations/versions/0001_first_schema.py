"""The first schema: corpus, embeddings, retrieval, transform, distill, evaluate and the runner's own tables.

Revision: 0001, the first. Deploy: before any code. The statements are in the `.sql` file beside this one.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "training_set_member",
    "example",
    "generation",
    "retrieval_mirror",
    "retrieval_link",
    "prediction",
    "evaluation",
    "metric",
    "cell",
    "row_score",
    "retrieval_exclusion",
    "training_run",
    "source_row",
    "ingest_rejection",
    "task_vector",
    "retrieval",
    "embedding",
    "embed_chunk",
    "training_set",
    "ingest_split",
    "split_column",
    "task_version",
    "event",
    "benchmark_item",
    "text",
    "ingest",
    "dataset_column",
    "dataset_split",
    "prompt",
    "teacher",
    "task",
    "worker",
    "benchmark",
    "encoder",
    "dataset",
)


def upgrade() -> None:
    # Through the driver: one script of many statements, whose colons and percent signs are not parameters.
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("no connection")
    connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.drop_constraint("dataset_dataset_id_description_text_id_fkey", "dataset", type_="foreignkey")
    for table in TABLES:
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_provenance_change()")
