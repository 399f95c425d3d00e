"""What whole runs leave behind holds no lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pipeline.conftest import WholeRun


@pytest.mark.xdist_group("a whole run")
def test_a_whole_run_holds_no_lie(whole_run: WholeRun) -> None:
    said = whole_run.world.rebase("verify")
    assert (said.returncode, said.stdout) == (0, "")
    assert "No record lies: " in said.stderr
