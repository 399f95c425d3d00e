"""What can become of a claimed row, returned by a stage and carried out by the runner.

An exception, by contrast, is a surprise: whatever a stage raises makes a `Retry` of every row it had not settled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done and its result is written."""

    event: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Reject:
    """The work was done and showed that the row is of no use; final, and nobody's failure."""

    reason: str
    event: ClassVar[str] = "reject"


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another may not: back with a growing delay, or failed once the attempts are used up.

    `apart`: the row is one of several of which one is to blame; they come back in smaller batches, as after a crash.
    """

    error: str
    after_seconds: float = 0.0
    apart: bool = False
    event: ClassVar[str] = "retry"


@dataclass(frozen=True, slots=True)
class Fail:
    """The attempt failed and so would any other: failed, with the attempts that are left."""

    error: str
    event: ClassVar[str] = "fail"


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not yet: back after some seconds, without using up an attempt."""

    seconds: float
    reason: str
    event: ClassVar[str] = "snooze"


@dataclass(frozen=True, slots=True)
class Release:
    """Handed back untouched, at once and without using up an attempt."""

    event: ClassVar[str] = "release"


Outcome = Done | Reject | Retry | Fail | Snooze | Release


def backoff_seconds(attempt: int) -> float:
    """Delay after the `attempt`-th failed one: doubled each time up to ten minutes, times 0.5 to 1.5 at random.

    Without the random part, rows that failed together would all come back together.
    """
    # The exponent has a limit of its own: a row that is snoozed day and night has a thousand attempts.
    delay: float = min(FIRST_DELAY_SECONDS * 2 ** min(attempt - 1, 30), LONGEST_DELAY_SECONDS)
    return delay * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
