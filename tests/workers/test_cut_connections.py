"""Workers whose connections are cut, one kind or all of them, and whose server crashes."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rebase_db.database import cluster, embedded, migrate
from rebase_db.database.engine import engine_for
from tests.pipeline.conftest import settle
from tests.pipeline.end_state import illegal_events
from tests.workers.ready import make_ready
from tests.workers.slow_teacher import SlowTeacher, wrong_about_links
from tests.workers.world import OTHERS, Workshop, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workers.conftest import Workshops

HELD = 4
HAS_LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
LISTENS = "starts_with(query, 'LISTEN')"
KINDS = {
    "heartbeat": HAS_LOCK,
    "listener": LISTENS,
    "working": f"NOT {HAS_LOCK} AND NOT {LISTENS}",
    "all": "true",
}


def cut(workshop: Workshop, kind: str) -> int:
    """Cut the connections of one kind, but not the test's own; their number."""
    with workshop.engine.connect() as connection:
        mine = "application_name <> 'the test'"
        connection.exec_driver_sql("SET application_name = 'the test'")
        return len(
            connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS} AND {mine} AND {KINDS[kind]}"  # noqa: S608
            ).all()
        )


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in {"working", "all"} else [pytest.mark.slow]) for kind in KINDS]
)
def test_a_worker_outlives_the_loss_of_any_connection_in_the_middle_of_a_batch(workshops: Workshops, kind: str) -> None:
    with workshops.open("transform") as workshop, SlowTeacher(HELD) as teacher:
        teacher.teach(workshop, at_once=HELD)
        worker = workshop.work("--stage", "transform", "--batch", "8", "--drain")
        teacher.wait_until_asked(HELD)
        assert cut(workshop, kind) >= 1
        teacher.go.set()
        assert worker.end() == 0, worker.said()
        assert wrong_about_links(workshop) == []
        assert illegal_events(workshop.engine) == []
        links = workshop.query("SELECT count(*) FROM retrieval_link")[0]
        assert len(teacher.asked) == links, "nothing was asked twice: the worker is alone, and lost no claim"


@pytest.mark.slow
def test_connections_are_cut_again_and_again_while_two_work(workshops: Workshops) -> None:
    dice = random.Random(20261121)  # noqa: S311 - timing, no secret
    with workshops.open("transform") as workshop, SlowTeacher(seconds=0.1) as teacher:
        teacher.teach(workshop, at_once=HELD)
        workers = [workshop.work("--stage", "transform", "--batch", "8", "--drain") for _ in range(2)]
        # Each time may cost a row an attempt, of which it has five.
        for _ in range(4):
            teacher.wait_until_asked(dice.randint(8, 20))
            cut(workshop, dice.choice(list(KINDS)))
        for worker in workers:
            assert worker.end() == 0, worker.said()
        assert wrong_about_links(workshop) == []
        assert illegal_events(workshop.engine) == []


@pytest.fixture
def own_server(
    workshops: Workshops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Workshop]]:
    """A server that may crash: its cluster, and a workshop on it with links to transform."""
    # Not below pytest's own folder: started by root the server runs as another user, who may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="rebase-workers-"))
    folder.chmod(0o755)
    try:
        url = embedded.start(folder)
        engine = engine_for(url)
        migrate.upgrade(engine)
        for stage in ("embed", "retrieve", "transform"):
            make_ready(url, workshops.files, stage, monkeypatch)
        world = settle(workshops.files, tmp_path / "world", url)
        with opened(Workshop(world.folder, url, engine)) as workshop:
            yield folder / "postgres", workshop
    finally:
        embedded._leave(folder)
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def crash(folder: Path) -> None:
    """Stop the server without letting it finish anything, and start it again."""
    cluster._pg_ctl(folder, "stop", "-m", "immediate")
    cluster.start(folder)


@pytest.mark.slow
def test_workers_outlive_crashes_of_the_server(own_server: tuple[Path, Workshop]) -> None:
    folder, workshop = own_server
    with SlowTeacher(seconds=0.2) as teacher:
        teacher.teach(workshop, at_once=HELD)
        workers = [workshop.work("--stage", "transform", "--batch", "8", "--drain") for _ in range(2)]
        for _ in range(3):
            teacher.wait_until_asked(2 * HELD)
            crash(folder)
        for worker in workers:
            assert worker.end() == 0, worker.said()
        assert wrong_about_links(workshop) == []
        assert illegal_events(workshop.engine) == []


@pytest.mark.slow
def test_an_idle_worker_hears_of_work_after_a_crash_of_the_server(own_server: tuple[Path, Workshop]) -> None:
    folder, workshop = own_server
    with SlowTeacher() as teacher:
        teacher.teach(workshop, at_once=HELD)
        workshop.query("UPDATE task SET paused_at = now()")
        worker = workshop.work("--stage", "transform")
        listens = f"SELECT 1 FROM pg_stat_activity WHERE {OTHERS} AND {LISTENS}"  # noqa: S608
        until(lambda: workshop.query(listens), "the worker listens")
        crash(folder)
        workshop.query("UPDATE task SET paused_at = NULL")
        until(lambda: not wrong_about_links(workshop), "all is done")
        worker.stop()
        assert illegal_events(workshop.engine) == []
