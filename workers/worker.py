"""A worker: slots that look for lanes with work, run one batch after the other, and sleep until woken."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.database import failures
from rebase_db.database.engine import check_revision, read_revision
from rebase_db.database.revision import HEAD
from rebase_db.errors import DatabaseError, RebaseError
from rebase_db.lanes import ReadyLane, ready_lanes, unfinished
from rebase_db.lease import Lease
from rebase_db.outcomes import backoff_seconds
from rebase_db.rescue import rescue
from workers.hands import Hands
from workers.models import Models
from workers.runner import Runner, Tally
from workers.stages.distill import DistillStage
from workers.stages.embed import EmbedStage
from workers.stages.retrieve import RetrieveStage
from workers.stages.transform import TransformStage
from workers.wake import Wake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Lane
    from workers.stage import Stage

STAGES = tuple(each.stage for each in queue.QUEUES)
LANES_SECONDS = 0.5
"""How old a list of ready lanes may be: a task that comes late, or first by priority, waits no longer for its turn."""
RESCUE_SECONDS = 2.0
BLOCKED_SECONDS = 30.0
LONGEST_BLOCKED_SECONDS = 3600.0
"""How long a lane that cannot be worked on here (a missing key, a missing model) is left to other workers: at first,
and at most after doubling it each time."""
ONE_AT_A_TIME = {"embed", "retrieve", "distill"}
"""Stages that use the whole machine for one batch; of these a worker runs one batch each at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker does.

    Attributes:
        stages: Which stages, in the order they are tried.
        concurrency: Batches in hand at most.
        batch: Rows a claim; what suits the stage where None.
        drain: End when nothing is left that could become ready.
    """

    stages: Sequence[str] = STAGES
    concurrency: int = 1
    batch: int | None = None
    drain: bool = False


@dataclass(slots=True)
class _Work:
    """One stage, shared by the slots."""

    stage: Stage
    busy: threading.Lock | None
    lanes: list[ReadyLane] = field(default_factory=list)
    looked_at: float = float("-inf")
    looked_for: int = -1
    rescued_at: float = float("-inf")
    served: dict[Lane, float] = field(default_factory=dict)
    blocked_until: dict[Lane, float] = field(default_factory=dict)
    blocked_for: dict[Lane, float] = field(default_factory=dict)


class Worker:
    """Works until it is told to stop.

    Args:
        engine: The database, checked.
        options: What to do.
        on_batch: Told the stage, what became of a batch and how many seconds it took, from the slot's thread.
        stages: The stages to use; those of `options` where None.
        on_start: Told this worker's id, before it looks for work.
    """

    def __init__(
        self,
        engine: Engine,
        options: WorkerOptions,
        on_batch: Callable[[str, Tally, float], None] = lambda *_: None,
        stages: Callable[[Lease, threading.Event], Sequence[Stage]] | None = None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._on_start = on_start
        self._options = options
        self._on_batch = on_batch
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._choosing = threading.Lock()
        self._runners: list[Runner] = []
        self._hands = Hands()
        self._models = Models(engine)
        self._make_stages = stages or self._own_stages
        self._wake: Wake
        self._lease: Lease | None = None

    def stop(self) -> None:
        """Finish what is in hand, as far as the stage can be asked to, hand back the rest, and end."""
        self._stopping.set()

    @property
    def batches_in_hand(self) -> int:
        """Batches with rows that are claimed and not settled."""
        return sum(runner.rows_in_hand > 0 for runner in self._runners)

    def hand_back(self) -> None:
        """Hand back what is in hand without waiting for it, and sign off: the process should end now.

        What comes of it later is refused.
        """
        for runner in self._runners:
            runner.hand_back()
        if self._lease is not None:
            self._lease.close()

    def run(self) -> None:
        """Work until stopped or, with `drain`, until nothing is left.

        Raises:
            DatabaseError: The schema was changed beneath this worker; what was in hand was handed back.
        """
        options = self._options
        with Lease(
            self._engine, stages=options.stages, concurrency=options.concurrency, on_beat=self._check_schema
        ) as lease:
            self._lease = lease
            self._on_start(lease.worker_id)
            self._wake = Wake(self._engine)
            stages = self._make_stages(lease, self._stopping)
            work = [_Work(stage, threading.Lock() if stage.queue.stage in ONE_AT_A_TIME else None) for stage in stages]
            slots = [
                threading.Thread(target=self._slot, args=(lease, work), name=f"rebase-slot-{number}")
                for number in range(options.concurrency)
            ]
            for slot in slots:
                slot.start()
            try:
                for slot in slots:
                    while slot.is_alive():
                        slot.join(0.2)  # not for ever, so that the main thread can be told to stop by a signal
                        if self._stopping.is_set():
                            self._wake.wake()
            finally:
                self._stopping.set()
                self._wake.wake()
                for slot in slots:
                    slot.join()
                self._wake.close()
                for stage in stages:
                    stage.close()
                self._models.close()
        if self._failure is not None:
            raise self._failure

    def _own_stages(self, lease: Lease, stopping: threading.Event) -> list[Stage]:
        make: dict[str, Callable[[], Stage]] = {
            "embed": lambda: EmbedStage(self._engine, self._models.encoder),
            "retrieve": lambda: RetrieveStage(self._engine, self._models.encoder),
            "transform": lambda: TransformStage(self._engine, lease, stopping, self._models.teacher),
            "distill": lambda: DistillStage(self._engine, lease, stopping),
        }
        return [make[name]() for name in self._options.stages]

    def _check_schema(self, connection: Connection) -> None:
        """With each heartbeat: code that runs on another schema than its own must not go on."""
        if read_revision(connection) != HEAD:
            self._end_if_schema_changed()

    def _end_if_schema_changed(self) -> None:
        try:
            check_revision(self._engine)
        except DatabaseError as error:
            self._failure = error
            self._stopping.set()
        except failures.FAILED:
            pass  # the server is away: another time

    def _slot(self, lease: Lease, work: Sequence[_Work]) -> None:
        runners = [Runner(self._engine, lease, each.stage, self._stopping, self._hands) for each in work]
        self._runners += runners
        misses = 0
        while not self._stopping.is_set():
            seen = self._wake.times
            try:
                # A list: each stage has its turn, whether or not one before it had work.
                turns = [self._turn(lease, *each) for each in zip(work, runners, strict=True)]
                worked = any(turns)
                if not worked and self._options.drain and self._nothing_left(work):
                    break
            except failures.FAILED as error:
                # The server is away, or about to be; what was in hand is fenced or comes back.
                misses += 1
                log.warning("The database does not answer: %s", failures.cause(error))
                self._end_if_schema_changed()
                self._stopping.wait(min(backoff_seconds(misses), 30))
                continue
            except RebaseError as error:
                self._failure = error
                self._stopping.set()
                break
            except Exception as error:
                log.exception("A worker stops because of a fault in the worker itself.")
                self._failure = error
                self._stopping.set()
                break
            misses = 0
            if not worked:
                self._wake.wait(seen, 0.2 if self._options.drain else None)

    def _turn(self, lease: Lease, work: _Work, runner: Runner) -> bool:
        """One batch of one stage, if there is work for it; whether there was."""
        if self._stopping.is_set() or (work.busy is not None and not work.busy.acquire(blocking=False)):
            return False
        try:
            lane = self._choose(lease, work)
            if lane is None:
                return False
            began = time.monotonic()
            try:
                tally = runner.run_batch(lane, self._options.batch)
            except RebaseError as error:
                if self._options.drain:
                    raise
                seconds = min(work.blocked_for.get(lane, BLOCKED_SECONDS / 2) * 2, LONGEST_BLOCKED_SECONDS)
                work.blocked_for[lane], work.blocked_until[lane] = seconds, time.monotonic() + seconds
                log.warning("%s %s Left to other workers for %g seconds.", error.message, error.hint, seconds)
                return True
            work.blocked_for.pop(lane, None)
            if not tally.claimed:
                work.looked_at = float("-inf")  # others were quicker
                return False
            self._on_batch(work.stage.queue.stage, tally, time.monotonic() - began)
            return True
        finally:
            if work.busy is not None:
                work.busy.release()

    def _choose(self, lease: Lease, work: _Work) -> Lane | None:
        """Of the lanes with the highest priority the one that was served longest ago."""
        now = time.monotonic()
        with self._choosing:
            if now - work.rescued_at > RESCUE_SECONDS:
                work.rescued_at = now
                with self._engine.begin() as connection:
                    rescue(connection, work.stage.queue, lease.worker_id)
            woken = self._wake.times
            if now - work.looked_at > LANES_SECONDS or work.looked_for != woken:
                with self._engine.connect() as connection:
                    work.lanes = ready_lanes(connection, work.stage.queue)
                work.looked_at, work.looked_for = now, woken
            open_lanes = [each for each in work.lanes if work.blocked_until.get(each.lane, 0) <= now]
            if not open_lanes:
                return None
            first = max(each.priority for each in open_lanes)
            lane = min(
                (each.lane for each in open_lanes if each.priority == first),
                key=lambda lane: (work.served.get(lane, 0), random.random()),  # noqa: S311 - no secret
            )
            work.served[lane] = now
            return lane

    def _nothing_left(self, work: Sequence[_Work]) -> bool:
        """Whether no row of these stages is ready, waits for its time or is in somebody's hands."""
        with self._engine.connect() as connection:
            # In the order of the pipeline: what the end of one stage adds to the next is there when that is asked.
            return not any(unfinished(connection, each.stage.queue) for each in work)
