"""Named fault points: places where a test makes this process die, to show that nothing is lost when it does.

Inert unless `REBASE_FAULT` is set, to `<point>` or `<point>:<n>`: the n-th time the process reaches that point it sends
itself SIGKILL, which no handler, `finally` or exit hook survives.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum


class FaultPoint(StrEnum):
    """Every point, in the order data flows.

    Every stage has those that the runner passes with each batch: `claiming` (about to claim), `claimed`,
    `handled` (there is a result), `written` (in its transaction), `settled` (its rows moved on) and `committed`.
    """

    INGEST_ROWS_COPIED = "ingest.rows_copied"
    INGEST_BEFORE_COMMIT = "ingest.before_commit"
    INGEST_COMMITTED = "ingest.committed"
    EMBED_CLAIMING = "embed.claiming"
    EMBED_CLAIMED = "embed.claimed"
    EMBED_HANDLED = "embed.handled"
    EMBED_WRITTEN = "embed.written"
    EMBED_SETTLED = "embed.settled"
    EMBED_COMMITTED = "embed.committed"
    RETRIEVE_CLAIMING = "retrieve.claiming"
    RETRIEVE_CLAIMED = "retrieve.claimed"
    RETRIEVE_SCORED = "retrieve.scored"
    RETRIEVE_HANDLED = "retrieve.handled"
    RETRIEVE_WRITTEN = "retrieve.written"
    RETRIEVE_SETTLED = "retrieve.settled"
    RETRIEVE_COMMITTED = "retrieve.committed"
    TRANSFORM_CLAIMING = "transform.claiming"
    TRANSFORM_CLAIMED = "transform.claimed"
    TRANSFORM_ANSWERED = "transform.answered"
    TRANSFORM_HANDLED = "transform.handled"
    TRANSFORM_WRITTEN = "transform.written"
    TRANSFORM_SETTLED = "transform.settled"
    TRANSFORM_COMMITTED = "transform.committed"
    FREEZE_BEFORE_COMMIT = "freeze.before_commit"
    DISTILL_CLAIMING = "distill.claiming"
    DISTILL_CLAIMED = "distill.claimed"
    DISTILL_STEP = "distill.step"
    DISTILL_SAVED = "distill.saved"
    DISTILL_HANDLED = "distill.handled"
    DISTILL_WRITTEN = "distill.written"
    DISTILL_SETTLED = "distill.settled"
    DISTILL_COMMITTED = "distill.committed"
    EVALUATE_BEFORE_COMMIT = "evaluate.before_commit"
    RETRACT_BEFORE_COMMIT = "retract.before_commit"
    ERASE_BEFORE_COMMIT = "erase.before_commit"
    ERASE_COMMITTED = "erase.committed"
    STATEMENT = "database.statement"


# `database.statement` counts every statement sent to the database, so that its n-th reaches any moment of any stage.
_armed, _, _count = os.environ.get("REBASE_FAULT", "").partition(":")
_left = int(_count or "1")


def is_armed(point: FaultPoint) -> bool:
    """Whether this process is to die at `point`; for points so frequent that even asking is left out otherwise."""
    return point == _armed


def reach(point: FaultPoint) -> None:
    """Die here if this point is armed and its turn has come."""
    global _left  # noqa: PLW0603 - the countdown belongs to the process
    if not _armed or point != _armed:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
