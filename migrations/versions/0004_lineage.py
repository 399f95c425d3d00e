"""Lineage and audit: retraction and erasure, published data under audit, a seal in every record, the lineage views.

Revision: 0004, after 0003. Deploy: with every process of the version before stopped. Every table but `cell` and `text`
is written once, for its seals. Going back is refused where rows have been erased.
"""

from __future__ import annotations

from importlib.resources import files

from alembic import op

from rebase_db.database.copy import driver

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run("0004_lineage.sql")
    _run("0004_lineage_views.sql")


def downgrade() -> None:
    _run("0004_lineage_down.sql")


def _run(name: str) -> None:
    # Every record is written once: of millions that takes longer than the limit for ordinary migrations.
    op.execute("SET LOCAL statement_timeout = 0")
    driver(op.get_bind()).execute(files("migrations.versions").joinpath(name).read_bytes())
