"""The curve of a training while its connections break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db.database.copy import driver
from rebase_db.distill.runs import write_metrics
from tests.pipeline.end_state import illegal_events
from workers.stages import distill
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rebase_db.distill.student import MetricPoint
    from rebase_db.queue import Claim
    from tests.workers.conftest import Workshops


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_a_training_goes_on_when_a_connection_breaks_and_its_curve_is_whole(
    workshops: Workshops, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    with workshops.open("distill") as workshop:
        monkeypatch.setenv("REBASE_HOME", str(workshop.folder / "home"))
        workshop.query("UPDATE training_run SET state = 'cancelled', finished_at = now() WHERE training_run_id > 1")
        calls = 0

        def break_sometimes(connection: Connection, claim: Claim, points: Sequence[MetricPoint]) -> None:
            nonlocal calls
            calls += 1
            if calls in {2, 3}:
                if committed:
                    write_metrics(connection, claim, points)
                    driver(connection).commit()  # as if the server's word of it were lost
                connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
            write_metrics(connection, claim, points)

        monkeypatch.setattr(distill, "write_metrics", break_sometimes)
        told: list[MetricPoint] = []
        Worker(
            workshop.engine,
            WorkerOptions(["distill"], drain=True),
            stages=lambda lease, stopping: [distill.DistillStage(workshop.engine, lease, stopping, told.append)],
        ).run()
        assert workshop.query("SELECT state, attempt FROM training_run WHERE training_run_id = 1") == [("done", 1)]
        curve = workshop.query("SELECT name, step, attempt FROM metric ORDER BY step, name")
        assert curve == sorted(((point.name, point.step, 1) for point in told), key=lambda point: (point[1], point[0]))
        assert illegal_events(workshop.engine) == []
