"""What a sending came to when it brought no completion: whether it was billed, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from rebase_db.errors import TeacherError
from rebase_db.transform.providers.retry_after import told_seconds
from rebase_db.transform.teacher import shorten

if TYPE_CHECKING:
    import openai

    from rebase_db.task.teachers import OpenAITeacherSpec

_RATE_LIMITED = 429
_UNREAD = frozenset({408, 409, _RATE_LIMITED})  # with 5xx, what the library too takes as worth repeating
_GATEWAY_TIMEOUTS = frozenset({504, 524})  # the server behind the gateway may well be at work
_SERVER_FAULT = 500
_REFUSED_KEY = frozenset({401, 403})
_NO_MODEL = 404
_NO_MONEY = 402


@dataclass(frozen=True, slots=True)
class Failure:
    """A sending without a completion.

    Attributes:
        error: What happened, in one line, storable and without the key.
        passing: Asking again may mend it.
        maybe_billed: Nobody knows whether the server did the work.
        rate_limited: The server turned the request away unread.
        told_seconds: How long the server wants to be left alone, where it says so.
        status: HTTP's number, 0 without a response.
        complaint: What the server says, whole, with the field it names.
        fatal: There when no other request would fare better.
    """

    error: str
    passing: bool = False
    maybe_billed: bool = False
    rate_limited: bool = False
    told_seconds: float | None = None
    status: int = 0
    complaint: str = ""
    fatal: TeacherError | None = None

    @property
    def repeatable(self) -> bool:
        """It is worth another try that cannot be billed twice."""
        return self.passing and not self.maybe_billed


class FailureReader:
    """Reads failures of one server; what it makes of them never holds the key, whatever the server quotes."""

    def __init__(self, spec: OpenAITeacherSpec, key: str | None) -> None:
        self._spec, self._key = spec, key

    def of_status(self, error: openai.APIStatusError) -> Failure:
        """A response with an HTTP status of 4xx or 5xx."""
        status, spec = error.status_code, self._spec
        told = _told(error.body)
        text = f"HTTP {status}: {self._safe(told)}"
        fatal = None
        if status in _REFUSED_KEY:  # the server's words are left out: they tend to quote the key in part
            key = f"the key in {spec.api_key_env}" if spec.api_key_env else "a request without a key"
            hint = (
                "Check the key." if spec.api_key_env else "Name the environment variable with the key in api_key_env."
            )
            fatal = TeacherError(f"{spec.base_url} refuses {key} (HTTP {status})", hint=hint)
        elif status == _NO_MODEL:
            message = f"{spec.base_url} has no model {spec.model!r} to ask ({text})"
            fatal = TeacherError(message, hint="Check teacher.model, and whether base_url should end in /v1.")
        elif status == _NO_MONEY or error.code == "insufficient_quota":  # a 429 that waiting does not mend
            fatal = TeacherError(f"{spec.base_url} says the account has no quota left ({text})")
        return Failure(
            text,
            passing=status in _UNREAD or status >= _SERVER_FAULT,
            maybe_billed=status in _GATEWAY_TIMEOUTS,
            rate_limited=status == _RATE_LIMITED and fatal is None,
            told_seconds=told_seconds(error.response.headers.get("retry-after")),
            status=status,
            complaint=f"{error.param or ''} {told}",
            fatal=fatal,
        )

    def of_connection(self, error: BaseException) -> Failure:
        """A request that could not be sent, or whose response did not come, or not to its end."""
        root = _root(error)
        if isinstance(root, aiohttp.ConnectionTimeoutError):
            return Failure(f"no connection to {self._spec.base_url} in time", passing=True)
        if isinstance(root, TimeoutError):
            return self.of_timeout()
        text = f"the connection to {self._spec.base_url} failed: {str(root) or type(root).__name__}"
        unsent = isinstance(root, aiohttp.ClientConnectorError)
        return Failure(self._safe(text), passing=True, maybe_billed=not unsent)

    def of_timeout(self) -> Failure:
        """A response that did not come in time."""
        return Failure(f"no answer within {self._spec.timeout_seconds:g} s", passing=True, maybe_billed=True)

    def of_body(self, text: str) -> Failure:
        """A 200 that holds no completion: the server did something, and bills it perhaps."""
        return Failure(
            self._safe(f"the server's reply is no chat completion: {text!r}"), passing=True, maybe_billed=True
        )

    def _safe(self, text: str) -> str:
        # The key goes before the cut: a part of it would pass unseen.
        return shorten(text.replace(self._key, "[key]") if self._key else text)


def _told(body: Any) -> str:
    message = body["message"] if isinstance(body, dict) and "message" in body else body
    return message if isinstance(message, str) else repr(message)


def _root(error: BaseException) -> BaseException:
    # The library's own kinds of errors do not tell a refused connection from one that was dropped: aiohttp's do.
    while error.__cause__ is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error
