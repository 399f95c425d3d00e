"""The teacher that is a language model: a prompt for each row, asked of a provider, and the reading of its replies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from rebase_db.errors import TeacherError
from rebase_db.hashing import canonical_json
from rebase_db.transform.answer import answer_schema, read_answer
from rebase_db.transform.cut import Fitted, cut_to_fit
from rebase_db.transform.prompt import REWRITE, RewritePrompt, prompt_hash
from rebase_db.transform.provider import Reply, Request, Usage
from rebase_db.transform.teacher import Answer, Prepared, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from rebase_db.task.file import TaskFile
    from rebase_db.transform.provider import Messages, Provider
    from rebase_db.transform.teacher import PromptTemplate, SourceRow

_LEAST_ROW_TOKENS = 128  # enough for a stub of one cell in any script
# The most bytes of the prompt that one of a row's JSON becomes: an escape.
_BYTES_OF_ONE = 6
# Where text is put between text, tokens on both sides may fall apart that were one.
_SEAMS = 16


class LanguageModelTeacher:
    """Asks `provider` once for each row.

    Raises:
        TeacherError: Instruction and examples leave no room for a row.
    """

    def __init__(self, task: TaskFile, provider: Provider, prompt: str = REWRITE) -> None:
        self._labels, self._reasoning = task.labels, task.reasoning
        self._provider = provider
        self._prompt = RewritePrompt(task, prompt)
        self._schema = answer_schema(task.labels, reasoning=task.reasoning)
        # Some servers spell the schema out in the prompt, and bill it; a token is a byte or more.
        self._schema_tokens = len(canonical_json(self._schema).encode())
        limits = provider.limits
        self._room = limits.context_tokens - limits.answer_tokens
        fixed = provider.count_tokens(self._prompt.messages({}))
        if fixed + _LEAST_ROW_TOKENS > self._room:
            raise TeacherError(
                f"task {task.name}: instruction, notes and examples take {fixed} of the {self._room} tokens that "
                f"context_tokens ({limits.context_tokens}) less max_tokens ({limits.answer_tokens}) leave for a prompt",
                hint="Raise teacher.context_tokens if the model can take more, or give fewer or shorter examples.",
            )
        self._row_bytes = self._room - fixed - _SEAMS

    @property
    def identity(self) -> dict[str, Any]:
        """The provider's."""
        return self._provider.identity

    @property
    def prompt(self) -> PromptTemplate:
        """The template of the messages."""
        return self._prompt.template

    @property
    def in_flight(self) -> int:
        """What the provider is kept busy with."""
        return self._provider.limits.in_flight

    @property
    def whole_row_bytes(self) -> int:
        """UTF-8 bytes of a row's JSON that always fit, because no tokenizer makes two tokens of one byte."""
        return max(self._row_bytes // _BYTES_OF_ONE, 0)

    @property
    def reusable(self) -> bool:
        """Asking costs time, and mostly money."""
        return True

    def prepare(self, row: SourceRow) -> Prepared:
        """The row's prompt, cut where it must be.

        A row that cannot be cut to fit gets no messages; `answer` gives it an error without asking.
        """
        fitted = cut_to_fit(row, self._fits)
        messages = self._messages(fitted) if fitted is not None else []
        digest = prompt_hash(messages or self._prompt.messages(row.columns), self._schema)
        return Prepared(row, digest, messages, fitted.cuts if fitted is not None else {}, self._most(messages))

    def price(self, prompt_tokens: int, answer_tokens: int) -> Decimal | None:
        """By the provider's prices."""
        return self._provider.limits.usage(prompt_tokens, answer_tokens).cost

    def prompt_tokens(self, prepared: Prepared) -> int:
        """As the provider counts or estimates them."""
        return self._provider.count_tokens(prepared.messages) if prepared.messages else 0

    def _messages(self, fitted: Fitted) -> Messages:
        return self._prompt.messages(fitted.columns, fitted.marked)

    def _fits(self, fitted: Fitted) -> bool:
        return self._provider.count_tokens(self._messages(fitted)) <= self._room

    def _most(self, messages: Messages) -> Usage:
        limits = self._provider.limits
        if not messages:
            return limits.usage(0, 0)
        return limits.usage(self._provider.most_tokens(messages) + self._schema_tokens, limits.answer_tokens)

    def answer(self, prepared: Iterable[Prepared]) -> Iterator[Answer]:
        """One answer for each row, in the order they are done; closing the iterator drops what is still asked.

        Raises:
            TeacherError: The model refuses to serve at all.
        """
        waiting: dict[int, Prepared] = {}
        too_long: deque[Prepared] = deque()  # filled in the provider's thread, emptied in this one

        def requests() -> Iterator[Request]:
            for one in prepared:
                if one.messages:
                    waiting[one.link_id] = one
                    yield Request(one.link_id, one.messages)
                else:
                    too_long.append(one)

        replies = self._provider.ask(requests(), self._schema, "example")
        try:
            for reply in replies:
                yield self.read(waiting.pop(reply.key), reply)
                while too_long:
                    yield self._unasked(too_long.popleft())
            while too_long:
                yield self._unasked(too_long.popleft())
        finally:
            close = getattr(replies, "close", None)
            if close is not None:
                close()

    def _unasked(self, prepared: Prepared) -> Answer:
        error = f"no cell of the row, cut to a stub, fits the {self._room} tokens of a prompt"
        return Answer(prepared, Reply(prepared.link_id, None, 0.0, requests=0, error=error))

    def read(self, prepared: Prepared, reply: Reply) -> Answer:
        """What a reply, given now or before, makes of a row."""
        if reply.error is not None:
            return Answer(prepared, reply)
        read = read_answer(reply, labels=self._labels, reasoning=self._reasoning)
        if isinstance(read, Rejection):
            return Answer(prepared, reply, reject_reason=str(read))
        return Answer(prepared, reply, parsed=read[0], reading=read[1])

    def close(self) -> None:
        """Close the provider."""
        self._provider.close()
