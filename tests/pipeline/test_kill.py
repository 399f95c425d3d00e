"""A run that dies by SIGKILL, at every named point or any statement, and is run again: as if nothing had happened."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.faults import FaultPoint
from tests.pipeline.end_state import end_state, illegal_events

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.pipeline.conftest import World

TURN = {FaultPoint.INGEST_BEFORE_COMMIT: 2, FaultPoint.INGEST_COMMITTED: 2, FaultPoint.DISTILL_STEP: 3}
POINTS = {
    point: f"{point}:{TURN.get(point, 1)}"
    for point in FaultPoint
    if not point.startswith(("database.", "retract.", "erase."))
}
# Of the stages that retrieve and transform tests/workers has a quick one.
ONE_OF_A_STAGE = (FaultPoint.INGEST_BEFORE_COMMIT, FaultPoint.EMBED_WRITTEN, FaultPoint.DISTILL_SAVED)
# A whole run sends some 150 statements.
STATEMENTS = sorted(random.Random(20261120).sample(range(2, 140), 20))  # noqa: S311 - a fixed choice, no secret


def kill_and_run_again(world: World, fault: str) -> None:
    """Die at the fault, then run undisturbed."""
    killed = world.rebase("run", str(world.task), fault=fault)
    assert killed.returncode == -signal.SIGKILL, f"{fault} was not reached: {killed.stderr}"
    again = world.rebase("run", str(world.task))
    assert again.returncode == 0, again.stderr


@pytest.mark.xdist_group("a whole run")
def test_killed_in_one_stage_after_the_other(
    world: World, engine: Engine, undisturbed: dict[str, list[tuple[Any, ...]]]
) -> None:
    """Each run goes on where the one before has died, and dies in a later stage."""
    for point in ONE_OF_A_STAGE:
        killed = world.rebase("run", str(world.task), fault=POINTS[point])
        assert killed.returncode == -signal.SIGKILL, f"{point} was not reached: {killed.stderr}"
    again = world.rebase("run", str(world.task))
    assert again.returncode == 0, again.stderr
    assert end_state(engine) == undisturbed
    assert illegal_events(engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", POINTS.values(), ids=POINTS)
def test_killed_at_a_named_point(
    world: World, engine: Engine, undisturbed: dict[str, list[tuple[Any, ...]]], fault: str
) -> None:
    kill_and_run_again(world, fault)
    assert end_state(engine) == undisturbed
    assert illegal_events(engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("statement", STATEMENTS)
def test_killed_at_any_statement(
    world: World, engine: Engine, undisturbed: dict[str, list[tuple[Any, ...]]], statement: int
) -> None:
    kill_and_run_again(world, f"{FaultPoint.STATEMENT}:{statement}")
    assert end_state(engine) == undisturbed
    assert illegal_events(engine) == []


@pytest.mark.slow
def test_killed_again_and_again(world: World, engine: Engine, undisturbed: dict[str, list[tuple[Any, ...]]]) -> None:
    # Each run gets a little further than the one before, and none is let through until the last.
    for statement in (20, 40, 60, 60, 60):
        world.rebase("run", str(world.task), fault=f"{FaultPoint.STATEMENT}:{statement}")
    again = world.rebase("run", str(world.task))
    assert again.returncode == 0, again.stderr
    assert end_state(engine) == undisturbed
    assert illegal_events(engine) == []
