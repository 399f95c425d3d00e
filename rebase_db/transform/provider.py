"""What a provider is: a language model that is sent messages and gives replies, whatever they are for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

Messages = list[dict[str, str]]
"""Chat messages with the keys role and content."""


class ResponseForm(StrEnum):
    """How a model was held to JSON: by a schema, to JSON of any form, or by words alone."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply took; None where the server did not say, or no price is known."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider can take.

    Attributes:
        answer_tokens: Longest answer.
        context_tokens: Prompt and answer together.
        in_flight: Requests it is kept busy with.
        input_price: Money per million prompt tokens; None where no price is known.
        output_price: The same of answered tokens; both or none.
    """

    answer_tokens: int
    context_tokens: int
    in_flight: int
    input_price: Decimal | None = None
    output_price: Decimal | None = None

    def usage(self, prompt_tokens: int | None, completion_tokens: int | None) -> Usage:
        """These tokens and what they cost; no cost without both counts and both prices."""
        if prompt_tokens is None or completion_tokens is None or self.input_price is None or self.output_price is None:
            return Usage(prompt_tokens, completion_tokens)
        cost = (prompt_tokens * self.input_price + completion_tokens * self.output_price) / 1_000_000
        return Usage(prompt_tokens, completion_tokens, cost)


@dataclass(frozen=True, slots=True)
class Request:
    """Messages, and the key (a link's or an example's id) under which the reply comes back."""

    key: int
    messages: Messages


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: `text`, `refusal` or `error`.

    Attributes:
        key: The request's.
        text: The model's words, storable; None when there are none.
        latency_seconds: From the first sending to the last byte.
        refusal: The model's words where the server sets a refusal apart.
        finish_reason: As the server gave it: `stop`, `length`, `content_filter`, ...
        usage: Tokens and cost.
        response_form: How this reply was held to JSON.
        requests: How often it was sent; 0 when the answer was there already.
        failures: What the sendings before the last came to.
        error: Why there is no answer.
        retry_after: Seconds; comes with an error that asking again may mend.
        rate_limited: The server turned the request away unread (429): no attempt is used up.
        maybe_billed: An error after which nobody knows whether the server did the work and bills it.
    """

    key: int
    text: str | None
    latency_seconds: float
    refusal: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    response_form: ResponseForm | None = None
    requests: int = 1
    failures: tuple[str, ...] = ()
    error: str | None = None
    retry_after: float | None = None
    rate_limited: bool = False
    maybe_billed: bool = False

    def __post_init__(self) -> None:
        if self.error is not None and (self.text is not None or self.refusal is not None):
            raise ValueError(f"request {self.key}: an error comes without an answer")
        if self.error is None and (self.retry_after is not None or self.rate_limited or self.maybe_billed):
            raise ValueError(f"request {self.key}: only an error can be retried or billed unseen")


class Provider(Protocol):
    """A language model.

    `identity` is plain JSON with the keys provider, model, endpoint and sampling: all that shapes its replies, and no
    secret.
    """

    @property
    def identity(self) -> dict[str, Any]: ...  # noqa: D102 - see the class

    @property
    def limits(self) -> Limits: ...  # noqa: D102 - see its class

    def count_tokens(self, messages: Messages) -> int:
        """Tokens of a prompt: exact where there is a tokenizer, a cautious estimate elsewhere."""
        ...

    def most_tokens(self, messages: Messages) -> int:
        """No fewer tokens than a prompt can be billed for."""
        ...

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Iterator[Reply]:
        """One reply for each request, in the order they are done; closing the iterator drops what is still asked.

        May be called by several threads; together they have no more than `limits.in_flight` requests in flight.

        Args:
            requests: What to ask. The next is taken when there is room for it, in a thread of the provider's, so that
                the caller may end early what has not been sent.
            schema: JSON schema of the answers, in the subset that strict structured output takes.
            name: What the schema is called where the protocol wants a name.

        Raises:
            TeacherError: The model refuses to serve at all. What is under way is brought to its end before; requests
                without a reply by then were refused, and are not billed.
        """
        ...

    def close(self) -> None:
        """Let go of connections, threads and memory; further calls of `ask` fail."""
        ...
