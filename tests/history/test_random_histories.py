"""Any history of loads, retrievals, answers, sets, trainings and retractions: SQL tells of it what a walk would.

The project's own code acts on Postgres, and beside it a graph in plain Python is kept. Whenever something was frozen,
trained or withdrawn, the questions are asked of both; now and then also the slower ones, and what `verify` finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.history.machine import Machine

if TYPE_CHECKING:
    from tests.lending import Lending


@pytest.mark.parametrize("histories", [6, pytest.param(150, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_sql_tells_of_any_history_what_a_walk_would(lending: Lending, server_url: str, histories: int) -> None:
    machine = type("History", (Machine,), {"lending": lending, "server": server_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=histories < 100,  # the same few everywhere, others in each long run
            # To shrink a history takes minutes.
            phases=[Phase.generate] if histories < 100 else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
