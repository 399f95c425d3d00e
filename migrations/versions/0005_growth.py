"""Growth: releases of a dataset, receipts of retrievals, parents of runs, what sets have of which datasets.

Revision: 0005, after 0004. Deploy: with every process of the version before stopped. Going back is refused where a row
was removed from its source.
"""

from __future__ import annotations

from importlib.resources import files

from alembic import op

from rebase_db.database.copy import driver

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run("0005_growth.sql")
    _run("0005_growth_views.sql")


def downgrade() -> None:
    _run("0005_growth_down.sql")
    _run("0004_lineage_views.sql")


def _run(name: str) -> None:
    # What every set is made of is counted once: of millions that takes longer than the limit for ordinary migrations.
    op.execute("SET LOCAL statement_timeout = 0")
    driver(op.get_bind()).execute(files("migrations.versions").joinpath(name).read_bytes())
