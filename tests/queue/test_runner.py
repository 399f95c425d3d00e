"""Running a stage: every way a batch can end, and nothing left in hand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text, update

from rebase_db import queue
from rebase_db.control import transition
from rebase_db.errors import RebaseError, TeacherError
from rebase_db.lease import Lease
from rebase_db.outcomes import Done, Fail, Outcome, Reject, Release, Retry, Snooze
from rebase_db.queue import QUEUES, Claim, Queue
from rebase_db.schema import EmbedChunk, Event
from rebase_db.schema.base import ATTEMPTS
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers.runner import Runner, Tally, drain
from workers.stage import LostClaimError, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.queue import Lane
    from tests.queue.stub_stage import Script
    from tests.schema.chain import Row

Chain = dict[str, "Row"]


@pytest.fixture
def lease(engine: Engine) -> Iterator[Lease]:
    with Lease(engine) as lease:
        yield lease


def add(engine: Engine, chain: Chain, of: Queue, count: int) -> list[int]:
    with engine.begin() as connection:
        return rows.add_ready(connection, chain, of, count)


def lanes(engine: Engine, of: Queue) -> list[Lane]:
    with engine.connect() as connection:
        return rows.lanes_of(connection, of)


def names(engine: Engine, of: Queue, item_id: int) -> list[str]:
    """What happened to a row."""
    with engine.connect() as connection:
        return [event[0] for event in rows.events(connection, of, item_id)]


def read(engine: Engine, of: Queue, item_id: int) -> Row:
    with engine.connect() as connection:
        return rows.read(connection, of, item_id)


def ready_now(engine: Engine) -> Callable[[dict[str, int]], None]:
    """A callback for `drain` that makes rows waiting for their next attempt ready, so that no test waits for time."""

    def callback(_: dict[str, int]) -> None:
        with engine.begin() as connection:
            rows.make_ready(connection, queue.EMBED)

    return callback


def raising(error: BaseException, after: int = 0) -> Script:
    """Finish the first rows of a batch, then raise."""

    def script(claims: Sequence[Claim]) -> Iterator[Result]:
        for claim in claims[:after]:
            yield Result([(claim, Done())])
        raise error

    return script


@pytest.mark.parametrize("of", QUEUES, ids=lambda of: of.name)
def test_everything_ready_is_worked_on_batch_by_batch(
    engine: Engine, own_chain: Chain, lease: Lease, of: Queue
) -> None:
    ids = add(engine, own_chain, of, 10)
    stage = StubStage(of)
    told: list[dict[str, int]] = []
    counts = drain(engine, lease, stage, lanes(engine, of), told.append)
    done, earlier = of.machine.next_state_of("done"), own_chain[of.name]["state"]
    sizes = [1] * 10 if of is queue.DISTILL else [4, 4, 2]  # a training run is a lane of its own
    assert [len(batch) for batch in stage.batches] == sizes
    assert sorted(claim.item_id for batch in stage.batches for claim in batch) == ids
    assert counts == ({done: 11} if done == earlier else {done: 10, earlier: 1})
    assert [seen.get(of.machine.ready, 0) for seen in told][-1] == 0
    assert all(names(engine, of, item_id) == ["claim", "done"] for item_id in ids)
    assert set(stage.lanes) <= set(stage.prepared)


def test_nothing_to_do_is_done_at_once(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    stage = StubStage(queue.EMBED)
    assert drain(engine, lease, stage, lanes(engine, queue.EMBED)) == {own_chain["embed_chunk"]["state"]: 1}
    assert stage.batches == []


def test_a_batch_is_as_large_as_asked_for(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    add(engine, own_chain, queue.EMBED, 9)
    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED))
    assert runner.run_batch(lane) == Tally(claimed=4, settled=4)
    assert runner.run_batch(lane, 3) == Tally(claimed=3, settled=3)
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    assert runner.run_batch(lane) == Tally()


def test_rows_that_come_to_stand_before_the_last_batch_are_found_all_the_same(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    """As those do whose transaction began earlier and was committed later."""
    ids = add(engine, own_chain, queue.EMBED, 6)
    (lane,) = lanes(engine, queue.EMBED)
    stage = StubStage(queue.EMBED, batch=2)
    runner = Runner(engine, lease, stage)
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)
    with engine.begin() as connection:
        earlier = {"ready_at": func.now() - text("interval '1 minute'")}
        connection.execute(update(EmbedChunk).where(EmbedChunk.embed_chunk_id == ids[5]).values(earlier))
    for _ in range(3):
        runner.run_batch(lane)
    assert sorted(claim.item_id for batch in stage.batches for claim in batch) == ids


@pytest.mark.parametrize("writers", [1, 2])
def test_each_row_gets_the_outcome_the_stage_gave_it(
    engine: Engine, own_chain: Chain, lease: Lease, writers: int
) -> None:
    ids = add(engine, own_chain, queue.TRANSFORM, 6)
    outcomes: list[Outcome] = [Done(), Reject("no"), Retry("E"), Fail("E"), Snooze(60, "busy"), Release()]

    def script(claims: Sequence[Claim]) -> Iterator[Result]:
        pairs = list(zip(claims, outcomes, strict=True))
        yield from (Result(pairs[:4]), Result(pairs[4:]))

    stage = StubStage(queue.TRANSFORM, script, batch=6, writers=writers)
    (lane,) = lanes(engine, queue.TRANSFORM)
    assert Runner(engine, lease, stage).run_batch(lane) == Tally(claimed=6, settled=6)
    assert [names(engine, queue.TRANSFORM, item_id)[-1] for item_id in ids] == [
        "done", "reject", "retry", "fail", "snooze", "release",
    ]  # fmt: skip


@pytest.mark.parametrize("writers", [1, 2])
def test_an_unexpected_exception_is_a_failed_attempt_of_what_was_not_finished(
    engine: Engine, own_chain: Chain, lease: Lease, writers: int
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)
    stage = StubStage(queue.EMBED, raising(ZeroDivisionError("by nought"), after=1), writers=writers)
    counts = drain(engine, lease, stage, lanes(engine, queue.EMBED), ready_now(engine))
    assert counts == {"done": 5}
    assert names(engine, queue.EMBED, ids[0]) == ["claim", "done"]
    for item_id in ids[1:]:
        assert names(engine, queue.EMBED, item_id) == ["claim", "retry", "claim", "done"]
    with engine.connect() as connection:
        assert rows.events(connection, queue.EMBED, ids[1])[1][-1] == "ZeroDivisionError: by nought"


def test_a_row_that_always_fails_ends_as_failed_with_its_error(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)
    stage = StubStage(queue.EMBED, *[raising(RuntimeError(f"no {n}")) for n in range(1, ATTEMPTS + 1)])
    counts = drain(engine, lease, stage, lanes(engine, queue.EMBED), ready_now(engine))
    assert counts == {"done": 1, "failed": 1}
    assert [batch[0].attempt for batch in stage.batches] == list(range(1, ATTEMPTS + 1))
    assert read(engine, queue.EMBED, item_id)["error"] == f"RuntimeError: no {ATTEMPTS}"


@pytest.mark.parametrize("words", ["a\0b", "a\ud800b"], ids=["nul", "surrogate"])
def test_an_exception_whose_words_cannot_be_stored_is_a_failed_attempt_like_others(
    engine: Engine, own_chain: Chain, lease: Lease, words: str
) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)
    runner = Runner(engine, lease, StubStage(queue.EMBED, raising(RuntimeError(words))))
    (lane,) = lanes(engine, queue.EMBED)
    assert runner.run_batch(lane) == Tally(claimed=1, settled=1)
    assert names(engine, queue.EMBED, item_id) == ["claim", "retry"]
    assert read(engine, queue.EMBED, item_id)["error"].startswith("RuntimeError: a")


@pytest.mark.parametrize("writers", [1, 2])
@pytest.mark.parametrize(
    "error",
    [TeacherError("The key is refused."), KeyboardInterrupt(), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_what_stops_the_stage_hands_its_rows_back_uncharged(
    engine: Engine, own_chain: Chain, lease: Lease, error: BaseException, writers: int
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 5)
    stage = StubStage(queue.EMBED, raising(error, after=2), writers=writers)
    with pytest.raises(type(error)):
        drain(engine, lease, stage, lanes(engine, queue.EMBED))
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [
        *[["claim", "done"]] * 2, *[["claim", "release"]] * 2, [],
    ]  # fmt: skip
    row = read(engine, queue.EMBED, ids[2])
    assert (row["state"], row["attempt"], row["attempt_limit"], row["error"]) == ("waiting", 1, ATTEMPTS + 1, None)
    assert drain(engine, lease, stage, lanes(engine, queue.EMBED)) == {"done": 6}


def test_a_lane_that_cannot_be_prepared_is_not_claimed_from(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)

    class Unprepared(StubStage):
        def prepare(self, lane: Lane) -> None:
            raise TeacherError(f"No key for {lane}.")

    (lane,) = lanes(engine, queue.EMBED)
    with pytest.raises(TeacherError, match="No key for"):
        Runner(engine, lease, Unprepared(queue.EMBED)).run_batch(lane)
    assert names(engine, queue.EMBED, item_id) == []


def test_a_surprise_while_preparing_is_the_lanes_not_the_workers(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    (item_id,) = add(engine, own_chain, queue.EMBED, 1)

    class OutOfMemory(StubStage):
        def prepare(self, lane: Lane) -> None:
            del lane
            raise MemoryError("no room for the model")

    (lane,) = lanes(engine, queue.EMBED)
    with pytest.raises(RebaseError, match="cannot be loaded here: MemoryError: no room for the model"):
        Runner(engine, lease, OutOfMemory(queue.EMBED)).run_batch(lane)
    assert names(engine, queue.EMBED, item_id) == []


def test_rows_of_which_one_makes_the_stage_raise_come_back_apart(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 16)

    class Picky(StubStage):
        def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
            if ids[0] in {claim.item_id for claim in claims}:
                raise ValueError("no")
            return super().handle(lane, claims)

    stage = Picky(queue.EMBED, batch=16)
    counts = drain(engine, lease, stage, lanes(engine, queue.EMBED), ready_now(engine))
    assert counts == {"done": 16, "failed": 1}  # fifteen, and one that was done before
    assert read(engine, queue.EMBED, ids[0])["error"] == "ValueError: no"


def lose(engine: Engine, item_id: int) -> None:
    """What a rescue and another worker would do."""
    with engine.begin() as connection:
        changed = {"state": "done", "worker_id": None, "finished_at": func.clock_timestamp()}
        connection.execute(update(EmbedChunk).where(EmbedChunk.embed_chunk_id == item_id).values(changed))


@pytest.mark.parametrize("writers", [1, 2])
def test_results_of_lost_rows_are_not_written_and_those_of_others_are(
    engine: Engine, own_chain: Chain, lease: Lease, writers: int
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)
    written: list[set[int]] = []

    def write(_: Connection, held: Collection[int]) -> None:
        written.append(set(held))

    def lose_some(claims: Sequence[Claim]) -> Iterator[Result]:
        lose(engine, claims[1].item_id)
        lose(engine, claims[3].item_id)
        yield Result([(claim, Done()) for claim in claims[:3]], write)
        yield Result([(claims[3], Done())], write)

    stage = StubStage(queue.EMBED, lose_some, writers=writers)
    (lane,) = lanes(engine, queue.EMBED)
    assert Runner(engine, lease, stage).run_batch(lane) == Tally(claimed=4, settled=2, fenced=2)
    assert written == [{ids[0], ids[2]}]  # and nothing at all of a result with nothing left
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [["claim", "done"], ["claim"]] * 2


def test_a_row_cancelled_while_it_is_worked_on_stays_so(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids = add(engine, own_chain, queue.EMBED, 2)
    written: list[set[int]] = []

    def cancel(claims: Sequence[Claim]) -> Iterator[Result]:
        with engine.begin() as connection:
            values = {"error": "cancelled", "finished_at": func.clock_timestamp()}
            transition(connection, queue.EMBED, "cancel", ["running"], queue.EMBED.key == claims[0].item_id, values)
        yield Result([(claim, Done()) for claim in claims], lambda _, held: written.append(set(held)))

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, cancel))
    assert runner.run_batch(lane) == Tally(claimed=2, settled=1, fenced=1)
    assert written == [{ids[1]}]
    assert names(engine, queue.EMBED, ids[0]) == ["claim", "cancel"]
    assert read(engine, queue.EMBED, ids[0])["state"] == "cancelled"


def test_a_stage_that_notices_a_lost_claim_gives_back_what_it_still_holds(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)

    def notice(claims: Sequence[Claim]) -> Iterator[Result]:
        lose(engine, claims[1].item_id)
        yield Result([(claims[0], Done())])
        raise LostClaimError("Somebody took it.")

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, notice))
    assert runner.run_batch(lane) == Tally(claimed=4, settled=3, fenced=1)
    assert [names(engine, queue.EMBED, item_id)[1:] for item_id in ids] == [["done"], [], ["release"], ["release"]]


@pytest.mark.parametrize("writers", [1, 2])
def test_a_row_that_a_stage_forgets_is_a_failed_attempt(
    engine: Engine, own_chain: Chain, lease: Lease, writers: int
) -> None:
    """Held by a worker that lives, it would never be rescued."""
    ids = add(engine, own_chain, queue.EMBED, 4)
    stage = StubStage(queue.EMBED, writers=writers)
    stage.scripted.append(lambda claims: stage.finish(claims[1:]))
    assert drain(engine, lease, stage, lanes(engine, queue.EMBED), ready_now(engine)) == {"done": 5}
    assert names(engine, queue.EMBED, ids[0]) == ["claim", "retry", "claim", "done"]
    with engine.connect() as connection:
        assert rows.events(connection, queue.EMBED, ids[0])[1][-1] == "the stage left this row unfinished"


def test_a_stop_between_results_keeps_what_is_there_and_hands_back_the_rest_uncharged(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)
    stopping = threading.Event()
    closed: list[bool] = []

    def stop_after_two(claims: Sequence[Claim]) -> Iterator[Result]:
        try:
            yield Result([(claims[0], Done())])
            stopping.set()
            yield Result([(claims[1], Done())])
            raise AssertionError("a third result was asked for")
        finally:
            closed.append(True)

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, stop_after_two), stopping)
    assert runner.run_batch(lane) == Tally(claimed=4, settled=4)
    assert closed == [True]
    assert [names(engine, queue.EMBED, item_id)[-1] for item_id in ids] == ["done", "done", "release", "release"]
    assert [read(engine, queue.EMBED, item_id)["attempt_limit"] - ATTEMPTS for item_id in ids] == [0, 0, 1, 1]
    assert runner.rows_in_hand == 0


def test_a_stage_with_writers_that_stops_by_itself_hands_back_the_rest(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 4)
    stopping = threading.Event()

    def stop(claims: Sequence[Claim]) -> Iterator[Result]:
        yield Result([(claims[0], Done())])
        stopping.set()

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, stop, writers=2), stopping)
    assert runner.run_batch(lane) == Tally(claimed=4, settled=4)
    assert [names(engine, queue.EMBED, item_id)[-1] for item_id in ids] == ["done", *["release"] * 3]


def test_two_results_are_written_at_the_same_time(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    add(engine, own_chain, queue.EMBED, 4)
    both = threading.Barrier(2)

    def write(_: Connection, __: Collection[int]) -> None:
        both.wait(timeout=30)  # which one writer alone would never pass

    def script(claims: Sequence[Claim]) -> Iterator[Result]:
        for claim in claims:
            yield Result([(claim, Done())], write)

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, script, writers=2))
    assert runner.run_batch(lane) == Tally(claimed=4, settled=4)


def test_what_is_handed_back_meanwhile_is_free_at_once_and_its_result_refused(
    engine: Engine, own_chain: Chain, lease: Lease
) -> None:
    ids = add(engine, own_chain, queue.EMBED, 3)
    written: list[set[int]] = []

    def hand_back(claims: Sequence[Claim]) -> Iterator[Result]:
        yield Result([(claims[0], Done())])
        assert runner.rows_in_hand == 2
        runner.hand_back()  # as another thread would
        assert runner.rows_in_hand == 0
        yield Result([(claim, Done()) for claim in claims[1:]], lambda _, held: written.append(set(held)))

    (lane,) = lanes(engine, queue.EMBED)
    runner = Runner(engine, lease, StubStage(queue.EMBED, hand_back))
    assert runner.run_batch(lane) == Tally(claimed=3, settled=1, fenced=2)
    assert written == []
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [
        ["claim", "done"], ["claim", "release"], ["claim", "release"],
    ]  # fmt: skip
    assert runner.run_batch(lane) == Tally(claimed=2, settled=2)


def test_rows_of_a_dead_worker_are_taken_over(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids = add(engine, own_chain, queue.EMBED, 3)
    with engine.begin() as connection:
        gone = rows.add_worker(connection)
        assert len(queue.claim(connection, queue.EMBED, gone, 2)) == 2
    stage = StubStage(queue.EMBED)
    assert drain(engine, lease, stage, lanes(engine, queue.EMBED)) == {"done": 4}
    assert [names(engine, queue.EMBED, item_id) for item_id in ids] == [
        *[["claim", "rescue", "claim", "done"]] * 2, ["claim", "done"],
    ]  # fmt: skip
    assert sorted(len(batch) for batch in stage.batches) == [1, 1, 1]  # what a worker died with, alone


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
        counts = drain(engine, lease, StubStage(queue.EMBED), lanes(engine, queue.EMBED), on_counts)
        assert counts == {"done": 3}
        finisher.join(timeout=60)
    assert looked.is_set()


def test_two_workers_share_a_queue_and_do_each_row_once(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    ids = add(engine, own_chain, queue.TRANSFORM, 60)
    with Lease(engine) as other:
        stages = [StubStage(queue.TRANSFORM), StubStage(queue.TRANSFORM)]
        together = threading.Barrier(2)

        def run(lease: Lease, stage: StubStage) -> None:
            together.wait()
            drain(engine, lease, stage, lanes(engine, queue.TRANSFORM))

        threads = [threading.Thread(target=run, args=each) for each in zip((lease, other), stages, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    done = [claim.item_id for stage in stages for batch in stage.batches for claim in batch]
    assert sorted(done) == ids


def test_every_event_written_is_a_move_of_the_table(engine: Engine, own_chain: Chain, lease: Lease) -> None:
    """The diagram drawn from the table is the whole truth about what happens."""
    add(engine, own_chain, queue.EMBED, 6)
    script = [raising(RuntimeError("no")), raising(LostClaimError("gone")), raising(RuntimeError("no"), after=1)]
    drain(engine, lease, StubStage(queue.EMBED, *script), lanes(engine, queue.EMBED), ready_now(engine))
    with engine.connect() as connection:
        moved = select(Event.from_state, Event.event, Event.to_state).where(Event.queue == "embed_chunk")
        moves = {((before, event), after) for before, event, after in connection.execute(moved.distinct())}
    assert moves <= set(queue.EMBED.machine.transitions.items())
    assert {event for (_, event), _ in moves} == {"claim", "retry", "release", "done"}
