"""Leaving work: only under one's own claim, and with everything or nothing written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, text, update

from rebase_db import queue
from rebase_db.errors import LostClaimError
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.schema import Metric, Retrieval, TrainingRun, Worker
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

Chain = dict[str, "Row"]
each_queue = pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)


def claim_one(connection: Connection, chain: Chain, of: Queue) -> tuple[int, Claim]:
    rows.add_ready(connection, chain, of, 1)
    me = rows.add_worker(connection)
    (claim,) = queue.claim(connection, of, me, 1)
    return me, claim


@each_queue
def test_a_finished_row_is_let_go_and_its_event_names_who_did_it(
    connection: Connection, chain: Chain, of: Queue
) -> None:
    me, claim = claim_one(connection, chain, of)
    rows.done(connection, of, me, [claim])
    row = rows.read(connection, of, claim.item_id)
    assert (row["worker_id"], row["attempt"], row["error"]) == (None, 1, None)
    assert row["finished_at"] is not None
    expected = ("done", of.machine.working, of.machine.next_state_of("done"), 1, me, None)
    assert rows.events(connection, of, claim.item_id)[1:] == [expected]


# What differs from the claim that is held: worker, row, attempt.
LOST = {
    "another worker": (-1, 0, 0),
    "an earlier attempt": (0, 0, -1),
    "a later attempt": (0, 0, 1),
    "another row": (0, 1, 0),
}


@each_queue
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("event", ["done", "retry", "release", "fail"])
def test_who_does_not_hold_the_claim_changes_nothing(
    connection: Connection, chain: Chain, of: Queue, how: str, event: str
) -> None:
    me, claim = claim_one(connection, chain, of)
    worker, item, attempt = LOST[how]
    other = Claim(claim.item_id + item, claim.attempt + attempt, last=False)
    before, happened = rows.read(connection, of, claim.item_id), rows.events(connection, of, claim.item_id)
    with pytest.raises(LostClaimError, match="1 of 1 rows"):
        queue.finish(connection, of, me + worker, [other], event, error="E", values=rows.DONE.get(of.name))
    assert rows.read(connection, of, claim.item_id) == before
    assert rows.events(connection, of, claim.item_id) == happened


def test_one_lost_row_of_many_is_told(connection: Connection, chain: Chain) -> None:
    rows.add_ready(connection, chain, queue.EMBED, 3)
    me = rows.add_worker(connection)
    claims = queue.claim(connection, queue.EMBED, me, 3)
    queue.finish(connection, queue.EMBED, me, claims[1:2], "release")
    with pytest.raises(LostClaimError, match="1 of 3 rows of embed_chunk"):
        queue.finish(connection, queue.EMBED, me, claims, "done")


def test_a_late_worker_leaves_no_result_behind(engine: Engine, own_chain: Chain) -> None:
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.DISTILL, 1)
        late, quick = rows.add_worker(connection), rows.add_worker(connection)
        (lost,) = queue.claim(connection, queue.DISTILL, late, 1)
        connection.execute(update(Worker).where(Worker.worker_id == late).values(stopped_at=func.now()))
        assert queue.rescue(connection, queue.DISTILL, quick) == 1
        (held,) = queue.claim(connection, queue.DISTILL, quick, 1)
    assert (held.item_id, held.attempt) == (lost.item_id, 2)
    results = select(func.count()).select_from(Metric).where(Metric.training_run_id == lost.item_id)

    def write_and_finish(worker_id: int, claim: Claim) -> None:
        with engine.begin() as connection:
            metric = {"attempt": claim.attempt, "name": "loss", "step": 1, "value": 0.5}
            connection.execute(insert(Metric).values(training_run_id=claim.item_id, **metric))
            rows.done(connection, queue.DISTILL, worker_id, [claim])

    with pytest.raises(LostClaimError):
        write_and_finish(late, lost)
    with engine.connect() as connection:
        assert connection.execute(results).scalar_one() == 0
        assert rows.read(connection, queue.DISTILL, lost.item_id)["worker_id"] == quick
    write_and_finish(quick, held)
    with pytest.raises(LostClaimError):
        write_and_finish(late, lost)
    with engine.connect() as connection:
        assert connection.execute(results).scalar_one() == 1
        assert [event[0] for event in rows.events(connection, queue.DISTILL, lost.item_id)] == [
            "claim", "rescue", "claim", "done",
        ]  # fmt: skip


def test_finishing_nothing_is_no_statement(connection: Connection) -> None:
    queue.finish(connection, queue.EMBED, -1, [], "done")
    queue.give_up(connection, queue.EMBED, -1, [], "E")


def test_the_columns_a_done_row_must_have_are_set_in_the_same_statement(connection: Connection, chain: Chain) -> None:
    me, claim = claim_one(connection, chain, queue.RETRIEVE)
    counts = {"rows_scored": 9, "rows_kept": 3, "cutoff_score": 0.25}
    queue.finish(connection, queue.RETRIEVE, me, [claim], "done", values=counts)
    row = rows.read(connection, queue.RETRIEVE, claim.item_id)
    assert {name: row[name] for name in counts} == counts


def seconds_until_ready(connection: Connection, item_id: int) -> float:
    wait = func.extract("epoch", Retrieval.ready_at - func.clock_timestamp())
    return float(connection.execute(select(wait).where(Retrieval.retrieval_id == item_id)).scalar_one())


def test_each_failed_attempt_waits_twice_as_long_and_the_last_fails_the_row(
    connection: Connection, chain: Chain
) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    me = rows.add_worker(connection)
    for attempt in range(1, ATTEMPTS + 1):
        connection.execute(update(Retrieval).where(Retrieval.retrieval_id == item_id).values(ready_at=func.now()))
        (claim,) = queue.claim(connection, queue.RETRIEVE, me, 1)
        assert (claim.attempt, claim.last) == (attempt, attempt == ATTEMPTS)
        queue.give_up(connection, queue.RETRIEVE, me, [claim], f"fault {attempt}")
        row = rows.read(connection, queue.RETRIEVE, item_id)
        assert row["error"] == f"fault {attempt}"
        if attempt < ATTEMPTS:
            assert (row["state"], row["finished_at"]) == ("waiting", None)
            delay = 0.5 * 2**attempt
            assert delay - 0.5 < seconds_until_ready(connection, item_id) <= delay
            assert queue.claim(connection, queue.RETRIEVE, me, 1) == []
        else:
            assert row["state"] == "failed"
            assert row["finished_at"] is not None
    assert [event[0] for event in rows.events(connection, queue.RETRIEVE, item_id)] == [
        *["claim", "retry"] * (ATTEMPTS - 1), "claim", "fail",
    ]  # fmt: skip
    assert rows.events(connection, queue.RETRIEVE, item_id)[-1][-1] == f"fault {ATTEMPTS}"


def test_giving_up_sorts_claims_by_what_is_left_of_them(connection: Connection, chain: Chain) -> None:
    ids = rows.add_ready(connection, chain, queue.RETRIEVE, 3)
    me = rows.add_worker(connection)
    for item_id, before in zip(ids, (0, 2, 4), strict=True):
        connection.execute(update(Retrieval).where(Retrieval.retrieval_id == item_id).values(attempt=before))
    queue.give_up(connection, queue.RETRIEVE, me, queue.claim(connection, queue.RETRIEVE, me, 3), "E")
    assert [rows.read(connection, queue.RETRIEVE, item_id)["state"] for item_id in ids] == [
        "waiting", "waiting", "failed",
    ]  # fmt: skip
    assert 0 < seconds_until_ready(connection, ids[0]) <= 1 < seconds_until_ready(connection, ids[1]) <= 4


def test_handing_back_does_not_use_up_an_attempt(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    me = rows.add_worker(connection)
    for attempt in range(1, 3 * ATTEMPTS):
        (claim,) = queue.claim(connection, queue.RETRIEVE, me, 1)
        assert claim == Claim(item_id, attempt, last=False)  # at once, and a new attempt number all the same: the fence
        queue.finish(connection, queue.RETRIEVE, me, [claim], "release")
    assert rows.read(connection, queue.RETRIEVE, item_id)["attempt_limit"] == ATTEMPTS + 3 * ATTEMPTS - 1


def spend(connection: Connection, item_id: int, me: int) -> None:
    """Use up what attempts a training run has left."""
    while True:
        connection.execute(
            update(TrainingRun).where(TrainingRun.training_run_id == item_id).values(ready_at=func.now())
        )
        claims = queue.claim(connection, queue.DISTILL, me, 1)
        if not claims:
            return
        queue.give_up(connection, queue.DISTILL, me, claims, "E")


def test_a_revived_row_has_a_fresh_set_of_attempts(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.DISTILL, 1)
    me = rows.add_worker(connection)
    spend(connection, item_id, me)
    which = TrainingRun.training_run_id == item_id
    assert queue.revive(connection, queue.DISTILL, "failed", which) == 1
    row = rows.read(connection, queue.DISTILL, item_id)
    assert (row["state"], row["error"], row["finished_at"], row["attempt"]) == ("waiting", None, None, ATTEMPTS)
    assert queue.revive(connection, queue.DISTILL, "failed", which) == 0
    spend(connection, item_id, me)
    assert rows.read(connection, queue.DISTILL, item_id)["attempt"] == 2 * ATTEMPTS


def test_what_is_still_held_is_known_and_stays_so(engine: Engine, own_chain: Chain) -> None:
    with engine.begin() as connection:
        rows.add_ready(connection, own_chain, queue.EMBED, 4)
        me = rows.add_worker(connection)
        finished, released, again, held = queue.claim(connection, queue.EMBED, me, 4)
        rows.done(connection, queue.EMBED, me, [finished])
        queue.finish(connection, queue.EMBED, me, [released, again], "release")
        (newer,) = queue.claim(connection, queue.EMBED, me, 1, queue.EMBED.key == again.item_id)
    claims = [finished, released, again, held]
    with engine.begin() as connection, engine.connect() as rescuer:
        assert queue.still_held(connection, queue.EMBED, me, claims) == [held]
        assert queue.still_held(connection, queue.EMBED, me, [*claims, newer]) == [held, newer]
        assert queue.still_held(connection, queue.EMBED, me + 1, claims) == []
        lock = text("SELECT embed_chunk_id FROM embed_chunk FOR NO KEY UPDATE SKIP LOCKED")
        free = set(rescuer.execute(lock).scalars())
        assert {finished.item_id, released.item_id} <= free
        assert not {held.item_id, newer.item_id} & free
