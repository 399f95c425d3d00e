"""A worker: slots that look for lanes with work, run one batch after the other, and sleep until woken."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.check.run import Tools, check_examples
from rebase_db.database import failures
from rebase_db.database.engine import check_revision, read_revision
from rebase_db.database.line import Line
from rebase_db.database.revision import HEAD
from rebase_db.errors import DatabaseError, RebaseError
from rebase_db.lanes import unchecked_lanes, unfinished
from rebase_db.lease import Lease
from rebase_db.outcomes import backoff_seconds
from rebase_db.rescue import rescue
from workers.hands import Hands
from workers.models import Models
from workers.runner import Runner, Tally
from workers.schedule import Schedule
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
RESCUE_SECONDS = 2.0
DRAIN_POLL_SECONDS = 0.2
CHECK_SECONDS = 30.0
"""How often an idle worker looks for examples that one that died has left unchecked."""

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


@dataclass(frozen=True, slots=True)
class _Work:
    """One stage, shared by the slots; `busy` where only one of them may work on it at a time."""

    stage: Stage
    schedule: Schedule
    busy: threading.Lock | None


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
        self._rescuing = threading.Lock()
        self._rescued_at = float("-inf")
        self._checking = threading.Lock()
        self._checked_at = float("-inf")
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
            work = [_Work(stage, Schedule(stage.queue), threading.Lock() if stage.alone else None) for stage in stages]
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
            "transform": lambda: TransformStage(self._engine, lease, stopping, self._models.teaching, self._check_lane),
            "distill": lambda: DistillStage(self._engine, lease, stopping),
        }
        return [make[name]() for name in self._options.stages]

    def _check_lane(self, lane: Lane) -> None:
        """Check the examples of a lane."""
        if self._lease is None:
            raise RuntimeError("the worker is not running")
        tools = Tools(self._models.provider, lambda: self._models.encoder(lane[1]), self._stopping, wait=False)
        file = self._models.file(lane[0])
        check_examples(self._engine, self._lease.worker_id, lane, file, tools)

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
        with closing(Line(self._engine)) as line:
            runners = [Runner(self._engine, lease, each.stage, self._stopping, self._hands, line) for each in work]
            self._runners += runners
            try:
                self._work(lease, list(zip(work, runners, strict=True)), line)
            except RebaseError as error:
                self._failure = error
            except Exception as error:
                log.exception("A worker stops because of a fault in the worker itself.")
                self._failure = error
            else:
                return
            self._stopping.set()

    def _work(self, lease: Lease, work: Sequence[tuple[_Work, Runner]], line: Line) -> None:
        misses = 0
        while not self._stopping.is_set():
            seen = self._wake.times
            try:
                for _, runner in work:
                    runner.hand_back()  # what could not be while the server was away
                # A list: each stage has its turn, whether or not one before it had work.
                turns = [self._turn(each, runner, line) for each, runner in work]
                # After them: who was woken for new work should not first look for what others left.
                worked = any(turns) | self._rescue(lease, line)
                if not worked and "transform" in self._options.stages:
                    worked = self._check_lanes(line)
                if not worked and self._options.drain and self._nothing_left(line):
                    return
            except failures.FAILED as error:
                # The server is away, or about to be; what was in hand is fenced or comes back.
                misses += 1
                log.warning("The database does not answer: %s", failures.cause(error))
                self._end_if_schema_changed()
                self._stopping.wait(min(backoff_seconds(misses), 30))
                continue
            misses = 0
            if not worked:
                self._wake.wait(seen, DRAIN_POLL_SECONDS if self._options.drain else None)

    def _turn(self, work: _Work, runner: Runner, line: Line) -> bool:
        """One batch of one stage, if there is work for it; whether there was."""
        if self._stopping.is_set() or (work.busy is not None and not work.busy.acquire(blocking=False)):
            return False
        try:
            lane = work.schedule.next_lane(line, self._wake.times)
            if lane is None:
                return False
            began = time.monotonic()
            try:
                tally = runner.run_batch(lane, self._options.batch)
            except RebaseError as error:
                if self._options.drain:
                    raise
                seconds = work.schedule.block(lane)
                log.warning("%s %s Left to other workers for %g seconds.", error.message, error.hint, seconds)
                return True
            work.schedule.unblock(lane)
            if not tally.claimed:
                return work.schedule.found_empty(lane)
            self._on_batch(work.stage.queue.stage, tally, time.monotonic() - began)
            return True
        finally:
            if work.busy is not None:
                work.busy.release()

    def _rescue(self, lease: Lease, line: Line) -> bool:
        """Now and then, take back the rows of dead workers, of all queues; whether there were any."""
        with self._rescuing:
            if time.monotonic() - self._rescued_at < RESCUE_SECONDS:
                return False
            self._rescued_at = time.monotonic()
            with line.open() as connection:
                rows = sum(rescue(connection, each, lease.worker_id) for each in queue.QUEUES)
                self._hands.put_back_unknown(connection, lease.worker_id, queue.QUEUES)
        if rows:
            log.warning("%d rows of workers that are gone wait again.", rows)
        return bool(rows)

    def _check_lanes(self, line: Line) -> bool:
        """Now and then, check what a worker that died had left to check; whether there was any."""
        if not self._checking.acquire(blocking=False):
            return False
        try:
            pause = DRAIN_POLL_SECONDS if self._options.drain else CHECK_SECONDS
            if time.monotonic() - self._checked_at < pause:
                return False
            self._checked_at = time.monotonic()
            with line.open() as connection:
                lanes = unchecked_lanes(connection)
            for lane in lanes:
                try:
                    self._check_lane(lane)
                except RebaseError as error:
                    log.warning("%s %s The examples are left to other workers.", error.message, error.hint)
                    return False
            return bool(lanes)
        finally:
            self._checking.release()

    def _nothing_left(self, line: Line) -> bool:
        """Whether no row of these stages is ready, waits for its time or is in somebody's hands."""
        with line.open() as connection:
            # In the order of the pipeline: what the end of one stage adds to the next is there when that is asked.
            return not any(unfinished(connection, each) for each in queue.QUEUES if each.stage in self._options.stages)
