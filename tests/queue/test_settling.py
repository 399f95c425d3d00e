"""Leaving work: only what is still one's own moves, and only for that is anything written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func, insert, select, text, update

from rebase_db import queue
from rebase_db.control import revive, transition
from rebase_db.outcomes import Done, Fail, Outcome, Release, Retry, Snooze
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.rescue import rescue
from rebase_db.schema import Metric, TrainingRun, Worker
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

Chain = dict[str, "Row"]

# What differs from the claim that is held: worker, row, attempt.
LOST = {
    "another worker": (-1, 0, 0),
    "an earlier attempt": (0, 0, -1),
    "a later attempt": (0, 0, 1),
    "another row": (0, 1, 0),
}
OUTCOMES: list[Outcome] = [Done(), Retry("E"), Fail("E"), Snooze(1, "E"), Release()]


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.event)
def test_who_does_not_hold_the_claim_changes_nothing(
    connection: Connection, chain: Chain, of: Queue, how: str, outcome: Outcome
) -> None:
    rows.add_ready(connection, chain, of, 1)
    me = rows.add_worker(connection)
    (claim,) = queue.claim(connection, of, me, 1)
    worker, item, attempt = LOST[how]
    other = Claim(claim.item_id + item, claim.attempt + attempt, last=False)
    before, happened = rows.read(connection, of, claim.item_id), rows.events(connection, of, claim.item_id)
    assert queue.hold(connection, of, me + worker, [other]) == []
    assert queue.settle(connection, of, me + worker, [(other, outcome)], rows.DONE.get(of.name)) == []
    assert rows.read(connection, of, claim.item_id) == before
    assert rows.events(connection, of, claim.item_id) == happened


def lose_some(connection: Connection, me: int, other: int, claims: list[Claim]) -> list[Claim]:
    """Lose all claims on links but the second and the last, each in another way; those that are left."""
    done, kept, failed, released, cancelled, again, last = claims
    queue.settle(connection, queue.TRANSFORM, me, [(again, Release())])
    assert [claim.item_id for claim in queue.claim(connection, queue.TRANSFORM, other, 1)] == [again.item_id]
    queue.settle(connection, queue.TRANSFORM, me, [(done, Done()), (failed, Fail("E")), (released, Release())])
    which = queue.TRANSFORM.key == cancelled.item_id
    values = {"error": "cancelled", "finished_at": func.clock_timestamp()}
    assert transition(connection, queue.TRANSFORM, "cancel", ["transforming"], which, values) == 1
    return [kept, last]


@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
def test_of_many_only_those_still_held_move(connection: Connection, chain: Chain, *, mixed: bool) -> None:
    rows.add_ready(connection, chain, queue.TRANSFORM, 7)
    me, other = rows.add_worker(connection), rows.add_worker(connection)
    claims = queue.claim(connection, queue.TRANSFORM, me, 7)
    kept = lose_some(connection, me, other, claims)
    before = {claim: rows.read(connection, queue.TRANSFORM, claim.item_id) for claim in claims}
    written = rows.last_event_id(connection)

    assert queue.hold(connection, queue.TRANSFORM, me, claims) == kept
    asked: list[tuple[Claim, Outcome]] = [(claim, Fail("E") if mixed else Done()) for claim in claims]
    if mixed:
        asked[-1] = (claims[-1], Done())
    assert queue.settle(connection, queue.TRANSFORM, me, asked) == kept

    for claim in claims:
        if claim not in kept:
            assert rows.read(connection, queue.TRANSFORM, claim.item_id) == before[claim]
    assert [rows.read(connection, queue.TRANSFORM, claim.item_id)["state"] for claim in kept] == [
        "failed" if mixed else "transformed", "transformed",
    ]  # fmt: skip
    assert rows.last_event_id(connection) - written == len(kept)


def test_what_is_held_stays_so_until_the_transaction_ends(engine: Engine, own_chain: Chain) -> None:
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.EMBED, 3)
        me = rows.add_worker(connection)
        claims = queue.claim(connection, queue.EMBED, me, 3)
        queue.settle(connection, queue.EMBED, me, [(claims[0], Release())])
    with engine.begin() as connection, engine.connect() as another:
        assert queue.hold(connection, queue.EMBED, me, claims) == claims[1:]
        lock = text("SELECT embed_chunk_id FROM embed_chunk FOR NO KEY UPDATE SKIP LOCKED")
        free = set(another.execute(lock).scalars())
        assert claims[0].item_id in free
        assert not {claim.item_id for claim in claims[1:]} & free


def test_a_late_worker_leaves_no_result_behind(engine: Engine, own_chain: Chain) -> None:
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.DISTILL, 1)
        late, quick = rows.add_worker(connection), rows.add_worker(connection)
        (lost,) = queue.claim(connection, queue.DISTILL, late, 1)
        connection.execute(update(Worker).where(Worker.worker_id == late).values(stopped_at=func.now()))
        assert rescue(connection, queue.DISTILL, quick) == 1
        (held,) = queue.claim(connection, queue.DISTILL, quick, 1)
    assert (held.item_id, held.attempt) == (lost.item_id, 2)
    results = select(func.count()).select_from(Metric).where(Metric.training_run_id == lost.item_id)

    def write_and_settle(worker_id: int, claim: Claim) -> int:
        with engine.begin() as connection:
            for each in queue.hold(connection, queue.DISTILL, worker_id, [claim]):
                metric = {"attempt": each.attempt, "name": "loss", "step": 1, "value": 0.5}
                connection.execute(insert(Metric).values(training_run_id=each.item_id, **metric))
            return len(rows.done(connection, queue.DISTILL, worker_id, [claim]))

    for worker_id, claim, settled, written in ((late, lost, 0, 0), (quick, held, 1, 1), (late, lost, 0, 1)):
        assert write_and_settle(worker_id, claim) == settled
        with engine.connect() as connection:
            assert connection.execute(results).scalar_one() == written
    with engine.connect() as connection:
        assert [event[0] for event in rows.events(connection, queue.DISTILL, lost.item_id)] == [
            "claim", "rescue", "claim", "done",
        ]  # fmt: skip


def test_settling_nothing_is_no_statement(lineage: tuple[Engine, Chain], connection: Connection) -> None:
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(lineage[0], "before_cursor_execute", note)
    assert queue.settle(connection, queue.EMBED, -1, []) == []
    event.remove(lineage[0], "before_cursor_execute", note)
    assert sent == []


def test_the_columns_a_done_row_must_have_are_set_in_the_same_statement(connection: Connection, chain: Chain) -> None:
    rows.add_ready(connection, chain, queue.RETRIEVE, 2)
    me = rows.add_worker(connection)
    done, failed = queue.claim(connection, queue.RETRIEVE, me, 2)
    counts = {"rows_scored": 9, "rows_kept": 3, "cutoff_score": 0.25}
    queue.settle(connection, queue.RETRIEVE, me, [(done, Done())], counts)
    queue.settle(connection, queue.RETRIEVE, me, [(failed, Fail("E"))])  # the same statement, less those columns
    for claim, expected in ((done, counts), (failed, dict.fromkeys(counts))):
        row = rows.read(connection, queue.RETRIEVE, claim.item_id)
        assert {name: row[name] for name in counts} == expected


def spend(connection: Connection, me: int) -> None:
    """Use up what attempts training runs have left."""
    while True:
        rows.make_ready(connection, queue.DISTILL)
        claims = queue.claim(connection, queue.DISTILL, me, 1)
        if not claims:
            return
        queue.settle(connection, queue.DISTILL, me, [(claims[0], Retry("E"))])


def test_a_revived_row_has_a_fresh_set_of_attempts(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.DISTILL, 1)
    me = rows.add_worker(connection)
    spend(connection, me)
    which = TrainingRun.training_run_id == item_id
    assert revive(connection, queue.DISTILL, ["failed"], which) == 1
    row = rows.read(connection, queue.DISTILL, item_id)
    assert (row["state"], row["error"], row["finished_at"], row["attempt"]) == ("waiting", None, None, ATTEMPTS)
    assert revive(connection, queue.DISTILL, ["failed"], which) == 0
    spend(connection, me)
    assert rows.read(connection, queue.DISTILL, item_id)["attempt"] == 2 * ATTEMPTS


def test_a_failed_row_tells_why(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.DISTILL, 2)
    me = rows.add_worker(connection)
    first, second = queue.claim(connection, queue.DISTILL, me, 2)
    assert queue.failure(connection, queue.DISTILL, queue.DISTILL.key.in_(ids)) is None
    queue.settle(connection, queue.DISTILL, me, [(first, Fail("one")), (second, Fail("two"))])
    assert queue.failure(connection, queue.DISTILL, queue.DISTILL.key.in_(ids)) == "one"
    assert queue.failure(connection, queue.DISTILL, queue.DISTILL.key == second.item_id) == "two"
