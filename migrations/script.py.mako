"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}.
Deploy: BEFORE or AFTER the code that needs it? Say which and why. VERY important: never hold a lock on a large table for
longer than a moment: build indexes CONCURRENTLY in an autocommit block, add constraints NOT VALID and validate later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
