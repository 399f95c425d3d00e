"""Draining a stage: every outcome of a batch, and nothing left in hand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, text, update

from rebase_db import queue
from rebase_db.errors import LostClaimError, TeacherError
from rebase_db.lease import Lease
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.schema import EmbedChunk
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers.runner import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from tests.schema.chain import Row

    Script = Callable[[StubStage, Sequence[Claim]], None]

Chain = dict[str, "Row"]


@pytest.fixture
def lease(engine: Engine) -> Iterator[Lease]:
    with Lease(engine) as lease:
        yield lease


def add(engine: Engine, chain: Chain, of: Queue, count: int) -> list[int]:
    with engine.begin() as connection:
        return rows.add_ready(connection, chain, of, count)


def names(engine: Engine, of: Queue, item_id: int) -> list[str]:
    """What happened to a row."""
    with engine.connect() as connection:
        return [event[0] for event in rows.events(connection, of, item_id)]


def ready_now(engine: Engine) -> Callable[[dict[str, int]], None]:
    """A callback for `drain` that makes rows waiting for their next attempt ready, so that no test waits for time."""

    def callback(_: dict[str, int]) -> None:
        with engine.begin() as connection:
            waiting = EmbedChunk.state == "waiting"
            connection.execute(update(EmbedChunk).where(waiting).values(ready_at=func.clock_timestamp()))

    return callback


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_everything_ready_is_worked_on_batch_by_batch(
    engine: Engine, own_chain: Chain, lease: Lease, of: Queue
) -> None:
    ids = add(engine, own_chain, of, 10)
    stage = StubStage(engine, lease, of)
    told: list[dict[str, int]] = []
    counts = drain(engine, lease, stage, told.append)
    done, earlier = of.machine.next_state_of("done"), own_chain[of.name]["state"]
    assert [len(batch) for batch in stage.batches] == [4, 4, 2]
    assert sorted(claim.item_id for batch in stage.batches for claim in batch) == ids
    assert counts[done] == (11 if done == earlier else 10)
    assert [seen.get(of.machine.ready, 0) for seen in told] == [6, 2, 0, 0]
    assert all(names(engine, of, item_id) == ["claim", "done"] for item_id in ids)


def test_nothing_to_do_is_done_at_once(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    stage = StubStage(engine, lease, queue.EMBED)
    assert drain(engine, lease, stage, lambda _: None) == {own_chain["embed_chunk"]["state"]: 1}
    assert stage.batches == []


def raising(error: BaseException, after: int = 0) -> Script:
    """Finish the first rows of a batch, then raise."""

    def script(stage: StubStage, claims: Sequence[Claim]) -> None:
        stage.finish(claims[:after])
        raise error

    return script


def test_an_unexpected_exception_is_a_failed_attempt_of_what_was_not_finished(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)
    stage = StubStage(engine, lease, queue.EMBED, raising(ZeroDivisionError("by nought"), after=1))
    counts = drain(engine, lease, stage, ready_now(engine))
    assert counts == {"done": 5}
    assert names(engine, queue.EMBED, ids[0]) == ["claim", "done"]
    for item_id in ids[1:]:
        assert names(engine, queue.EMBED, item_id) == ["claim", "retry", "claim", "done"]
    with engine.connect() as connection:
        assert rows.events(connection, queue.EMBED, ids[1])[1][-1] == "ZeroDivisionError: by nought"


def test_a_row_that_always_fails_ends_as_failed_with_its_error(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)
    stage = StubStage(engine, lease, queue.EMBED, *[raising(RuntimeError(f"no {n}")) for n in range(1, ATTEMPTS + 1)])
    assert drain(engine, lease, stage, ready_now(engine)) == {"done": 1, "failed": 1}
    assert [batch[0].attempt for batch in stage.batches] == list(range(1, ATTEMPTS + 1))
    with engine.connect() as connection:
        assert rows.read(connection, queue.EMBED, item_id)["error"] == f"RuntimeError: no {ATTEMPTS}"


@pytest.mark.parametrize(
    "error",
    [TeacherError("The key is refused."), KeyboardInterrupt(), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_what_stops_the_worker_hands_its_rows_back_unharmed(
    engine: Engine, own_chain: Chain, lease: Lease, error: BaseException
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 5)
    stage = StubStage(engine, lease, queue.EMBED, raising(error, after=2))
    with pytest.raises(type(error)):
        drain(engine, lease, stage, lambda _: None)
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [
        *[["claim", "done"]] * 2, *[["claim", "release"]] * 2, [],
    ]  # fmt: skip
    with engine.connect() as connection:
        row = rows.read(connection, queue.EMBED, ids[2])
    assert (row["state"], row["attempt"], row["attempt_limit"], row["error"]) == ("waiting", 1, ATTEMPTS + 1, None)
    assert drain(engine, lease, stage, lambda _: None) == {"done": 6}


def test_a_lost_claim_is_no_error_and_what_is_still_held_goes_on(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)

    def lose_one(stage: StubStage, claims: Sequence[Claim]) -> None:
        with engine.begin() as connection:  # what a rescue and another worker's finish would do
            changed = {"state": "done", "worker_id": None, "finished_at": func.clock_timestamp()}
            lost = EmbedChunk.embed_chunk_id == claims[1].item_id
            connection.execute(update(EmbedChunk).where(lost).values(changed))
        stage.finish(claims)

    stage = StubStage(engine, lease, queue.EMBED, lose_one)
    assert drain(engine, lease, stage, lambda _: None) == {"done": 5}
    assert [len(batch) for batch in stage.batches] == [4, 3]
    for item_id in (ids[0], *ids[2:]):
        assert names(engine, queue.EMBED, item_id) == ["claim", "release", "claim", "done"]


def test_losing_everything_is_no_error_either(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    add(engine, own_chain, queue.EMBED, 4)

    def lose_all(stage: StubStage, claims: Sequence[Claim]) -> None:
        stage.finish(claims)
        stage.finish(claims)

    stage = StubStage(engine, lease, queue.EMBED, lose_all)
    assert drain(engine, lease, stage, lambda _: None) == {"done": 5}


def test_a_row_that_a_stage_forgets_is_a_failed_attempt(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    """Held by a worker that lives, it would never be rescued."""
    ids = add(engine, own_chain, queue.EMBED, 4)
    stage = StubStage(engine, lease, queue.EMBED, lambda stage, claims: stage.finish(claims[1:]))
    assert drain(engine, lease, stage, ready_now(engine)) == {"done": 5}
    assert names(engine, queue.EMBED, ids[0]) == ["claim", "retry", "claim", "done"]


def test_rows_of_a_dead_worker_are_taken_over(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids = add(engine, own_chain, queue.EMBED, 3)
    with engine.begin() as connection:
        gone = rows.add_worker(connection)
        assert len(queue.claim(connection, queue.EMBED, gone, 2)) == 2
    stage = StubStage(engine, lease, queue.EMBED)
    assert drain(engine, lease, stage, lambda _: None) == {"done": 4}
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [
        *[["claim", "rescue", "claim", "done"]] * 2, ["claim", "done"],
    ]  # fmt: skip


def test_a_drain_waits_for_rows_that_another_worker_holds(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    add(engine, own_chain, queue.EMBED, 2)
    looked = threading.Event()
    with Lease(engine) as other:
        with engine.begin() as connection:
            held = queue.claim(connection, queue.EMBED, other.worker_id, 1)

        def finish_when_drained() -> None:
            looked.wait(timeout=60)
            with engine.begin() as connection:
                rows.done(connection, queue.EMBED, other.worker_id, held)

        def on_counts(counts: dict[str, int]) -> None:
            if counts == {"done": 2, "running": 1}:  # its own row done, the other's not
                looked.set()

        finisher = threading.Thread(target=finish_when_drained)
        finisher.start()
        assert drain(engine, lease, StubStage(engine, lease, queue.EMBED), on_counts) == {"done": 3}
        finisher.join(timeout=60)
    assert looked.is_set()


def test_two_workers_share_a_queue_and_do_each_row_once(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids = add(engine, own_chain, queue.TRANSFORM, 60)
    with Lease(engine) as other:
        stages = [StubStage(engine, each, queue.TRANSFORM) for each in (lease, other)]
        together = threading.Barrier(2)

        def run(stage: StubStage) -> None:
            together.wait()
            drain(engine, stage.lease, stage, lambda _: None)

        threads = [threading.Thread(target=run, args=(stage,)) for stage in stages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    done = [claim.item_id for stage in stages for batch in stage.batches for claim in batch]
    assert sorted(done) == ids


def test_a_result_that_cannot_be_committed_leaves_nothing_and_is_tried_again(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)

    def violate(stage: StubStage, claims: Sequence[Claim]) -> None:
        with stage.engine.begin() as connection:
            connection.execute(text("INSERT INTO metric VALUES (1, 9, 'loss', 1, 0.5)"))
            rows.done(connection, queue.EMBED, stage.lease.worker_id, list(claims))
            connection.execute(text("INSERT INTO metric VALUES (1, 9, 'loss', 1, 0.5)"))

    assert drain(engine, lease, StubStage(engine, lease, queue.EMBED, violate), ready_now(engine)) == {"done": 2}
    assert names(engine, queue.EMBED, item_id) == ["claim", "retry", "claim", "done"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM metric WHERE attempt = 9")).scalar_one() == 0
        assert "UniqueViolation" in (rows.events(connection, queue.EMBED, item_id)[1][-1] or "")


def test_every_event_written_is_a_move_of_the_table(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    """The diagram drawn from the table is the whole truth about what happens."""
    add(engine, own_chain, queue.EMBED, 6)
    script = [raising(RuntimeError("no")), raising(LostClaimError("gone")), raising(RuntimeError("no"), after=1)]
    drain(engine, lease, StubStage(engine, lease, queue.EMBED, *script), ready_now(engine))
    with engine.connect() as connection:
        query = "SELECT DISTINCT from_state, event, to_state FROM event WHERE queue = 'embed_chunk'"
        moves = {((before, event), after) for before, event, after in connection.execute(text(query))}
    assert moves <= set(queue.EMBED.machine.transitions.items())
    assert {event for (_, event), _ in moves} == {"claim", "retry", "release", "done"}
