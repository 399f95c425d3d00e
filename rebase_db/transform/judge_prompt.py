"""What a language model is asked as a judge of an example, and the reading of its judgement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rebase_db.transform.prompt import Blocks, load_template, task_values
from rebase_db.transform.reply_object import read_object, text_fault
from rebase_db.transform.teacher import Rejection, RejectReason

if TYPE_CHECKING:
    from rebase_db.task.file import TaskFile
    from rebase_db.transform.provider import Messages, Reply
    from rebase_db.transform.teacher import PromptTemplate

LEAST_POINTS, MOST_POINTS = 1, 5
# The reason first: points that come before it are not thought through.
_KEYS = ("reason", "points")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "points": {"type": "integer", "enum": list(range(MOST_POINTS, LEAST_POINTS - 1, -1))},
    },
    "required": list(_KEYS),
    "additionalProperties": False,
}
"""JSON schema of a judgement, in the subset that strict structured output takes."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Points from 1 (no example of the task) to 5 (fits it fully), and why, in the model's words."""

    points: int
    reason: str


@cache
def template() -> PromptTemplate:
    """The template of the messages."""
    return load_template("judge-v1")


@cache
def _blocks() -> Blocks:
    return Blocks(template())


def messages(task: TaskFile, example_input: str, output: str, rationale: str | None) -> Messages:
    """The system and the user message that ask for a judgement; the example is last, and data."""
    candidate = {"input": example_input, "rationale": rationale, "output": output}
    return _blocks().messages(
        **task_values(task),
        keys=_KEYS,
        candidate={key: text for key, text in candidate.items() if text is not None},
    )


def read_judgement(reply: Reply) -> Judgement | Rejection:
    """The judgement in a reply that is no error, or the name of why there is none; no points are ever guessed."""
    read = read_object(reply, _KEYS)
    if isinstance(read, Rejection):
        return read
    reason, points = read[0]["reason"], read[0]["points"]
    fault = text_fault("reason", reason)
    if fault is not None:
        return fault
    if type(points) is not int:  # True is an int too, and no points
        return Rejection(RejectReason.WRONG_TYPE, f"points is a JSON {type(points).__name__}")
    if not LEAST_POINTS <= points <= MOST_POINTS:
        return Rejection(RejectReason.WRONG_TYPE, f"points is {points}; wants {LEAST_POINTS} to {MOST_POINTS}")
    return Judgement(points, reason)
