"""A worker that dies by SIGKILL at every point of every stage while others go on: as if nothing had happened."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from rebase_db.faults import FaultPoint
from tests.pipeline.end_state import end_state, illegal_events
from tests.workers.ready import ASK

if TYPE_CHECKING:
    from tests.workers.conftest import Workshops

BATCH = {"embed": 2, "retrieve": 2, "transform": 8, "distill": 1}
# Of stages that need no torch to start; tests/pipeline has a quick one of every stage.
QUICK = {FaultPoint.RETRIEVE_WRITTEN, FaultPoint.TRANSFORM_SETTLED}
# Not the first time, where there is something by then that could be lost or done twice.
TURN = {
    **dict.fromkeys((point for point in FaultPoint if point.startswith(("embed.", "transform."))), 2),
    FaultPoint.EMBED_COMMITTED: 3,
    FaultPoint.TRANSFORM_ANSWERED: 12,
    FaultPoint.DISTILL_STEP: 3,
}
NOTHING_IN_HAND = {
    *(point for point in FaultPoint if point.endswith(".claiming")),
    FaultPoint.TRANSFORM_COMMITTED,
    FaultPoint.DISTILL_COMMITTED,
}
POINTS = [
    pytest.param(point, marks=[] if point in QUICK else [pytest.mark.slow], id=str(point))
    for point in FaultPoint
    if point.partition(".")[0] in ASK
]


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_dies_and_two_others_go_on(workshops: Workshops, point: FaultPoint) -> None:
    stage = point.partition(".")[0]
    # One batch at a time, so that the point is reached where it is meant to be.
    arguments = ("--stage", stage, "--concurrency", "1", "--batch", str(BATCH[stage]), "--drain")
    with workshops.open(stage) as workshop:
        dying = workshop.work(*arguments, fault=f"{point}:{TURN.get(point, 1)}")
        assert dying.end() == -signal.SIGKILL, f"{point} was not reached: {dying.said()}"
        others = [workshop.work(*arguments) for _ in range(2)]
        for other in others:
            assert other.end() == 0, other.said()
        assert end_state(workshop.engine) == workshops.after(stage)
        assert illegal_events(workshop.engine) == []
        assert workshop.query("SELECT link_id FROM generation GROUP BY link_id HAVING count(*) > 1") == []
        rescued = workshop.query("SELECT count(*) FROM event WHERE event = 'rescue'")[0]
        if point != FaultPoint.RETRIEVE_COMMITTED:  # the other retrieval may be committed at the same time, or not
            assert (rescued == 0) == (point in NOTHING_IN_HAND)


@pytest.mark.slow
def test_all_workers_of_a_stage_die_one_after_the_other(workshops: Workshops) -> None:
    """More often than a row has attempts, each time with other rows in hand."""
    arguments = ("--stage", "transform", "--batch", "8", "--drain")
    with workshops.open("transform") as workshop:
        for turn in (1, 2, 1, 3, 2, 1, 2):
            dying = workshop.work(*arguments, fault=f"{FaultPoint.TRANSFORM_COMMITTED}:{turn}")
            assert dying.end() == -signal.SIGKILL, dying.said()
        last = workshop.work(*arguments)
        assert last.end() == 0, last.said()
        assert end_state(workshop.engine) == workshops.after("transform")
        assert illegal_events(workshop.engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("statement", [12, 19, 26, 33, 40, 47])
def test_two_die_at_any_statement_and_a_third_finishes(workshops: Workshops, statement: int) -> None:
    arguments = ("--stage", "transform", "--batch", "16", "--drain")
    with workshops.open("transform") as workshop:
        dying = [workshop.work(*arguments, fault=f"{FaultPoint.STATEMENT}:{statement + more}") for more in (0, 3)]
        assert [each.end() for each in dying] == [-signal.SIGKILL] * 2
        last = workshop.work(*arguments)
        assert last.end() == 0, last.said()
        assert end_state(workshop.engine) == workshops.after("transform")
        assert illegal_events(workshop.engine) == []


@pytest.mark.slow
def test_examples_are_compared_although_the_worker_died_after_the_last_answer(workshops: Workshops) -> None:
    arguments = ("--stage", "transform", "--drain")
    with workshops.open("transform") as workshop:
        workshop.query("UPDATE task SET paused_at = now() WHERE name = 'is-it-food'")
        waiting = workshop.query(
            "SELECT count(*) FROM retrieval_link JOIN task_version USING (task_version_id) JOIN task USING (task_id)"
            " WHERE name = 'fruit-or-tool'"
        )[0]
        dying = workshop.work(*arguments, "--batch", "1", fault=f"{FaultPoint.TRANSFORM_COMMITTED}:{waiting}")
        assert dying.end() == -signal.SIGKILL, dying.said()
        workshop.query("UPDATE task SET paused_at = NULL")
        other = workshop.work(*arguments)
        assert other.end() == 0, other.said()
        assert end_state(workshop.engine) == workshops.after("transform")
