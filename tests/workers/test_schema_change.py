"""The schema is changed beneath workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.errors import DatabaseError
from tests.pipeline.end_state import illegal_events
from tests.workers.slow_teacher import SlowTeacher
from tests.workers.world import Workshop, until

if TYPE_CHECKING:
    from tests.workers.conftest import Workshops

HELD = 4


def beats(workshop: Workshop, count: int) -> None:
    """Wait until the only worker has beaten so many times more."""
    for _ in range(count):
        before = workshop.query("SELECT heartbeat_at FROM worker WHERE stopped_at IS NULL")
        until(
            lambda: workshop.query("SELECT heartbeat_at FROM worker WHERE stopped_at IS NULL") != before,  # noqa: B023
            "a heartbeat",
        )


def test_a_worker_stops_and_hands_back_what_it_has(workshops: Workshops) -> None:
    with workshops.open("transform") as workshop, SlowTeacher(HELD) as teacher:
        teacher.teach(workshop, at_once=HELD)
        arguments = ("--stage", "transform", "--concurrency", "1", "--batch", str(2 * HELD))
        worker = workshop.work(*arguments, REBASE_LEASE_SECONDS="2")
        teacher.wait_until_asked(HELD)
        workshop.query("UPDATE alembic_version SET version_num = '9999'")
        beats(workshop, 2)  # the first looks at the schema; it is through with that before the second
        teacher.go.set()
        assert worker.end() == DatabaseError.exit_code, worker.said()
        errors = [line for line in worker.said().splitlines() if line.startswith("error:")]
        assert len(errors) == 1
        assert "is newer than this rebase-db (revision 9999" in errors[0]
        assert "Traceback" not in worker.said()
        assert illegal_events(workshop.engine) == []
        # What was being asked is waited for and kept, the rest handed back, with all its attempts.
        ends = "SELECT event, count(*) FROM event WHERE attempt > 0 AND event <> 'claim' AND queue = 'retrieval_link'"
        assert workshop.query(f"{ends} GROUP BY event ORDER BY event") == [("done", HELD), ("release", HELD)]
        left = workshop.query("SELECT DISTINCT attempt_limit - attempt FROM retrieval_link WHERE state = 'retrieved'")
        assert left == [5]
        assert len(teacher.asked) == HELD, "nothing new was begun"


def test_an_idle_worker_stops_too(workshops: Workshops) -> None:
    with workshops.open("distill") as workshop:
        worker = workshop.work("--stage", "transform", REBASE_LEASE_SECONDS="2")
        until(lambda: "works on transform" in worker.said(), "the worker is there")
        workshop.query("UPDATE alembic_version SET version_num = '0001'")
        assert worker.end() == DatabaseError.exit_code, worker.said()
        assert "is older than this rebase-db (0001" in worker.said()
        assert workshop.query("SELECT count(*) FROM worker WHERE stopped_at IS NULL") == [0]
