"""A teacher over HTTP that answers when the test lets it, for links of a workshop."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from rebase_db.task.checks import Check, Checks
from rebase_db.task.store import add_task
from rebase_db.task.teachers import OpenAITeacherSpec
from tests.transform.stub_server import Asked, Reply, StubServer
from tests.workers.ready import tasks_of

if TYPE_CHECKING:
    from tests.workers.world import Workshop


CHECKS = Checks(duplicate=Check(action="off"))


class SlowTeacher(StubServer):
    """Holds back its first `held` answers until `go`; each of the others takes `seconds`."""

    def __init__(self, held: int = 0, seconds: float = 0.0) -> None:
        self.go = threading.Event()
        self._held = held
        self._seconds = seconds
        super().__init__(self._reply)

    def _reply(self, asked: Asked) -> Reply:
        with self._lock:
            held = self._held > 0
            self._held -= 1
        if held:
            self.go.wait()
        text = asked.row.get("text") or asked.row["body.text"]
        return Reply(content=json.dumps({"input": text, "output": "fruit"}), delay=self._seconds)

    def __exit__(self, *details: object) -> None:
        self.go.set()
        super().__exit__(*details)

    def teach(self, workshop: Workshop, at_once: int = 4, **settings: Any) -> None:
        """Become the teacher of all tasks, asked so many rows at a time; texts that come twice are kept."""
        spec = OpenAITeacherSpec(
            provider="openai", model="slow", base_url=self.url, concurrency=at_once, max_retries=0, **settings
        )
        with workshop.engine.begin() as connection:
            for file in tasks_of(workshop.folder):
                add_task(connection, file.model_copy(update={"teacher": spec, "checks": CHECKS}))

    def wait_until_asked(self, times: int) -> None:
        """Return once so many further questions have arrived."""
        for _ in range(times):
            assert self.arrived.acquire(timeout=90)


def wrong_about_links(workshop: Workshop) -> list[object]:
    """Links that are not done with exactly one call and one example of their last attempt: always empty."""
    return workshop.query(
        """
        SELECT link_id, state, link.attempt, count(generation_id), count(example_id) FROM retrieval_link AS link
        LEFT JOIN generation USING (link_id) LEFT JOIN example USING (generation_id, link_id)
        GROUP BY link_id, state, link.attempt
        HAVING state <> 'transformed' OR count(generation_id) <> 1 OR count(example_id) <> 1
        OR max(generation.attempt) <> link.attempt"""
    )
