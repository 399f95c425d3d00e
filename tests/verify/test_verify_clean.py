"""A true history holds no lie: as it was made, after what may happen to it, and while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text

from rebase_db import queue
from rebase_db.check.run import Tools, check_examples
from rebase_db.control import cancel, retry
from rebase_db.database.engine import engine_for
from rebase_db.lease import Lease
from rebase_db.rescue import rescue
from rebase_db.retract.erase import erase
from rebase_db.retract.retraction import Request, retract, undo
from rebase_db.schema import Base
from rebase_db.schema.seal import SEALED
from rebase_db.verify.run import CHECKS, HASHED, Tally, verify
from tests.retrieve.corpus import smooth_vector
from tests.verify.history import Encoder, Steps, load, task_file

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.verify.history import History


def lies(engine: Engine) -> list[str]:
    return [str(lie) for lie in verify(engine, Tally())]


def test_settings_of_the_session_are_no_lies(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")
    monkeypatch.setenv("PGOPTIONS", "-c extra_float_digits=-3 -c bytea_output=escape -c DateStyle=SQL,DMY")
    engine = engine_for(history.engine.url.render_as_string(hide_password=False))
    try:
        assert lies(engine) == []
    finally:
        engine.dispose()


def go_on(history: History, lease: Lease) -> Steps:
    """The stages, to do more of what was done before."""
    corpus = Encoder(history.engine, smooth_vector)
    assert corpus.encoder_id == history.encoder_id
    return Steps(history.engine, lease, corpus, task_file(), history.task)


def test_a_true_history_has_no_lie_and_a_record_in_every_table(history: History) -> None:
    with history.engine.connect() as connection:
        numbers = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Base.metadata.tables.items()
        }
    assert [name for name, number in numbers.items() if not number] == []
    tally = Tally()
    assert [str(lie) for lie in verify(history.engine, tally)] == []
    assert tally.records == sum(numbers.values())
    assert tally.hashes > tally.records - numbers["cell"]


@pytest.mark.parametrize("scoring", ["average-rank", "max-rank"])
def test_other_rankings_and_growth_are_no_lies(own_history: History, scoring: str) -> None:
    with Lease(own_history.engine) as lease:
        steps = go_on(own_history, lease)
        load(steps.corpus, "even more", ["file", "cherry", "plum", "saw"])
        steps.rank(top_n=6, scoring=scoring)
        assert lies(own_history.engine) == []
        steps.rank(top_n=20, scoring=scoring, mirrors="all")
        assert lies(own_history.engine) == []


def test_retracting_undoing_and_erasing_are_no_lies(own_history: History) -> None:
    engine = own_history.engine
    with engine.begin() as connection:
        retract(connection, Request("text", "apple", "a person asked", "me"))
        retract(connection, Request("licence", "MIT", "not ours", "me"))
    assert lies(engine) == []
    with engine.begin() as connection:
        undo(connection, 4, "it was ours")
        erase(connection, 3)
        erase(connection, 2)
        erase(connection, 1)
        erased = [
            connection.execute(text(f"SELECT count(*) FROM {name} WHERE erased_by IS NOT NULL")).scalar_one()  # noqa: S608
            for name in ("text", "source_row", "example")
        ]
        numbers = [
            connection.execute(select(func.count()).select_from(Base.metadata.tables[name])).scalar_one()
            for name in (*SEALED, *HASHED)
        ]
    assert min(erased) > 0
    tally = Tally()
    assert list(verify(engine, tally, files=False)) == []
    assert tally.hashes == sum(numbers) - sum(erased), "there is nothing left to make the hashes of"
    with Lease(engine) as lease:
        go_on(own_history, lease).rank(top_n=9)
    assert lies(engine) == []


def test_a_worker_s_death_and_cancelled_work_are_no_lies(own_history: History) -> None:
    engine = own_history.engine
    with engine.begin() as connection:
        connection.execute(text("UPDATE worker SET stopped_at = clock_timestamp()"))
    with Lease(engine) as lease:
        with engine.begin() as connection:
            assert rescue(connection, queue.TRANSFORM, lease.worker_id) == 1
        assert lies(engine) == []
        with engine.begin() as connection:
            assert cancel(connection, own_history.task.name, ["transform"]) == {"transform": 1}
        assert lies(engine) == []
        with engine.begin() as connection:
            assert retry(connection, own_history.task.name, ["transform"]) == {"transform": 1}
        go_on(own_history, lease).transform()
    assert lies(engine) == []


def test_checks_that_change_their_mind_are_no_lies(own_history: History) -> None:
    engine = own_history.engine
    off = {"similar_to_benchmark": {"action": "off"}}
    length = {"length": {"action": "reject", "max_input": 3}}
    source = {"copied_source": {"action": "reject", "similarity": 0.01}}
    moved = []
    with Lease(engine) as lease:
        for checks in (off | length, off | source, off | source | length, off):
            file = task_file(checks=checks)
            tools = Tools(lambda _: pytest.fail("nobody is asked"), lambda: pytest.fail("nothing is embedded"))
            found = check_examples(engine, lease.worker_id, own_history.lane, file, tools)
            moved.append((found.decided.kept_out > 0, found.decided.let_in > 0))
            assert lies(engine) == []
    assert {True} == {any(each) for each in zip(*moved, strict=True)}, moved


def test_a_database_that_is_worked_on_meanwhile_holds_no_lie(own_history: History) -> None:
    engine = own_history.engine
    done: list[int] = []

    def work(check: str) -> None:
        if check == "cells":
            load(steps.corpus, "new", ["lemon", "axe"])
        elif check == "events":
            done.append(steps.rank(top_n=8))
        elif check == "answers":
            with engine.begin() as connection:
                retract(connection, Request("row", "words:3", "a person asked", "me"))

    with Lease(engine) as lease:
        steps = go_on(own_history, lease)
        assert [str(lie) for lie in verify(engine, Tally(), on_check=work)] == []
    assert done
    assert {"cells", "events", "answers"} <= CHECKS.keys()
    assert lies(engine) == []
