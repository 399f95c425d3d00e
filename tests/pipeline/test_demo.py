"""`rebase demo`, with the real encoder: what a newcomer sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.pipeline.conftest import World


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_trains_a_student_well_above_chance(world: World, engine: Engine) -> None:
    done = world.rebase("demo", timeout=880)
    assert done.returncode == 0, done.stderr
    found = re.search(r"accuracy ([0-9.]+)%", done.stdout)
    assert found is not None
    assert float(found[1]) > 60, "five labels, twelve items each: chance is 20 %"
    assert "CC0-1.0" in done.stdout, "the example's source is shown with its licence"
    assert "rebase why" in done.stderr, "and what to try next"
    with engine.connect() as connection:
        mirrors, reasons = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM retrieval_mirror),"
                " (SELECT count(DISTINCT error) FROM retrieval_link WHERE state = 'rejected')"
            )
        ).one()
    assert mirrors > 0
    assert reasons > 1
