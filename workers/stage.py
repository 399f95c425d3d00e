"""What a stage gives the runner: results of claimed rows, each with its way of being written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.outcomes import Outcome
    from rebase_db.queue import Claim, Lane, Place, Queue

Write = Callable[["Connection", Collection[int]], Mapping[int, dict[str, Any]] | None]
"""Writes what was made of rows, in the transaction that moves them on.

Given the ids of the rows that are still this worker's: of the others it must write nothing. May return further columns
of those rows, to be set in the statement that moves them: those that a CHECK ties to their state.
"""


class LostClaimError(Exception):
    """The rows went to another worker or were cancelled, and the stage noticed before it was done with them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of some rows of a batch, to be committed together."""

    outcomes: Sequence[tuple[Claim, Outcome]]
    write: Write | None = None


class Claiming(Protocol):
    """A stage's own way of claiming, where rows cost money."""

    def batch_of(self, lane: Lane) -> int:
        """Rows a claim."""
        ...

    def claim(self, lane: Lane, limit: int, after: Place) -> list[Claim] | None:
        """Claim up to `limit` rows and commit; None where the lane's rows are claimed like others."""
        ...

    def nothing_claimed(self, lane: Lane) -> None:
        """Told after a claim of its own that found nothing; it may take long."""
        ...

    def spent(self, lane: Lane) -> bool:
        """Whether no more rows of a lane will be claimed, although some are ready."""
        ...


class Stage(Protocol):
    """One kind of work.

    Attributes:
        queue: What it claims.
        batch: Rows a claim.
        writers: Results that may be written at the same time.
        alone: A batch takes the whole machine, so a worker has one at a time.
        finishes: Told to stop, it finishes what is under way and ends by itself; others are closed after a result.
    """

    queue: Queue
    batch: int
    writers: int
    alone: bool
    finishes: bool

    @property
    def claiming(self) -> Claiming | None:
        """Its own way of claiming, if it has one."""
        ...

    def prepare(self, lane: Lane) -> None:
        """Load what rows of a lane need, before any is claimed: that may take minutes, or not be possible here.

        Raises:
            RebaseError: The lane cannot be worked on here (no key in the environment, no such model).
        """
        ...

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Work on claimed rows of one lane, outside any transaction, and give each back in one result.

        Rows that no result names when it ends are retried. Closed early, it lets go of what it has begun.

        Raises:
            RebaseError: The lane cannot be worked on here after all (a key that is refused); rows without a result are
                handed back.
        """
        ...

    def close(self) -> None:
        """Let go of models and connections."""
        ...
