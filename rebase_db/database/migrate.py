"""Running the migrations from Python; they travel inside the installed package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from rebase_db.database.engine import check_revision, current_revision

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

# A lock wait blocks everyone queued behind it, so a migration must fail rather than wait. A migration that needs
# longer statements (index builds) raises the limit in its own file.
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "60s"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`. Safe to run from several processes at once: they take turns.

    Raises:
        DatabaseError: The schema is newer than this code.
    """
    found = current_revision(engine)
    if found is not None and found not in known_revisions():
        check_revision(engine)
    _run(engine, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to `revision`; data of removed tables is lost."""
    _run(engine, command.downgrade, revision)


def check(engine: Engine) -> None:
    """Raise when the models and the migrated schema differ (alembic's comparison, on top of the tests' own)."""
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)


def _run(engine: Engine, run: Callable[[Config, str], None], revision: str) -> None:
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        run(config, revision)


def known_revisions() -> list[str]:
    """Every revision this code knows, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]
