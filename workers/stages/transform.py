"""Claims links of one task, has the teacher answer them, and stores every answer under its link's claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue
from rebase_db.faults import FaultPoint, reach
from rebase_db.transform.store import RowReader, register_teacher, requeue_for, task_links, write_answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from rebase_db.lease import Lease
    from rebase_db.queue import Claim
    from rebase_db.transform.teacher import Answer, Teacher

ANSWERS_A_COMMIT = 64
"""A crash loses at most this many answers that were already given."""


class TransformStage:
    """Transforms the live links of a task version under one encoder."""

    queue = queue.TRANSFORM
    batch = 256

    def __init__(self, engine: Engine, lease: Lease, task_version_id: int, encoder_id: int, teacher: Teacher) -> None:
        self.engine = engine
        self.lease = lease
        self.teacher = teacher
        self.scope = task_links(task_version_id, encoder_id)
        self.rows = RowReader()
        with engine.begin() as connection:
            self.teacher_id, self.prompt_id = register_teacher(connection, teacher)
            self.requeued = requeue_for(connection, task_version_id, encoder_id, self.teacher_id, self.prompt_id)

    def work(self, claims: Sequence[Claim]) -> None:
        """Ask for all claimed rows and store answers as they come in."""
        reach(FaultPoint.TRANSFORM_CLAIMED)
        held = {claim.item_id: claim for claim in claims}
        with self.engine.connect() as connection:
            rows = self.rows.read(connection, claims)
        answers: list[Answer] = []
        for answer in self.teacher.answer(rows):
            answers.append(answer)
            if len(answers) == ANSWERS_A_COMMIT:
                self._write(held, answers)
                answers = []
        self._write(held, answers)

    def _write(self, held: dict[int, Claim], answers: list[Answer]) -> None:
        if not answers:
            return
        reach(FaultPoint.TRANSFORM_ANSWERED)
        with self.engine.begin() as connection:
            write_answers(
                connection,
                self.lease.worker_id,
                held,
                answers,
                teacher_id=self.teacher_id,
                prompt_id=self.prompt_id,
            )
            reach(FaultPoint.TRANSFORM_BEFORE_COMMIT)
        reach(FaultPoint.TRANSFORM_COMMITTED)

    def close(self) -> None:
        """Close the teacher."""
        self.teacher.close()
