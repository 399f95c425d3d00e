"""The models a worker holds: encoders, and teachers with their tasks' checks, loaded once and shared by its slots."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rebase_db.check.example import ExampleChecker
from rebase_db.embed.registered import load_registered
from rebase_db.task.file import TaskFile
from rebase_db.task.store import version_file
from rebase_db.transform.teacher import make_provider, make_teacher

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.task.teachers import LanguageModelSpec
    from rebase_db.transform.provider import Provider
    from rebase_db.transform.teacher import Teacher


@dataclass(frozen=True, slots=True)
class Teaching:
    """What answers for a task's rows, and what its examples are checked for."""

    file: TaskFile
    teacher: Teacher
    checker: ExampleChecker


class Models:
    """Loads on demand; one at a time, since loading two at once takes the memory of both.

    A language model that several tasks name alike is loaded once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loading = threading.Lock()
        self._encoders: dict[int, Encoder] = {}
        self._providers: dict[str, Provider] = {}
        self._teachings: dict[int, tuple[dict[str, Any], Teaching]] = {}

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

    def teaching(self, task_version_id: int) -> Teaching:
        """Teacher and checks of a task version, as its task file says now.

        Raises:
            RebaseError: The task has no teacher, or its key is not in this process's environment.
        """
        file = self._stored_file(task_version_id)
        with self._loading:
            known = self._teachings.get(task_version_id)
            if known is not None and known[0] == file:
                return known[1]
            read = TaskFile.model_validate(file)
            # What was replaced stays loaded to the end: another slot may be asking it.
            teaching = Teaching(read, make_teacher(read, self._provider), ExampleChecker(read))
            self._teachings[task_version_id] = file, teaching
            return teaching

    def file(self, task_version_id: int) -> TaskFile:
        """The task file of a version, as it says now; nothing is loaded for it."""
        return TaskFile.model_validate(self._stored_file(task_version_id))

    def _stored_file(self, task_version_id: int) -> dict[str, Any]:
        with self._engine.connect() as connection:
            return version_file(connection, task_version_id)

    def provider(self, spec: LanguageModelSpec) -> Provider:
        """A language model.

        Raises:
            TeacherError: It cannot be had here.
        """
        with self._loading:
            return self._provider(spec)

    def _provider(self, spec: LanguageModelSpec) -> Provider:
        key = spec.model_dump_json()
        if key not in self._providers:
            self._providers[key] = make_provider(spec)
        return self._providers[key]

    def close(self) -> None:
        """Let go of everything."""
        for provider in self._providers.values():
            provider.close()
        self._providers.clear()
        self._teachings.clear()
        self._encoders.clear()
