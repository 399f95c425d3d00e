"""What harms the queue from outside: transactions that keep vacuum from its work, a full queue of notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection

LONG_SECONDS = 600.0
IDLE_SECONDS = 60.0
"""Nothing of ours waits for anybody within a transaction, so one that idles was forgotten."""
FULL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was found; `warnings` are sentences for people, `long_transactions` the facts behind them."""

    long_transactions: list[dict[str, Any]]
    notification_queue: float
    warnings: list[str]


def upkeep(connection: Connection) -> Upkeep:
    """Look for trouble."""
    limits = {"seconds": LONG_SECONDS, "idle_seconds": IDLE_SECONDS}
    found = [dict(row) for row in connection.execute(text(named("long_transactions")), limits).mappings()]
    usage = float(connection.execute(text(named("notification_queue"))).scalar_one())
    warnings = [_sentence(one) for one in found]
    if usage > FULL_SHARE:
        warnings.append(
            f"The server's queue of notifications is {usage:.0%} full; once it is full, commits fail. A listener idles "
            "in a transaction."
        )
    return Upkeep(found, usage, warnings)


def _sentence(one: dict[str, Any]) -> str:
    since = one["transactions_since"]
    return (
        f"Vacuum is held up by session {one['pid']} ({one['application'] or 'unnamed'}, {one['state']}): its "
        f"transaction is {one['seconds'] / 60:,.0f} minutes old"
        + (f", {since:,} transactions ago" if since else "")
        + f". `SELECT pg_terminate_backend({one['pid']})` ends it."
    )
