"""What a check is called in the database: its name, its version and every threshold it was applied with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.check.verdict import CheckDefinition

if TYPE_CHECKING:
    from rebase_db.task.strict import Strict


def define(name: str, version: int, settings: Strict, **resolved: Any) -> CheckDefinition:
    """The definition of check `name`, with its settings in the task file.

    Args:
        name: As in `Checks`.
        version: Raised by whoever changes what the check finds under the same settings.
        settings: The check's part of the task file.
        resolved: Plain JSON of what the settings leave to the task's worked examples; stands over the settings.
    """
    return CheckDefinition(name, {**settings.model_dump(mode="json"), **resolved, "version": version})


def excerpt(text: str, start: int = 0, end: int | None = None, around: int = 40) -> str:
    """The part of `text` from `start` to `end` with `around` characters on either side, on one line, at most 200."""
    end = len(text) if end is None else end
    piece = " ".join(text[max(0, start - around) : end + around].split())
    return piece if len(piece) <= 200 else piece[:199] + "…"  # noqa: PLR2004 - said above
