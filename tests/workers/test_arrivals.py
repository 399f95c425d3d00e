"""What an iterator gives comes in groups: all of it, in order, and its error after what came before."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from workers.arrivals import arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator


def each(*items: int) -> Iterator[int]:
    yield from items


def test_everything_comes_once_and_in_order() -> None:
    groups = list(arrivals(each(*range(1000)), 7))
    assert [item for group in groups for item in group] == list(range(1000))
    assert all(1 <= len(group) <= 7 for group in groups)


def test_nothing_gives_no_group() -> None:
    assert list(arrivals(each(), 7)) == []


def test_what_came_meanwhile_comes_together() -> None:
    given = threading.Event()

    def items() -> Iterator[int]:
        yield from range(5)
        given.set()

    coming = arrivals(items(), 100)
    first = next(coming)
    assert given.wait(60)
    assert [*first, *(item for group in coming for item in group)] == list(range(5))


def test_what_is_there_does_not_wait_for_what_is_not() -> None:
    go = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert go.wait(60)
        yield 2

    coming = arrivals(items(), 100)
    assert next(coming) == [1]  # while the iterator stands still
    go.set()
    assert list(coming) == [[2]]


def test_one_that_lingers_takes_what_comes_soon() -> None:
    asked = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        asked.set()
        yield 2

    coming = arrivals(items(), 2, linger_seconds=60)
    assert next(coming) == [1, 2]  # a full group waits for no more
    assert asked.is_set()
    assert list(coming) == []


def test_one_that_lingers_does_not_wait_beyond_the_end() -> None:
    assert list(arrivals(each(1, 2), 100, linger_seconds=600)) == [[1, 2]]


def test_an_error_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("broke")

    found: list[int] = []
    with pytest.raises(KeyError, match="broke"):
        found.extend(item for group in arrivals(items(), 10) for item in group)
    assert found == [1, 2]


def test_closed_early_it_closes_the_iterator() -> None:
    closed = threading.Event()
    go = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            assert go.wait(60)
            yield from range(10**6)
        finally:
            closed.set()

    with closing(arrivals(items(), 1)) as coming:  # type: ignore[type-var]
        assert next(coming) == [1]
    go.set()
    assert closed.wait(60)


def test_it_is_read_ahead_by_another_thread() -> None:
    """So that a model works on while results are written."""
    readers: list[int] = []
    ahead = threading.Event()

    def items() -> Iterator[int]:
        for item in range(3):
            readers.append(threading.get_ident())
            yield item
        ahead.set()

    coming = arrivals(items(), 1)
    assert next(coming) == [0]
    assert ahead.wait(60)
    assert set(readers) != {threading.get_ident()}
    assert list(coming) == [[1], [2]]
