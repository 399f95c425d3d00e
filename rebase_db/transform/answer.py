"""The form a teacher's answer must have, and the reading of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.task.labels import final_label, match_label
from rebase_db.transform.reply_object import read_object, text_fault
from rebase_db.transform.teacher import ParsedExample, Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.transform.provider import Reply
    from rebase_db.transform.teacher import Reading

# Servers compile a schema's choices; above this many the label set is left to the prompt and the check of the example.
_MOST_CHOICES = 200


def answer_keys(*, reasoning: bool) -> list[str]:
    """The answer's keys in the order they are written: the rationale before the output that follows from it."""
    return ["input", "rationale", "output"] if reasoning else ["input", "output"]


def answer_schema(labels: Sequence[str] | None, *, reasoning: bool) -> dict[str, Any]:
    """JSON schema of an answer, in the subset that strict structured output takes."""
    properties: dict[str, Any] = {key: {"type": "string"} for key in answer_keys(reasoning=reasoning)}
    if labels and len(labels) <= _MOST_CHOICES:
        properties["output"]["enum"] = list(labels)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_answer(
    reply: Reply, *, labels: Sequence[str] | None, reasoning: bool
) -> tuple[ParsedExample, Reading] | Rejection:
    """The example in a reply and how it was read, or the name of why there is none.

    Args:
        reply: One that is no error. `finish_reason` counts whatever the text holds: `length` is a cut answer,
            `content_filter` a refusal.
        labels: The task's label set. The output comes back in its spelling where it matches; where it does not, as it
            is: an example is made of it, for the check of labels to judge.
        reasoning: Whether a rationale is asked for. A chain of thought that went into the output instead is taken for
            its final label.
    """
    keys = answer_keys(reasoning=reasoning)
    read = read_object(reply, keys)
    if isinstance(read, Rejection):
        return read
    fields, reading = read
    fault = next(filter(None, (text_fault(key, fields[key]) for key in keys)), None)
    if fault is not None:
        return fault
    if labels:
        label = (final_label if reasoning else match_label)(fields["output"], labels)
        fields = fields | {"output": label if label is not None else fields["output"]}
    return ParsedExample(**fields), reading
