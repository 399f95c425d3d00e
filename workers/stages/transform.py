"""Claims links of one task, has the teacher answer them, and stores every answer under its link's claim."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.faults import FaultPoint, reach
from rebase_db.transform.store import RowReader, outcome_of, register_teacher, write_answers
from workers.stage import Result

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Lane
    from rebase_db.transform.teacher import Answer, Teacher

ANSWERS_A_COMMIT = 64
"""A crash loses at most this many answers that were already given."""


class TransformStage:
    """Transforms links; a lane is a task version under an encoder.

    Args:
        engine: The database.
        lease: The worker.
        stopping: Once set, answers that are there are kept and no more are waited for.
        load_teacher: The teacher of a task version.
    """

    queue = queue.TRANSFORM
    batch = 256
    writers = 1

    def __init__(
        self, engine: Engine, lease: Lease, stopping: threading.Event, load_teacher: Callable[[int], Teacher]
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.stopping = stopping
        self.load_teacher = load_teacher
        self.rows = RowReader()

    def prepare(self, lane: Lane) -> None:
        """Load the teacher."""
        self.load_teacher(lane[0])

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Ask for all claimed rows and give the answers back as they come in."""
        teacher = self.load_teacher(lane[0])
        with self.engine.begin() as connection:
            rows = self.rows.read(connection, claims)
            teacher_id, prompt_id = register_teacher(connection, teacher)
        held = {claim.item_id: claim for claim in claims}
        answers: list[Answer] = []
        with closing(teacher.answer(rows)) as given:  # type: ignore[type-var]
            for answer in given:
                reach(FaultPoint.TRANSFORM_ANSWERED)
                answers.append(answer)
                if self.stopping.is_set():
                    break
                if len(answers) == ANSWERS_A_COMMIT:
                    yield self._result(held, answers, teacher_id, prompt_id)
                    answers = []
        if answers:
            yield self._result(held, answers, teacher_id, prompt_id)

    def _result(
        self, claims: Mapping[int, Claim], answers: Sequence[Answer], teacher_id: int, prompt_id: int
    ) -> Result:
        def write(connection: Connection, held: Collection[int]) -> None:
            write_answers(
                connection,
                self.lease.worker_id,
                claims,
                [answer for answer in answers if answer.link_id in held],
                teacher_id=teacher_id,
                prompt_id=prompt_id,
            )

        return Result([(claims[answer.link_id], outcome_of(answer)) for answer in answers], write)

    def close(self) -> None:
        """Nothing to let go of: the teacher is the caller's."""
