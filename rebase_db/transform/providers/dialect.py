"""What of the chat completions protocol a server understands, found out by asking.

Servers say in their own ways that they do not know a response format: OpenAI's older models and DeepSeek with a 400,
Mistral with a 422, text-generation-inference with a 422 whose body is no JSON, llama.cpp's server (until it learned of
schemas) with a 500. What they have in common is that they name the field, or the format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rebase_db.transform.provider import ResponseForm

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMS = (ResponseForm.JSON_SCHEMA, ResponseForm.JSON_OBJECT, ResponseForm.TEXT)  # from strict to lax
_OLD_NAME, _NEW_NAME = "max_tokens", "max_completion_tokens"
_ABOUT_THE_FORM = re.compile(
    r"response[ _]?format|json[ _]?(schema|object|mode)|structured[ _]output|guided[ _](decoding|json)|grammar",
    re.IGNORECASE,
)
_NOT_KNOWN = re.compile(
    r"must be|not (supported|implemented|available|allowed)|unsupported|unavailable|unknown|does(n't| not) support",
    re.IGNORECASE,
)
_MAY_COMPLAIN = frozenset({400, 404, 422})
_MAY_COMPLAIN_IN_CLEAR_WORDS = frozenset({500, 501})


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server is asked.

    Attributes:
        form: How answers are held to JSON.
        adapts: Whether a form that the server does not know may be left for a laxer one.
        limit_name: What the field for the longest answer is called.
    """

    form: ResponseForm
    adapts: bool
    limit_name: str = _NEW_NAME

    @classmethod
    def of(cls, response_format: Literal["auto", "json_schema", "json_object", "text"]) -> Dialect:
        """The one to begin with, as the task file's `response_format` says."""
        if response_format == "auto":
            return cls(ResponseForm.JSON_SCHEMA, adapts=True)
        return cls(ResponseForm(response_format), adapts=False)

    def fields(self, max_tokens: int, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The request's fields that hang on the dialect."""
        fields: dict[str, Any] = {self.limit_name: max_tokens}
        if self.form is ResponseForm.JSON_SCHEMA:
            form = {"name": name, "strict": True, "schema": schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self.form is ResponseForm.JSON_OBJECT:
            fields["response_format"] = {"type": "json_object"}
        return fields

    def without(self, status: int, complaint: str) -> Dialect | None:
        """The dialect without what the server complains of; None where it is not about that, or nothing is left to try.

        Args:
            status: HTTP's number.
            complaint: The server's message, with the name of the field where that is told apart.
        """
        clear = status in _MAY_COMPLAIN_IN_CLEAR_WORDS and _NOT_KNOWN.search(complaint) is not None
        if not (clear or status in _MAY_COMPLAIN):
            return None
        if self.limit_name == _NEW_NAME and _NEW_NAME in complaint:
            return replace(self, limit_name=_OLD_NAME)
        if self.adapts and self.form is not _FORMS[-1] and _ABOUT_THE_FORM.search(complaint):
            return replace(self, form=_FORMS[_FORMS.index(self.form) + 1])
        return None

    def joined(self, other: Dialect) -> Dialect:
        """What is left of both when each leaves out what the other does."""
        form = max(self.form, other.form, key=_FORMS.index)
        return replace(self, form=form, limit_name=min(self.limit_name, other.limit_name, key=len))
