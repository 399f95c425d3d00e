"""The models a worker holds: encoders and teachers by id, loaded once and shared by its slots."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rebase_db.embed.registered import load_registered
from rebase_db.task.file import TaskFile
from rebase_db.task.store import version_file
from rebase_db.transform.teacher import make_teacher

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.transform.teacher import Teacher


class Models:
    """Loads on demand; one at a time, since loading two at once takes the memory of both."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loading = threading.Lock()
        self._encoders: dict[int, Encoder] = {}
        self._teachers: dict[int, tuple[dict[str, Any], Teacher]] = {}
        self._replaced: list[Teacher] = []

    def encoder(self, encoder_id: int) -> Encoder:
        """An encoder.

        Raises:
            EncoderError: It is not on this machine.
        """
        with self._loading:
            if encoder_id not in self._encoders:
                with self._engine.connect() as connection:
                    self._encoders[encoder_id] = load_registered(connection, encoder_id)
            return self._encoders[encoder_id]

    def teacher(self, task_version_id: int) -> Teacher:
        """The teacher of a task version, as its task file says now.

        Raises:
            RebaseError: The task has none, or its key is not in this process's environment.
        """
        with self._engine.connect() as connection:
            file = version_file(connection, task_version_id)
        with self._loading:
            known = self._teachers.get(task_version_id)
            if known is not None and known[0] == file:
                return known[1]
            teacher = make_teacher(TaskFile.model_validate(file))
            if known is not None:
                self._replaced.append(known[1])  # another slot may be asking it
            self._teachers[task_version_id] = file, teacher
            return teacher

    def close(self) -> None:
        """Let go of everything."""
        for teacher in (*self._replaced, *(teacher for _, teacher in self._teachers.values())):
            teacher.close()
        self._replaced.clear()
        self._teachers.clear()
        self._encoders.clear()
