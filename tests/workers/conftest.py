"""A workshop for each stage: a database of the test's own in which that stage's work is asked for."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.engine import make_url

from rebase_db.database.engine import engine_for
from tests.conftest import cloned_database
from tests.pipeline.conftest import settle, write_world
from tests.pipeline.end_state import end_state
from tests.workers.ready import ASK, make_ready
from tests.workers.world import Workshop, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGES = list(ASK)


class Workshops:
    """Makes databases for stages when they are first asked for, and hands out copies of them."""

    def __init__(self, server_url: str, migrated: str, files: Path, folder: Path, stack: ExitStack) -> None:
        self.files = files
        self._server_url = server_url
        self._folder = folder
        self._stack = stack
        self._ready = {"": migrated}
        self._after: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
        self._made = 0

    def ready(self, stage: str) -> str:
        """The name of a database in which a stage's work is asked for; to be copied only."""
        if stage not in self._ready:
            before = self.ready(["", *STAGES][STAGES.index(stage)])
            url = self._stack.enter_context(cloned_database(self._server_url, before))
            make_ready(url, self.files, stage, pytest.MonkeyPatch())
            self._ready[stage] = str(make_url(url).database)
        return self._ready[stage]

    @contextmanager
    def open(self, stage: str) -> Iterator[Workshop]:
        """A copy of that, with a data folder of its own."""
        self._made += 1
        with cloned_database(self._server_url, self.ready(stage)) as url:
            world = settle(self.files, self._folder / f"world-{self._made}", url)
            with opened(Workshop(world.folder, url, engine_for(url))) as workshop:
                yield workshop

    def after(self, stage: str) -> dict[str, list[tuple[Any, ...]]]:
        """The end state of a stage that one worker did, undisturbed."""
        if stage not in self._after:
            with self.open(stage) as workshop:
                worker = workshop.work("--stage", stage, "--drain")
                assert worker.end() == 0, worker.said()
                self._after[stage] = end_state(workshop.engine)
        return self._after[stage]


@pytest.fixture(scope="session")
def workshops(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshops]:
    """The makers of workshops."""
    files = tmp_path_factory.mktemp("files")
    write_world(files)
    with ExitStack() as stack:
        yield Workshops(server_url, template_database, files, tmp_path_factory.mktemp("workshops"), stack)
