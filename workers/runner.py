"""Runs a stage: claims a batch, has the stage work on it, and commits each result with the move of its rows."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.database import failures
from rebase_db.database.line import Line
from rebase_db.errors import DatabaseError, RebaseError
from rebase_db.faults import FaultPoint, reach
from rebase_db.outcomes import Fail, Outcome, Release, Retry, backoff_seconds
from rebase_db.queue import FIRST_PLACE
from rebase_db.rescue import rescue
from workers.hands import Hands
from workers.stage import LostClaimError, Result, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Engine

    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Lane, Place

IDLE_SECONDS = 0.2
"""How often to look again while rows wait for their retry time or are held by another worker."""
PLACES_SECONDS = 2.0
"""How long a lane's rows that came to stand before its last batch may be passed over."""
COMMIT_TRIES = 8
"""Over about a minute: a server that restarts is back by then, and a deadlock is resolved at once."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What became of the rows of a batch; `fenced` are those whose late results were refused."""

    claimed: int = 0
    settled: int = 0
    fenced: int = 0


class _UncommittedError(Exception):
    """The database did not take a result in any of the tries."""


class Runner:
    """One stage on one database, as one worker.

    Args:
        engine: The database.
        lease: The worker.
        stage: What to run.
        stopping: Once set, no further result of a batch is waited for and what is left of it is handed back.
        hands: What other runners of the same worker have in hand.
        line: The connection of the thread that this runs in.
    """

    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        stage: Stage,
        stopping: threading.Event | None = None,
        hands: Hands | None = None,
        line: Line | None = None,
    ) -> None:
        self.engine = engine
        # Of a thread's own line or, without one, from the pool.
        self._open = engine.execution_options(isolation_level="AUTOCOMMIT").connect if line is None else line.open
        self.lease = lease
        self.stage = stage
        self.stopping = stopping or threading.Event()
        self._hands = hands or Hands()
        # Claimed and not settled: the batch's, or what could not be handed back because the database was away.
        self._in_hand: dict[int, Claim] = {}
        # Where each lane's last batch ended, and when that was last forgotten.
        self._places: dict[Lane, Place] = {}
        self._places_since = 0.0

    @property
    def rows_in_hand(self) -> int:
        """Rows that are claimed and not settled."""
        return len(self._in_hand)

    def run_batch(self, lane: Lane, limit: int | None = None) -> Tally:
        """Claim a batch of a lane and work on it; nothing was claimed when the tally is empty.

        Raises:
            RebaseError: The stage cannot work on this lane; what it had not settled was handed back.
        """
        self.hand_back()
        self._prepare(lane)
        if self.stopping.is_set():
            return Tally()  # it may have taken minutes
        claims = self._claim(lane, limit)
        tally = Tally(claimed=len(claims))
        if not claims:
            # Not while claiming, which all slots of this worker take turns at.
            if self.stage.claiming is not None:
                self.stage.claiming.nothing_claimed(lane)
            return tally
        self._reach("claimed")
        self._in_hand = {claim.item_id: claim for claim in claims}
        error: str | None = "the stage left this row unfinished"
        try:
            self._handle(lane, claims, tally)
            if self.stopping.is_set():
                error = None
        except LostClaimError as lost:
            # Somebody cancelled or took the rows, and the stage noticed before it was done with them.
            log.info("%s", lost)
            error = None
        except (RebaseError, *failures.AWAY, KeyboardInterrupt, SystemExit):
            # Nobody's rows are at fault: hand back what is still ours.
            error = None
            raise
        except Exception as raised:  # whatever a model or a library throws is an attempt that failed
            log.exception("An attempt of %s failed.", self.stage.queue.stage)
            error = f"{type(raised).__name__}: {raised}"
        finally:
            # Which of its rows made a stage raise, nobody knows: they come back apart, until it is found.
            self._end(Release() if error is None else Retry(error, apart=True), tally)
        return tally

    def _prepare(self, lane: Lane) -> None:
        try:
            self.stage.prepare(lane)
        except (RebaseError, *failures.FAILED):
            raise
        except Exception as error:
            # No row is at fault, nor the worker: other lanes may go well.
            log.exception("A lane of %s could not be prepared.", self.stage.queue.stage)
            raise RebaseError(
                f"What rows of {self.stage.queue.stage} need cannot be loaded here: {type(error).__name__}: {error}."
            ) from error

    def hand_back(self) -> None:
        """Hand back whatever is in hand; what comes of it later is refused."""
        self._end(Release(), Tally())

    def put_back_unknown(self) -> None:
        """Hand back what was claimed over a connection that broke before it said so."""
        with self._open() as connection:
            self._hands.put_back_unknown(connection, self.lease.worker_id, [self.stage.queue])

    def _claim(self, lane: Lane, limit: int | None) -> list[Claim]:
        self._reach("claiming")
        if time.monotonic() - self._places_since > PLACES_SECONDS:
            self._places, self._places_since = {}, time.monotonic()
        after = self._places.get(lane, FIRST_PLACE)
        of, worker_id, own = self.stage.queue, self.lease.worker_id, self.stage.claiming
        rows = limit or (self.stage.batch if own is None else own.batch_of(lane))

        def claim_from(place: Place) -> list[Claim]:
            claims = None if own is None else own.claim(lane, rows, place)
            if claims is not None:
                return claims
            with self._open() as connection:
                return queue.claim(connection, of, worker_id, rows, lane, place)

        def claim() -> list[Claim]:
            claims = claim_from(after)
            if claims or after == FIRST_PLACE:
                return claims
            # The end, or so it seems: what came to stand before our place is there as well.
            return claim_from(FIRST_PLACE)

        claims = self._hands.take(of, claim)
        self._places[lane] = max((claim.place for claim in claims), default=FIRST_PLACE)
        return claims

    def _handle(self, lane: Lane, claims: Sequence[Claim], tally: Tally) -> None:
        """Commit results as the stage gives them."""
        with (
            closing(self.stage.handle(lane, claims)) as results,  # type: ignore[type-var]
            closing(self._committed(results)) as committed,  # type: ignore[type-var]
        ):
            for result, settled in committed:
                tally.settled += settled
                tally.fenced += len(result.outcomes) - settled
                if self.stopping.is_set() and not self.stage.finishes:
                    return

    def _committed(self, results: Iterable[Result]) -> Iterator[tuple[Result, int]]:
        """Each result with the number of rows that were still ours, once it is committed."""
        if self.stage.writers == 1:
            for result in results:
                yield result, self._put_away(result)
            return
        with ThreadPoolExecutor(self.stage.writers) as writers:
            writing: deque[tuple[Result, Future[int]]] = deque()
            for result in results:
                writing.append((result, writers.submit(self._put_away, result)))
                # No more than can be written at once: a result may hold on to much memory.
                if len(writing) > self.stage.writers:
                    oldest, settled = writing.popleft()
                    yield oldest, settled.result()
            for oldest, settled in writing:
                yield oldest, settled.result()

    def _put_away(self, result: Result) -> int:
        self._reach("handled")
        try:
            settled = self.commit(result)
        except failures.AWAY as error:
            # Away for so long, or it is this result that it cannot take: an attempt that failed.
            raise _UncommittedError(f"the result could not be committed: {failures.cause(error)}") from error
        self._put_down([claim for claim, _ in result.outcomes])
        self._reach("committed")
        return settled

    def _end(self, outcome: Outcome, tally: Tally) -> None:
        """Give rows that no result named this outcome."""
        claims = list(self._in_hand.values())
        if claims:
            settled = self.commit(Result([(claim, outcome) for claim in claims]))
            self._put_down(claims)
            tally.settled += settled
            tally.fenced += len(claims) - settled

    def _put_down(self, claims: Sequence[Claim]) -> None:
        self._hands.put_down(self.stage.queue, claims)
        for claim in claims:
            self._in_hand.pop(claim.item_id, None)

    def commit(self, result: Result) -> int:
        """Write a result and move its rows on, as one transaction; the number of rows that were still ours.

        A connection lost while committing leaves open whether it was committed. Trying again decides it: if it was,
        the rows are no longer held and nothing is written twice.
        """
        for attempt in range(1, COMMIT_TRIES):
            try:
                return self._commit(result)
            except failures.AWAY as error:
                log.warning("A result could not be committed (try %d): %s", attempt, failures.cause(error))
                # Not `stopping`: a stop must not cost results that are there.
                threading.Event().wait(backoff_seconds(attempt) / 2)
            except failures.REFUSED as error:
                return self._commit_by_halves(result, error)
        return self._commit(result)

    def _commit(self, result: Result) -> int:
        worker_id, of, outcomes = self.lease.worker_id, self.stage.queue, result.outcomes
        if result.write is None:
            with self._open() as connection:
                return len(queue.settle(connection, of, worker_id, outcomes))
        with self.engine.begin() as connection:
            held = {claim.item_id for claim in queue.hold(connection, of, worker_id, [c for c, _ in outcomes])}
            outcomes = [(claim, outcome) for claim, outcome in outcomes if claim.item_id in held]
            values = result.write(connection, held) if held else None
            self._reach("written")
            if values:
                settled = sum(
                    len(queue.settle(connection, of, worker_id, [(claim, outcome)], values.get(claim.item_id)))
                    for claim, outcome in outcomes
                )
            else:
                settled = len(queue.settle(connection, of, worker_id, outcomes))
            self._reach("settled")
        return settled

    def _commit_by_halves(self, result: Result, error: Exception) -> int:
        """The database refused a result: find the rows it refuses, so that only those fail."""
        if len(result.outcomes) == 1:
            ((claim, _),) = result.outcomes
            return self._commit(Result([(claim, Fail(f"the database refused the result: {failures.cause(error)}"))]))
        middle = len(result.outcomes) // 2
        return sum(self.commit(_part(result, part)) for part in (result.outcomes[:middle], result.outcomes[middle:]))

    def _reach(self, point: str) -> None:
        reach(FaultPoint(f"{self.stage.queue.stage}.{point}"))


def _part(result: Result, outcomes: Sequence[tuple[Claim, Outcome]]) -> Result:
    """A result less some of its rows."""
    write, wanted = result.write, {claim.item_id for claim, _ in outcomes}
    if write is None:
        return Result(outcomes)
    return Result(outcomes, lambda connection, held: write(connection, wanted & set(held)))


def drain(
    engine: Engine,
    lease: Lease,
    stage: Stage,
    lanes: Sequence[Lane],
    on_counts: Callable[[dict[str, int]], None] = lambda _: None,
    stopping: threading.Event | None = None,
) -> dict[str, int]:
    """Run a stage until no row of `lanes` is ready, waiting or held by anybody; the number of rows in each state.

    Args:
        engine: The database.
        lease: This worker.
        stage: What to run.
        lanes: Whose rows.
        on_counts: Told the number of rows in each state, after every batch.
        stopping: The stage's, where it has one; set when this ends because of an error.

    Raises:
        RebaseError: The stage cannot go on (a teacher refuses its key); claimed rows were handed back.
    """
    stopping = stopping or threading.Event()
    hands = Hands()

    def run(tell: Callable[[dict[str, int]], None]) -> dict[str, int]:
        with closing(Line(engine)) as line:
            return _drain(engine, Runner(engine, lease, stage, stopping, hands, line), lanes, tell)

    if stage.alone:
        return run(on_counts)
    # While one batch waits for its last answers, another keeps the teacher busy.
    with ThreadPoolExecutor(1, "rebase-drain") as other_slot:
        other = other_slot.submit(run, lambda _: None)
        try:
            run(on_counts)
        except BaseException:
            stopping.set()
            raise
        return other.result()


def _drain(
    engine: Engine, runner: Runner, lanes: Sequence[Lane], on_counts: Callable[[dict[str, int]], None]
) -> dict[str, int]:
    stage = runner.stage
    machine = stage.queue.machine
    scope = stage.queue.in_lanes(lanes)
    idle = threading.Event()
    misses = 0
    while True:
        try:
            runner.hand_back()
            with engine.begin() as connection:
                rescue(connection, stage.queue, runner.lease.worker_id)
            worked = [runner.run_batch(lane).claimed for lane in lanes]
            with engine.connect() as connection:
                counts = queue.counts(connection, stage.queue, scope)
        except failures.AWAY as error:
            misses += 1
            if misses == COMMIT_TRIES:
                raise DatabaseError(
                    f"The database does not answer: {failures.cause(error)}",
                    hint="Run the same again when it is back: it goes on where it stopped.",
                ) from error
            log.warning("The database does not answer (try %d): %s", misses, failures.cause(error))
            idle.wait(backoff_seconds(misses) / 2)
            continue
        misses = 0
        on_counts(counts)
        if runner.stopping.is_set():
            return counts
        if not any(worked):
            runner.put_back_unknown()
            ready, working = counts.get(machine.ready, 0), counts.get(machine.working, 0)
            if not working and (not ready or _spent(stage, lanes)):
                return counts
            idle.wait(IDLE_SECONDS)


def _spent(stage: Stage, lanes: Sequence[Lane]) -> bool:
    return stage.claiming is not None and all(stage.claiming.spent(lane) for lane in lanes)
