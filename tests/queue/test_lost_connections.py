"""Committing a result when the database refuses it or goes away, before or after it did what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from rebase_db import queue
from rebase_db.lease import Lease
from rebase_db.outcomes import Done, Outcome, Retry
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers import runner as runner_module
from workers.hands import Hands
from workers.runner import COMMIT_TRIES, Runner, Tally, drain
from workers.stage import Result
from workers.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Claim, Lane
    from tests.schema.chain import Row

Chain = dict[str, "Row"]


@pytest.fixture
def lease(engine: Engine) -> Iterator[Lease]:
    with Lease(engine) as lease:
        yield lease


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(runner_module, "backoff_seconds", lambda _: 0.0)


def add(engine: Engine, chain: Chain, count: int) -> tuple[list[int], Lane]:
    with engine.begin() as connection:
        ids = rows.add_ready(connection, chain, queue.EMBED, count)
        return ids, rows.lanes_of(connection, queue.EMBED)[0]


def leave_mark(connection: Connection, held: Collection[int]) -> None:
    """Write a metric for each row: twice for the same row is an error of its own."""
    for item_id in held:
        connection.execute(text("INSERT INTO metric VALUES (1, 1, 'mark', :id, 0.5)"), {"id": item_id})


def marks(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT step FROM metric WHERE name = 'mark' ORDER BY step")).scalars())


def events(engine: Engine, item_id: int) -> list[str]:
    with engine.connect() as connection:
        return [event[0] for event in rows.events(connection, queue.EMBED, item_id)]


def all_done(write: Callable[[Connection, Collection[int]], None]) -> Callable[[Sequence[Claim]], Iterator[Result]]:
    """A script: all rows done, in one result."""

    def script(claims: Sequence[Claim]) -> Iterator[Result]:
        yield Result([(claim, Done()) for claim in claims], write)

    return script


def refused_by_key(connection: Connection) -> None:
    connection.execute(text("INSERT INTO metric VALUES (-1, 1, 'mark', 1, 0.5)"))


def refused_by_server(connection: Connection) -> None:
    connection.execute(text("INSERT INTO metric VALUES (1, 1, 'mark', CAST(:step AS bigint), 0.5)"), {"step": 2**40})


def refused_by_driver(connection: Connection) -> None:
    connection.execute(text("INSERT INTO task (name, settings) VALUES (:name, '{}')"), {"name": "a\0b"})


def refused_by_encoding(connection: Connection) -> None:
    connection.execute(text("INSERT INTO task (name, settings) VALUES (:name, '{}')"), {"name": "a\ud800b"})


@pytest.mark.parametrize(
    "refused",
    [refused_by_key, refused_by_server, refused_by_driver, refused_by_encoding],
    ids=lambda do: do.__name__,
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_of_a_result_that_the_database_refuses_only_the_row_at_fault_fails(
    engine: Engine, own_chain: Chain, lease: Lease, refused: Callable[[Connection], None], place: int
) -> None:
    ids, lane = add(engine, own_chain, 7)
    bad = ids[place]

    def write(connection: Connection, held: Collection[int]) -> None:
        leave_mark(connection, held)
        if bad in held:
            refused(connection)

    runner = Runner(engine, lease, StubStage(queue.EMBED, all_done(write), batch=7))
    assert runner.run_batch(lane) == Tally(claimed=7, settled=7)
    good = [item_id for item_id in ids if item_id != bad]
    assert marks(engine) == good
    assert [events(engine, item_id) for item_id in good] == [["claim", "done"]] * 6
    with engine.connect() as connection:
        row = rows.read(connection, queue.EMBED, bad)
    assert events(engine, bad) == ["claim", "fail"]
    assert row["error"].startswith("the database refused the result: ")
    assert "\n" not in row["error"]


class Unlucky:
    """Loses the connection at the next commits, once each, before or after the server has carried them out."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool, times: int = 1) -> None:
        self.armed = False
        self.left = times
        self.carried_out = carried_out
        self.commit = engine.dialect.do_commit
        monkeypatch.setattr(engine.dialect, "do_commit", self)

    def __call__(self, connection: Any) -> None:
        if not self.armed or not self.left:
            self.commit(connection)
            return
        self.left -= 1
        if self.carried_out:
            self.commit(connection)
        connection.driver_connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_a_connection_lost_around_the_commit_settles_once(
    engine: Engine, own_chain: Chain, lease: Lease, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool
) -> None:
    ids, lane = add(engine, own_chain, 3)
    unlucky = Unlucky(engine, monkeypatch, carried_out=carried_out)

    def write(connection: Connection, held: Collection[int]) -> None:
        leave_mark(connection, held)
        unlucky.armed = True

    runner = Runner(engine, lease, StubStage(queue.EMBED, all_done(write)))
    tally = runner.run_batch(lane)
    assert unlucky.left == 0
    assert (tally.claimed, tally.settled + tally.fenced) == (3, 3)
    assert tally.settled == (0 if carried_out else 3)  # what was carried out is no longer held
    assert marks(engine) == ids
    assert [events(engine, item_id) for item_id in ids] == [["claim", "done"]] * 3
    assert runner.rows_in_hand == 0
    assert runner.run_batch(lane) == Tally()


@pytest.mark.parametrize("outcome", [Done(), Retry("E")], ids=lambda outcome: outcome.event)
def test_a_connection_lost_after_an_answer_was_on_its_way_settles_once(
    engine: Engine, own_chain: Chain, lease: Lease, outcome: Outcome
) -> None:
    """A result without anything to write is one statement: the server may have carried it out before it vanished."""
    (item_id,), lane = add(engine, own_chain, 1)
    lost: list[str] = []
    execute = psycopg.Cursor.execute

    def script(claims: Sequence[Claim]) -> Iterator[Result]:
        def lose(cursor: psycopg.Cursor[Any], *args: Any, **kwargs: Any) -> psycopg.Cursor[Any]:
            result = execute(cursor, *args, **kwargs)
            if not lost and "held" in str(args[0]) and "UPDATE embed_chunk" in str(args[0]):
                lost.append(str(args[0]))
                cursor.connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", lose)
            yield Result([(claims[0], outcome)])

    runner = Runner(engine, lease, StubStage(queue.EMBED, script))
    assert runner.run_batch(lane) == Tally(claimed=1, settled=0, fenced=1)
    assert len(lost) == 1
    assert events(engine, item_id) == ["claim", outcome.event]


def test_a_connection_killed_while_writing_is_tried_again(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids, lane = add(engine, own_chain, 2)
    tries: list[int] = []

    def write(connection: Connection, held: Collection[int]) -> None:
        leave_mark(connection, held)
        tries.append(len(held))
        if len(tries) < 3:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    runner = Runner(engine, lease, StubStage(queue.EMBED, all_done(write)))
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert tries == [2, 2, 2]
    assert marks(engine) == ids


def test_a_result_that_can_never_be_committed_is_a_failed_attempt(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids, lane = add(engine, own_chain, 2)
    tries: list[int] = []

    def write(_: Connection, held: Collection[int]) -> None:
        tries.append(len(held))
        raise OperationalError("SELECT", {}, psycopg.OperationalError("deadlock detected"))

    runner = Runner(engine, lease, StubStage(queue.EMBED, all_done(write)))
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert [events(engine, item_id) for item_id in ids] == [["claim", "retry"]] * 2
    assert tries == [2] * COMMIT_TRIES


def test_what_could_not_be_handed_back_is_handed_back_before_the_next_batch(
    engine: Engine, own_chain: Chain, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, lane = add(engine, own_chain, 2)
    stage = StubStage(queue.EMBED, all_done(lambda *_: None))
    runner = Runner(engine, lease, stage)
    commit = runner.commit

    def refuse(_: Result) -> int:
        raise OperationalError("SELECT", {}, psycopg.OperationalError("the server is away"))

    monkeypatch.setattr(runner, "commit", refuse)
    with pytest.raises(OperationalError):
        runner.run_batch(lane)
    assert runner.rows_in_hand == 2
    monkeypatch.setattr(runner, "commit", commit)
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert [events(engine, item_id) for item_id in ids] == [["claim", "release", "claim", "done"]] * 2


def lose_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next claim carried out by the server, and its answer lost."""
    claim = queue.claim

    def lose(connection: Connection, *args: Any) -> list[Claim]:
        claim(connection, *args)
        monkeypatch.setattr(queue, "claim", claim)
        raise OperationalError("SELECT", {}, psycopg.OperationalError("server closed the connection unexpectedly"))

    monkeypatch.setattr(queue, "claim", lose)


def test_rows_claimed_without_the_worker_knowing_are_not_held_for_ever(
    engine: Engine, own_chain: Chain, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives, so that nobody else would rescue them."""
    ids, lane = add(engine, own_chain, 2)
    runner = Runner(engine, lease, StubStage(queue.EMBED))
    lose_next_answer(monkeypatch)
    with pytest.raises(OperationalError):
        runner.run_batch(lane)
    assert [events(engine, item_id) for item_id in ids] == [["claim"]] * 2
    runner.put_back_unknown()
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert [events(engine, item_id) for item_id in ids] == [["claim", "release", "claim", "done"]] * 2


def test_what_another_slot_has_in_hand_is_not_taken_for_unknown(
    engine: Engine, own_chain: Chain, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, lane = add(engine, own_chain, 4)
    hands = Hands()
    other = Runner(engine, lease, StubStage(queue.EMBED, batch=2), hands=hands)

    def meanwhile(claims: Sequence[Claim]) -> Iterator[Result]:
        lose_next_answer(monkeypatch)
        with pytest.raises(OperationalError):
            other.run_batch(lane)
        other.put_back_unknown()
        assert other.run_batch(lane) == Tally(claimed=2, settled=2)
        yield Result([(claim, Done()) for claim in claims])

    runner = Runner(engine, lease, StubStage(queue.EMBED, meanwhile, batch=2), hands=hands)
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert [events(engine, item_id) for item_id in ids] == [
        *[["claim", "done"]] * 2, *[["claim", "release", "claim", "done"]] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["drain", "worker"])
def test_a_worker_finds_them_by_itself(
    engine: Engine, own_chain: Chain, lease: Lease, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ids, lane = add(engine, own_chain, 2)
    lose_next_answer(monkeypatch)
    if how == "drain":
        drain(engine, lease, StubStage(queue.EMBED), [lane])
    else:
        monkeypatch.setattr("workers.worker.RESCUE_SECONDS", 0)
        options = WorkerOptions(stages=["embed"], drain=True)
        Worker(engine, options, stages=lambda *_: [StubStage(queue.EMBED)]).run()
    assert [events(engine, item_id) for item_id in ids] == [["claim", "release", "claim", "done"]] * 2
