from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from rebase_db.errors import TeacherError
from rebase_db.transform.provider import Reply, Request
from rebase_db.transform.providers.batching import Asked, ModelThread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def requests(*keys: int) -> list[Request]:
    return [Request(key, []) for key in keys]


def answered(batch: Sequence[Asked]) -> list[Reply]:
    return [Reply(asked.request.key, f"to {asked.request.key}", 0.0) for asked in batch]


class Gate:
    """Answers a batch when it is let through, and remembers which batches there were."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.came = threading.Semaphore(0)
        self.through = threading.Semaphore(0)

    def __call__(self, batch: Sequence[Asked]) -> list[Reply]:
        self.batches.append([asked.request.key for asked in batch])
        self.came.release()
        assert self.through.acquire(timeout=30)
        return answered(batch)


def test_a_small_call_shares_the_next_batch_with_a_large_one() -> None:
    gate = Gate()
    model = ModelThread("test", 4, gate)
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(lambda: list(model.ask(requests(*range(10)), {})))
        assert gate.came.acquire(timeout=30)
        small = model.ask(requests(100, 101), {})
        first = threads.submit(lambda: next(small))
        while len(model._turns) < 2:
            threading.Event().wait(0.001)
        for _ in range(4):
            gate.through.release()
        assert first.result(30).key == 100
        assert next(small).key == 101
        assert [reply.key for reply in large.result(30)] == list(range(10))
    model.stop()
    model.join()

    assert gate.batches[0] == [0, 1, 2, 3]
    assert sorted(gate.batches[1]) == [4, 5, 100, 101]
    assert gate.batches[2:] == [[6, 7, 8, 9]]


def test_many_callers_get_their_own_replies() -> None:
    model = ModelThread("test", 7, answered)

    def ask(first: int) -> list[Reply]:
        return list(model.ask(requests(*range(first, first + 50)), {}))

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(ask, range(0, 800, 100)))
    model.stop()

    for first, got in zip(range(0, 800, 100), replies, strict=True):
        assert [(reply.key, reply.text) for reply in got] == [(key, f"to {key}") for key in range(first, first + 50)]


def test_requests_are_taken_when_there_is_room_and_may_end_early() -> None:
    gate = Gate()
    model = ModelThread("test", 2, gate)
    taken: list[int] = []
    enough = threading.Event()

    def source() -> Iterator[Request]:
        for key in range(100):
            if enough.is_set():
                return
            taken.append(key)
            yield Request(key, [])

    with ThreadPoolExecutor(1) as threads:
        replies = threads.submit(lambda: [reply.key for reply in model.ask(source(), {})])
        assert gate.came.acquire(timeout=30)
        assert taken == [0, 1]
        enough.set()
        gate.through.release()
        assert replies.result(30) == [0, 1]
    assert list(model.ask([], {})) == []
    model.stop()
    model.join()


def test_an_error_of_the_requests_is_the_callers_alone() -> None:
    model = ModelThread("test", 3, answered)

    def source() -> Iterator[Request]:
        yield Request(1, [])
        raise LookupError("no more rows")

    with pytest.raises(LookupError, match="no more rows"):
        list(model.ask(source(), {}))
    assert [reply.key for reply in model.ask(requests(2, 3), {})] == [2, 3]
    model.stop()


def test_closing_the_iterator_drops_what_is_not_at_work() -> None:
    gate = Gate()
    model = ModelThread("test", 2, gate)
    replies = model.ask(requests(*range(10)), {})
    gate.through.release()
    next(replies)
    assert isinstance(replies, type(_ for _ in ()))
    replies.close()
    for _ in range(6):
        gate.through.release()
    assert [reply.key for reply in model.ask(requests(50), {})] == [50]
    model.stop()

    asked = [key for batch in gate.batches for key in batch]
    assert asked[-1] == 50
    assert len(asked) <= 5


def test_a_teacher_error_reaches_all_that_wait_and_all_that_ask_later() -> None:
    came = threading.Event()

    def broken(batch: Sequence[Asked]) -> Iterator[Reply]:
        yield answered(batch)[0]
        assert came.wait(30)
        raise TeacherError("the engine died", hint="Start it again.")

    model = ModelThread("test", 2, broken)
    one = model.ask(requests(1, 2, 3), {})
    assert next(one).key == 1
    other = model.ask(requests(4), {})
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: list(other))
        while len(model._live) < 2:
            threading.Event().wait(0.001)
        came.set()
        with pytest.raises(TeacherError, match="the engine died"):
            next(one)
        with pytest.raises(TeacherError, match="the engine died"):
            waiting.result(30)
    with pytest.raises(TeacherError) as caught:
        next(model.ask(requests(5), {}))
    assert caught.value.hint == "Start it again."
    model.join()


def test_a_reply_to_another_request_is_an_error() -> None:
    model = ModelThread("test", 2, lambda batch: reversed(answered(batch)))

    with pytest.raises(RuntimeError, match="the reply to request 1 came as one to 2"):
        next(model.ask(requests(1, 2), {}))


def test_a_closed_model_answers_nothing() -> None:
    gate = Gate()
    model = ModelThread("test", 1, gate)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: list(model.ask(requests(1, 2), {})))
        assert gate.came.acquire(timeout=30)
        model.stop()
        with pytest.raises(RuntimeError, match="closed"):
            waiting.result(30)
        gate.through.release()
    model.join()
    assert gate.batches == [[1]]
    with pytest.raises(RuntimeError, match="closed"):
        next(model.ask(requests(3), {}))
