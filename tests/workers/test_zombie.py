"""A worker that was frozen for longer than a lease and comes back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.pipeline.end_state import illegal_events
from tests.workers.slow_teacher import SlowTeacher, wrong_about_links
from tests.workers.world import until

if TYPE_CHECKING:
    from tests.workers.conftest import Workshops

LEASE = {"REBASE_LEASE_SECONDS": "2"}
HELD = 4


def test_what_a_frozen_worker_held_is_done_by_another_and_its_late_results_are_refused(workshops: Workshops) -> None:
    with workshops.open("transform") as workshop, SlowTeacher(HELD) as teacher:
        teacher.teach(workshop, at_once=HELD)
        frozen = workshop.work("--stage", "transform", "--concurrency", "1", "--batch", str(HELD), **LEASE)
        teacher.wait_until_asked(HELD)
        frozen.signal(signal.SIGSTOP)
        # Its connections stay open and with them its lock: only its silence tells.
        other = workshop.work("--stage", "transform", "--batch", "8", "--drain", **LEASE)
        assert other.end() == 0, other.said()
        assert wrong_about_links(workshop) == []
        done = workshop.query("SELECT * FROM generation ORDER BY generation_id")

        teacher.go.set()
        frozen.signal(signal.SIGCONT)
        until(lambda: f"{HELD} were no longer ours" in frozen.said(), "the late results are refused")
        frozen.stop()
        assert "0 settled" in frozen.said()
        assert wrong_about_links(workshop) == []
        assert illegal_events(workshop.engine) == []
        assert workshop.query("SELECT * FROM generation ORDER BY generation_id") == done
        history = workshop.query(
            "SELECT event, count(*), count(DISTINCT worker_id) FROM event WHERE queue = 'retrieval_link' AND item_id IN"
            " (SELECT item_id FROM event WHERE event = 'rescue') GROUP BY event ORDER BY event"
        )
        assert history == [("claim", 2 * HELD, 2), ("done", HELD, 1), ("rescue", HELD, 0)]
