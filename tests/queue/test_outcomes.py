"""What each outcome does to a row: state, event, delay, and whether the attempt counts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from sqlalchemy import func, select, update

from rebase_db import queue
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze, backoff_seconds
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.schema import RetrievalLink
from rebase_db.schema.base import ATTEMPTS
from rebase_db.states import LINK
from tests.queue import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

Chain = dict[str, "Row"]


class Expected(NamedTuple):
    """`state` is that of a link where a job's has another name; `delay` its bounds in seconds."""

    outcome: Outcome
    event: str
    final: bool
    delay: tuple[float, float] = (0, 0)
    charged: bool = True
    detail: str | None = None
    last: bool = False


OUTCOMES = {
    "done": Expected(Done(), "done", final=True),
    "reject": Expected(Reject("of no use"), "reject", final=True, detail="of no use"),
    "fail": Expected(Fail("hopeless"), "fail", final=True, detail="hopeless"),
    "retry": Expected(Retry("broke"), "retry", final=False, delay=(0.5, 1.5), detail="broke"),
    "retry later": Expected(Retry("busy", 90), "retry", final=False, delay=(90, 90), detail="busy"),
    "last retry": Expected(Retry("broke", 90), "fail", final=True, detail="broke", last=True),
    "snooze": Expected(Snooze(30, "limit"), "snooze", final=False, delay=(30, 30), charged=False, detail="limit"),
    "last snooze": Expected(
        Snooze(30, "limit"), "snooze", final=False, delay=(30, 30), charged=False, detail="limit", last=True
    ),
    "release": Expected(Release(), "release", final=False, charged=False),
    "last release": Expected(Release(), "release", final=False, charged=False, last=True),
}
CASES = [(of, name) for of in QUEUES for name in OUTCOMES if name != "reject" or of.machine is LINK]


@pytest.mark.parametrize(("of", "name"), CASES, ids=[f"{of.name}-{name}" for of, name in CASES])
def test_each_outcome_in_each_queue(connection: Connection, chain: Chain, of: Queue, name: str) -> None:
    expected = OUTCOMES[name]
    (item_id,) = rows.add_ready(connection, chain, of, 1)
    me = rows.add_worker(connection)
    before = ATTEMPTS - 1 if expected.last else 0
    attempt = before + 1
    # As if two workers had died with it; what they died of is over once the row is finished.
    connection.execute(update(of.table).where(of.key == item_id).values(attempt=before, crashes=2))
    (claim,) = queue.claim(connection, of, me, 1)
    assert claim == Claim(item_id, attempt, last=expected.last)

    earliest = rows.clock(connection)
    values = rows.DONE.get(of.name) if name == "done" else None
    assert queue.settle(connection, of, me, [(claim, expected.outcome)], values) == [claim]
    latest = rows.clock(connection)

    row = rows.read(connection, of, item_id)
    state = of.machine.next_state(of.machine.working, expected.event)
    assert (row["state"], row["worker_id"], row["attempt"]) == (state, None, attempt)
    assert row["error"] == expected.detail
    assert (state in of.machine.finished) is expected.final
    assert (row["finished_at"] is not None) is expected.final
    assert row["attempt_limit"] == ATTEMPTS + (not expected.charged)
    assert row["crashes"] == (0 if expected.final else 2)
    if not expected.final:
        shortest, longest = expected.delay
        assert shortest <= (row["ready_at"] - earliest).total_seconds()
        assert (row["ready_at"] - latest).total_seconds() <= longest
    assert rows.events(connection, of, item_id)[1:] == [
        (expected.event, of.machine.working, state, attempt, me, expected.detail)
    ]


def test_outcomes_of_all_kinds_are_carried_out_at_once(connection: Connection, chain: Chain) -> None:
    names = ["done", "reject", "fail", "retry", "retry later", "snooze", "release", "done"]
    rows.add_ready(connection, chain, queue.TRANSFORM, len(names))
    me = rows.add_worker(connection)
    claims = queue.claim(connection, queue.TRANSFORM, me, len(names))
    last = claims[3]
    claims[3] = Claim(last.item_id, last.attempt, last=True)  # and so the first retry is a failure

    earliest = rows.clock(connection)
    outcomes = [(claim, OUTCOMES[name].outcome) for claim, name in zip(claims, names, strict=True)]
    assert queue.settle(connection, queue.TRANSFORM, me, outcomes) == claims
    latest = rows.clock(connection)

    for claim, name in zip(claims, names, strict=True):
        expected = OUTCOMES["last retry"] if claim is claims[3] else OUTCOMES[name]
        row = rows.read(connection, queue.TRANSFORM, claim.item_id)
        state = LINK.next_state(LINK.working, expected.event)
        assert (row["state"], row["worker_id"], row["error"]) == (state, None, expected.detail), name
        assert (row["finished_at"] is not None) is expected.final, name
        assert row["attempt_limit"] == ATTEMPTS + (not expected.charged), name
        if not expected.final:
            assert expected.delay[0] <= (row["ready_at"] - earliest).total_seconds(), name
            assert (row["ready_at"] - latest).total_seconds() <= expected.delay[1], name
        assert rows.events(connection, queue.TRANSFORM, claim.item_id)[1:] == [
            (expected.event, LINK.working, state, 1, me, expected.detail)
        ], name


def test_the_delay_doubles_up_to_ten_minutes_and_is_spread_by_half_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    for lowest, highest, drawn in ((0.5, 1.5, 0.5), (0.5, 1.5, 1.5)):

        def draw(low: float, high: float, bounds: tuple[float, ...] = (lowest, highest, drawn)) -> float:
            assert (low, high) == bounds[:2]
            return bounds[2]

        monkeypatch.setattr(random, "uniform", draw)
        assert [backoff_seconds(attempt) for attempt in range(1, 13)] == [delay * drawn for delay in planned]


def test_rows_that_fail_together_do_not_come_back_together(connection: Connection, chain: Chain) -> None:
    rows.add_ready(connection, chain, queue.TRANSFORM, 100)
    me = rows.add_worker(connection)
    claims = queue.claim(connection, queue.TRANSFORM, me, 100)
    queue.settle(connection, queue.TRANSFORM, me, [(claim, Retry("E")) for claim in claims])
    spread = func.extract("epoch", func.max(RetrievalLink.ready_at) - func.min(RetrievalLink.ready_at))
    retried = RetrievalLink.state == "retrieved"
    # Of a hundred delays between 0.5 and 1.5 seconds the longest and the shortest are far apart.
    assert connection.execute(select(spread).where(retried)).scalar_one() > 0.5
    assert connection.execute(select(func.count(RetrievalLink.ready_at.distinct())).where(retried)).scalar_one() > 90


@pytest.mark.parametrize("attempt", [1, 40, 1_100, 32_000])
def test_a_delay_is_finite_however_often_a_row_was_claimed(attempt: int) -> None:
    """Snoozing counts claims without an end."""
    assert 0.5 <= backoff_seconds(attempt) <= 900


def test_attempts_run_out_and_the_last_error_stays(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    me = rows.add_worker(connection)
    for attempt in range(1, ATTEMPTS + 1):
        rows.make_ready(connection, queue.RETRIEVE)
        (claim,) = queue.claim(connection, queue.RETRIEVE, me, 1)
        assert (claim.attempt, claim.last) == (attempt, attempt == ATTEMPTS)
        queue.settle(connection, queue.RETRIEVE, me, [(claim, Retry(f"fault {attempt}"))])
        assert queue.claim(connection, queue.RETRIEVE, me, 1) == []  # not before its time, or never again
    row = rows.read(connection, queue.RETRIEVE, item_id)
    assert (row["state"], row["error"]) == ("failed", f"fault {ATTEMPTS}")
    assert [event[0] for event in rows.events(connection, queue.RETRIEVE, item_id)] == [
        *["claim", "retry"] * (ATTEMPTS - 1), "claim", "fail",
    ]  # fmt: skip


@pytest.mark.parametrize("outcome", [Release(), Snooze(0, "not yet")], ids=lambda outcome: outcome.event)
def test_what_is_not_charged_can_go_on_for_ever(connection: Connection, chain: Chain, outcome: Outcome) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.RETRIEVE, 1)
    me = rows.add_worker(connection)
    for attempt in range(1, 3 * ATTEMPTS):
        (claim,) = queue.claim(connection, queue.RETRIEVE, me, 1)
        assert claim == Claim(item_id, attempt, last=False)  # at once, and a new attempt number all the same: the fence
        queue.settle(connection, queue.RETRIEVE, me, [(claim, outcome)])
    assert rows.read(connection, queue.RETRIEVE, item_id)["attempt_limit"] == ATTEMPTS + 3 * ATTEMPTS - 1


def test_an_outcome_that_the_machine_does_not_know_is_a_mistake(connection: Connection, chain: Chain) -> None:
    (item_id,) = rows.add_ready(connection, chain, queue.EMBED, 1)
    me = rows.add_worker(connection)
    claims = queue.claim(connection, queue.EMBED, me, 1)
    with pytest.raises(KeyError):
        queue.settle(connection, queue.EMBED, me, [(claims[0], Reject("of no use"))])
    assert rows.read(connection, queue.EMBED, item_id)["state"] == "running"
