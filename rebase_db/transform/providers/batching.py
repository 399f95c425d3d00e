"""One thread works a model for all that ask it: the models here are not thread safe, and are fast only in batches."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rebase_db.errors import TeacherError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rebase_db.transform.provider import Reply, Request


@dataclass(eq=False, slots=True)
class _Call:
    """One call of `ask`; all but `dropped` is the model's thread's affair.

    Attributes:
        open: Requests that were taken and have no reply yet.
        exhausted: Whether there are no more requests; `replies` ends in None then.
        dropped: Whether nobody wants the rest.
    """

    schema: Mapping[str, Any]
    requests: Iterator[Request]
    replies: SimpleQueue[Reply | BaseException | None] = field(default_factory=SimpleQueue)
    open: int = 0
    exhausted: bool = False
    dropped: bool = False

    def end_if_done(self) -> None:
        """Say that all replies were given, if so."""
        if self.exhausted and self.open == 0:
            self.replies.put(None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the schema of its answer."""

    request: Request
    schema: Mapping[str, Any]


class ModelThread:
    """Fills batches with what is waiting, one request of each caller in turn.

    So a small call need not wait for a large one, and several small calls make one batch.

    Args:
        name: The thread's name.
        batch: Most requests at a time.
        answer: Gives one reply for each request, in their order. A TeacherError from it ends the thread's work: all
            that wait, and all that ask later, get it.
    """

    def __init__(self, name: str, batch: int, answer: Callable[[Sequence[Asked]], Iterable[Reply]]) -> None:
        self._batch, self._answer = batch, answer
        self._changed = threading.Condition()
        self._turns: deque[_Call] = deque()  # those that may have more to ask, whose turn it is first
        self._live: set[_Call] = set()
        self._end: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more is answered: what is at work may break off."""
        return self._end is not None

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any]) -> Iterator[Reply]:
        """One reply for each request; see `Provider.ask`."""
        call = _Call(schema, iter(requests))
        with self._changed:
            if self._end is not None:
                raise _again(self._end)
            self._live.add(call)
            self._turns.append(call)
            self._changed.notify()
        try:
            while (got := call.replies.get()) is not None:
                if isinstance(got, BaseException):
                    raise _again(got)
                yield got
        finally:
            call.dropped = True
            with self._changed:
                self._live.discard(call)

    def stop(self) -> None:
        """Answer nothing more; who waits gets an error."""
        self.fail(RuntimeError("this teacher is closed"))

    def fail(self, error: BaseException) -> None:
        """Answer nothing more; all that wait, and all that ask later, get this error, unless there was one before."""
        with self._changed:
            self._end = self._end or error
            for call in self._live:
                call.replies.put(self._end)
            self._live.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the batch at work."""
        self._thread.join()

    def _work(self) -> None:
        while not self.ended:
            batch = self._take()
            try:
                self._reply(batch)
            except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                self.fail(error)

    def _take(self) -> list[tuple[_Call, Request]]:
        """The next batch; empty at the end, or where there was nothing left to ask."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended or self._turns)
        taken: list[tuple[_Call, Request]] = []
        while len(taken) < self._batch and (call := self._next_turn()) is not None:
            try:
                request = next(call.requests, None)
            except BaseException as error:  # noqa: BLE001 - the caller's own
                call.replies.put(error)
                continue
            if request is None:
                call.exhausted = True
                call.end_if_done()
                continue
            call.open += 1
            taken.append((call, request))
            with self._changed:
                self._turns.append(call)
        return taken

    def _next_turn(self) -> _Call | None:
        with self._changed:
            while self._turns and not self.ended:
                call = self._turns.popleft()
                if not call.dropped:
                    return call
        return None

    def _reply(self, batch: Sequence[tuple[_Call, Request]]) -> None:
        replies = self._answer([Asked(request, call.schema) for call, request in batch]) if batch else ()
        for (call, request), reply in zip(batch, replies, strict=True):
            if reply.key != request.key:
                raise RuntimeError(f"the reply to request {request.key} came as one to {reply.key}")
            call.replies.put(reply)
            call.open -= 1
            call.end_if_done()


def _again(error: BaseException) -> BaseException:
    """The same error anew, as several threads may raise it."""
    if isinstance(error, TeacherError):
        return TeacherError(error.message, hint=error.hint)
    return RuntimeError(str(error)) if isinstance(error, RuntimeError) else error
