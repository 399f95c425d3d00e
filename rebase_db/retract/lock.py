"""Who writes what a retraction has to see, and retractions themselves, take turns.

A retrieval's links, a training set, the start of a training, what checks say and a load's last step are written under
the shared lock, a retraction under the exclusive one: so each of them is either seen by the retraction, and stands in
its report, or sees it. Taken before any lock on rows but those of a claim; held to the end of the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from rebase_db.schema import Retraction

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOCK = 0x52455452414354
"""The advisory lock, of those with one number."""


def hold_still(connection: Connection) -> None:
    """Keep retractions waiting until the transaction ends, after those that are under way."""
    connection.execute(select(func.pg_advisory_xact_lock_shared(LOCK)))


def take_turn(connection: Connection) -> None:
    """Wait for all that hold still, and keep others waiting until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


def changes_so_far(connection: Connection) -> int:
    """How many retractions there were, and returns from one: what `retrieval.retractions_seen` counts."""
    made = select(func.count() + func.count(Retraction.undone_at)).select_from(Retraction)
    return int(connection.execute(made).scalar_one())


def erasures_so_far(connection: Connection) -> int:
    """How many retractions were erased."""
    return int(connection.execute(select(func.count(Retraction.erased_at))).scalar_one())
