"""Claims links of one task, has the teacher answer them, and stores every answer under its link's claim."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.check.example import first_failure
from rebase_db.check.store import register_checks
from rebase_db.check.verdict import Candidate
from rebase_db.database import failures
from rebase_db.errors import RebaseError, TeacherError
from rebase_db.faults import FaultPoint, reach
from rebase_db.outcomes import Release
from rebase_db.transform.batch import Batch, plan_batch
from rebase_db.transform.budget import is_exhausted, is_limited
from rebase_db.transform.provider import Usage
from rebase_db.transform.reservation import (
    Spent,
    claim_within,
    exhaust_if_full,
    lane_has_room,
    settle,
    spent_on,
)
from rebase_db.transform.rows import RowReader
from rebase_db.transform.store import CheckedLink, outcome_of, register_teacher, write_answers
from rebase_db.transform.stored import same_reply
from workers.arrivals import arrivals
from workers.stage import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.check.example import Result as CheckResult
    from rebase_db.check.store import CheckIds
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Lane, Place
    from rebase_db.transform.teacher import Answer, Prepared
    from workers.models import Teaching

log = logging.getLogger(__name__)

ANSWERS_A_COMMIT = 256
LINGER_SECONDS = 0.05
"""How long an answer may wait for others to be committed with it: a crash loses sight of no more than came since."""
LEAST_BATCH = 16
HELD_SECONDS = 1.0
"""How long to leave a budget alone of which all that is left is set aside for calls under way."""


class TransformStage:
    """Transforms links; a lane is a task version under an encoder.

    Args:
        engine: The database.
        lease: The worker.
        stopping: Once set, no more is asked; what is under way is waited for and kept.
        load: Teacher and checks of a task version.
        finish_lane: Told the lane when it may have nothing left to claim, outside any transaction: what compares
            examples with each other is checked then.
    """

    queue = queue.TRANSFORM
    batch = 256
    writers = 1
    alone = False
    finishes = True

    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        stopping: threading.Event,
        load: Callable[[int], Teaching],
        finish_lane: Callable[[Lane], object] = lambda _: None,
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.stopping = stopping
        self.load = load
        self.finish_lane = finish_lane
        self.rows = RowReader()
        self.claiming = self
        self._database = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._ready: dict[int, _Ready] = {}
        # Planned with the claim, by its first link and attempt.
        self._planned: dict[tuple[int, int], tuple[_Ready, Batch]] = {}
        self._full: dict[Lane, bool] = {}
        self._wait_until: dict[Lane, float] = {}

    def prepare(self, lane: Lane) -> None:
        """Load the teacher, and see whether the task has a budget."""
        teaching = self.load(lane[0])
        with self._database.connect() as connection:
            limited = is_limited(connection, lane[0])
        known = self._ready.get(lane[0])
        if known is not None and known.teaching is teaching:
            self._ready[lane[0]] = replace(known, limited=limited)
            return
        with self.engine.begin() as connection:
            ids = register_teacher(connection, teaching.teacher.identity, teaching.teacher.prompt)
            checks = register_checks(connection, teaching.checker.definitions)
        self._ready[lane[0]] = _Ready(teaching, *ids, checks, limited)

    def batch_of(self, lane: Lane) -> int:
        """As many rows as keep the teacher busy: a worker that dies loses sight of no more calls than it must."""
        teacher = self._ready[lane[0]].teaching.teacher
        return max(teacher.in_flight, LEAST_BATCH) if teacher.reusable else self.batch

    def claim(self, lane: Lane, limit: int, after: Place) -> list[Claim] | None:
        """Claim as far as the budget goes; None where there is none."""
        ready = self._ready[lane[0]]
        if not ready.limited:
            return None
        if time.monotonic() < self._wait_until.get(lane, 0):
            return []
        planned = Batch()

        def weigh(connection: Connection, claims: Sequence[Claim]) -> Mapping[int, Usage]:
            nonlocal planned
            planned = self._plan(connection, ready, claims)
            return planned.most

        with self.engine.begin() as connection:
            claims, self._full[lane] = claim_within(connection, self.lease.worker_id, lane, limit, after, weigh)
        if claims:
            self._planned[claims[0].item_id, claims[0].attempt] = ready, planned
        elif not self._full[lane]:
            # Calls under way hold what is left: finding that out again costs a batch's claim each time.
            self._wait_until[lane] = time.monotonic() + HELD_SECONDS
        return claims

    def nothing_claimed(self, lane: Lane) -> None:
        """Where the budget is the reason, check what was made: with enough examples accepted, that is its end."""
        if not self._ready[lane[0]].limited:
            return
        full = self._full.get(lane, False)
        if full or self.spent(lane):
            self.finish_lane(lane)
        if full:
            with self.engine.begin() as connection:
                exhaust_if_full(connection, lane)

    def spent(self, lane: Lane) -> bool:
        """Whether the budget has nothing left for another row."""
        with self._database.connect() as connection:
            return is_exhausted(connection, lane[0])

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Ask for all claimed rows and give the answers back as they come in."""
        ready = self._ready[lane[0]]
        planned = self._planned.pop((claims[0].item_id, claims[0].attempt), None) if claims else None
        if planned is not None:
            ready, batch = planned  # with the teacher it was planned for, whichever is the task's by now
        else:
            with self._database.connect() as connection:
                batch = self._plan(connection, ready, claims)
        yield from _Work(self, lane, ready, batch, {claim.item_id: claim for claim in claims}).results()
        with self._database.connect() as connection:
            left = lane_has_room(connection, lane)
        if not left:
            self.finish_lane(lane)

    def close(self) -> None:
        """Nothing to let go of: the teacher is the caller's."""

    def _plan(self, connection: Connection, ready: _Ready, claims: Sequence[Claim]) -> Batch:
        link_ids = [claim.item_id for claim in claims]
        try:
            return plan_batch(connection, self.rows, ready.teaching.teacher, ready.teacher_id, link_ids)
        except (RebaseError, *failures.FAILED):
            raise
        except Exception as error:
            log.exception("Rows of a task could not be made ready.")
            first, last = min(link_ids), max(link_ids)
            raise TeacherError(
                f"A row of links {first} to {last} cannot be made a prompt: {type(error).__name__}: {error}."
            ) from error


@dataclass(frozen=True, slots=True)
class _Ready:
    """A task version that can be worked on; `limited`: its task has a budget."""

    teaching: Teaching
    teacher_id: int
    prompt_id: int
    checks: CheckIds
    limited: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """One batch in hand."""

    stage: TransformStage
    lane: Lane
    ready: _Ready
    batch: Batch
    claims: Mapping[int, Claim]
    generations: dict[int, int] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    # Rows are fed from a thread of the teacher's.
    feeding: threading.Lock = field(default_factory=threading.Lock)
    left: threading.Event = field(default_factory=threading.Event)

    def results(self) -> Iterator[Result]:
        """The batch's results; rows that were not asked for are handed back, with what was set aside for them."""
        if self.batch.stored:
            yield self._result(self.batch.stored)
        failure: RebaseError | None = None
        try:
            yield from self._ask()
        except TeacherError as error:
            # What is without an answer by now was refused, and is not billed.
            failure = error
            self.asked.intersection_update(self.answered)
        except RebaseError as error:
            failure = error
        except GeneratorExit:
            self._free()
            raise
        # Of prompts that were not answered, too: whichever of the rows is claimed next asks again.
        unasked = self._unasked() + [each.link_id for others in self.batch.same.values() for each in others]
        if unasked:
            yield self._handed_back(unasked)
        if failure is not None:
            raise failure

    def _unasked(self) -> list[int]:
        return [each.link_id for each in self.batch.ask if each.link_id not in self.asked]

    def _free(self) -> None:
        """Free what was set aside for rows that were never sent: who hands them back does not know that."""
        with self.feeding:
            self.left.set()
            unasked = self._unasked()
        if unasked and self.ready.limited:
            with suppress(*failures.AWAY), self.stage.engine.begin() as connection:
                self._settle(connection, dict.fromkeys(unasked, Usage(0, 0)))

    def _ask(self) -> Iterator[Result]:
        answered = self.ready.teaching.teacher.answer(self._feed())
        with closing(arrivals(answered, ANSWERS_A_COMMIT, LINGER_SECONDS)) as arriving:  # type: ignore[type-var]
            for answers in arriving:
                self.answered.update(answer.link_id for answer in answers)
                for _ in answers:
                    reach(FaultPoint.TRANSFORM_ANSWERED)
                yield self._result(answers)
                same = [each for answer in answers for each in self._same(answer)]
                if same:
                    yield self._result(same)

    def _feed(self) -> Iterator[Prepared]:
        """Rows as the teacher has room for them; none more once this worker is to stop."""
        for each in self.batch.ask:
            with self.feeding:
                if self.stage.stopping.is_set() or self.left.is_set():
                    return
                self.asked.add(each.link_id)
            yield each

    def _same(self, answer: Answer) -> Iterator[Answer]:
        """Answers for the rows with the prompt of one that was just answered and written."""
        generation_id = self.generations.get(answer.link_id)
        if answer.reply.error is None and generation_id is not None:
            for each in self.batch.same.pop(answer.prepared.prompt_hash, ()):
                again = self.ready.teaching.teacher.read(each, same_reply(answer.reply, each.link_id))
                yield replace(again, reused_from=generation_id)

    def _result(self, answers: Sequence[Answer]) -> Result:
        checked = {answer.link_id: self._check(answer) for answer in answers}

        def write(connection: Connection, held: Collection[int]) -> None:
            mine = [answer for answer in answers if answer.link_id in held]
            generations = write_answers(
                connection,
                self.stage.lease.worker_id,
                self.claims,
                mine,
                [self._checked(answer.link_id, each) for answer in mine for each in checked[answer.link_id]],
                task_version_id=self.lane[0],
                teacher_id=self.ready.teacher_id,
                prompt_id=self.ready.prompt_id,
            )
            self._settle(
                connection,
                {answer.link_id: spent_on(answer.reply) for answer in mine if answer.reused_from is None},
            )
            self.generations.update(generations)

        outcomes = [
            (self.claims[answer.link_id], outcome_of(answer, first_failure(checked[answer.link_id])))
            for answer in answers
        ]
        return Result(outcomes, write)

    def _checked(self, link_id: int, result: CheckResult) -> CheckedLink:
        found = result.finding
        return CheckedLink(
            link_id, self.ready.checks[result.check.content_hash], result.verdict, found.score, found.evidence
        )

    def _check(self, answer: Answer) -> list[CheckResult]:
        if answer.parsed is None:
            return []
        found, columns = answer.parsed, answer.prepared.row.columns
        return self.ready.teaching.checker.check(Candidate(0, found.input, found.output, found.rationale, columns))

    def _handed_back(self, link_ids: Sequence[int]) -> Result:
        def write(connection: Connection, held: Collection[int]) -> None:
            self._settle(connection, {link_id: Usage(0, 0) for link_id in link_ids if link_id in held})

        return Result([(self.claims[link_id], Release()) for link_id in link_ids], write)

    def _settle(self, connection: Connection, usages: Mapping[int, Usage | None]) -> None:
        spent = [Spent(link_id, self.claims[link_id].attempt, usage) for link_id, usage in usages.items()]
        settle(connection, self.lane[0], self.stage.lease.worker_id, spent)
