"""What every model of the task file shares: closed, frozen, and silent about the values it refuses."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from rebase_db.errors import did_you_mean

_SECRET = re.compile(r".*(api_?key|secret|password|authorization).*|key|token", re.IGNORECASE)
# What a Postgres text cannot hold.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def fault(message: str, *, hint: str = "") -> PydanticCustomError:
    """A validation error whose hint reaches the user; raised inside a field's validator."""
    return PydanticCustomError("task", "{message}", {"message": message, "hint": hint})


def fault_at(location: tuple[str | int, ...], message: str, *, hint: str = "") -> InitErrorDetails:
    """A fault at a place below the model whose validator found it; collected for `raise_faults`."""
    return InitErrorDetails(type=fault(message, hint=hint), loc=location, input=None)


def raise_faults(model: type[BaseModel], faults: list[InitErrorDetails]) -> None:
    """Raise all of `faults` as one; pydantic keeps their places when this is called in a validator."""
    if faults:
        raise ValidationError.from_exception_data(model.__name__, faults, hide_input=True)


def _storable(value: str) -> str:
    if UNSTORABLE.search(value):
        raise fault("holds a NUL or half of a surrogate pair, which no database text can")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise fault("is blank")
    return value


StorableText = Annotated[str, AfterValidator(_storable)]
"""Text that Postgres can store."""

Text = Annotated[StorableText, AfterValidator(_not_blank)]
"""Storable text that says something."""


class Strict(BaseModel):
    """A frozen model without unknown keys; its errors never show the value they are about, which may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        faults = []
        for key in data:
            if key in cls.model_fields:
                continue
            if _SECRET.fullmatch(str(key)):
                message = "a secret has no place in a task file"
                hint = "Put it into an environment variable and name that variable in teacher.api_key_env."
            else:
                message = "is not a known key"
                hint = did_you_mean(str(key), list(cls.model_fields))
            faults.append(fault_at((str(key),), message, hint=hint))
        raise_faults(cls, faults)
        return data
