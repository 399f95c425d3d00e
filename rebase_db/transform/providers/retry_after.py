"""How long to wait before asking again: as the server tells (Retry-After, RFC 9110, section 10.2.3), or ever longer."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

DEFAULT_SECONDS = 15.0
"""For a row that goes back: quick further tries were made by then, so another has little to hope for."""
LONGEST_SECONDS = 3600.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 8.0


def told_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a Retry-After header, between 0 and an hour; None without one that can be read.

    Args:
        header: The header's value: a number of seconds or a date.
        now: Against which a date is counted; the clock by default.
    """
    seconds = _seconds(header, now or datetime.now(UTC)) if header else None
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_SECONDS)


def _seconds(header: str, now: datetime) -> float | None:
    try:
        seconds = float(header)
    except ValueError:
        pass
    else:
        return seconds if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def backoff_seconds(repeat: int, dice: random.Random) -> float:
    """The wait before the `repeat`-th further try (from 0): it doubles up to a bound; chance takes off up to half.

    Chance keeps requests that failed together from coming back together.
    """
    return min(FIRST_BACKOFF_SECONDS * 2.0**repeat, LONGEST_BACKOFF_SECONDS) * dice.uniform(0.5, 1)
