"""Reading a chat completion: only the parts used here, so that servers which leave others out are understood too."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from rebase_db.transform.teacher import storable


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Counts(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)

    @property
    def total(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


class Completion(BaseModel):
    """The body of a `chat.completion` object."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Counts = _Counts()

    @field_validator("usage", mode="before")
    @classmethod
    def _usage_is_optional(cls, value: Any) -> Any:
        return _Counts() if value is None else value

    @property
    def text(self) -> str | None:
        """The answer, storable."""
        content = self.choices[0].message.content
        return None if content is None else storable(content)

    @property
    def refusal(self) -> str | None:
        """What the model says where it refuses by a field of its own, storable."""
        refusal = self.choices[0].message.refusal
        return None if refusal is None else storable(refusal)

    @property
    def finish_reason(self) -> str | None:
        """`stop`, `length`, `content_filter`, or what else the server calls it."""
        return self.choices[0].finish_reason


def read_completion(body: bytes) -> Completion | None:
    """The completion in a 200's body, or None where it holds none (a proxy's page, a cut reply)."""
    try:
        return Completion.model_validate_json(body)
    except ValidationError:
        return None
