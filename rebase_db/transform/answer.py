"""The form a teacher's answer must have, and the strict reading of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rebase_db.task.labels import final_label, match_label
from rebase_db.task.strict import UNSTORABLE
from rebase_db.transform.teacher import ParsedExample, Rejection, RejectReason, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

# Servers compile a schema's choices; above this many the label set is left to the prompt and the check of the answer.
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


class _RepeatedKeyError(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKeyError
    return result


def parse_answer(
    raw: str | None,
    *,
    finish_reason: str | None,
    refusal: str | None,
    labels: Sequence[str] | None,
    reasoning: bool,
) -> ParsedExample | Rejection:
    """Read an answer or say by name why it is none; nothing is repaired.

    Args:
        raw: The teacher's text.
        finish_reason: As the server gave it: `length` is a cut answer, `content_filter` a refusal, whatever they hold.
        refusal: The model's own words where the server sets a refusal apart.
        labels: The task's label set; the output comes back in its spelling.
        reasoning: Whether a rationale is asked for. A chain of thought that went into the output instead is taken for
            its final label.
    """
    if refusal or finish_reason == "content_filter":
        return Rejection(RejectReason.REFUSAL, refusal or "the server's content filter stopped it")
    if finish_reason == "length":
        return Rejection(RejectReason.CUT, f"it ends in {shorten((raw or '')[-60:])!r}")
    fields = _fields(raw or "", answer_keys(reasoning=reasoning))
    if isinstance(fields, Rejection):
        return fields
    if not labels:
        return ParsedExample(**fields)
    label = (final_label if reasoning else match_label)(fields["output"], labels)
    if label is None:
        return Rejection(RejectReason.LABEL_NOT_IN_SET, repr(fields["output"]))
    return ParsedExample(**(fields | {"output": label}))


def _fields(raw: str, keys: list[str]) -> dict[str, str] | Rejection:
    if not raw.strip():
        return Rejection(RejectReason.NOT_JSON, "it is empty")
    try:
        value = json.loads(raw, object_pairs_hook=_object)
    except _RepeatedKeyError:
        return Rejection(RejectReason.WRONG_KEYS, "a key stands there twice")
    except (ValueError, RecursionError) as error:
        return Rejection(RejectReason.NOT_JSON, f"{error}: {shorten(raw, 80)!r}")
    if not isinstance(value, dict):
        return Rejection(RejectReason.NOT_AN_OBJECT, f"it is a JSON {type(value).__name__}")
    if value.keys() != set(keys):
        return Rejection(RejectReason.WRONG_KEYS, f"has {', '.join(value) or 'none'}; wants {', '.join(keys)}")
    return next(filter(None, (_unfit(key, value[key]) for key in keys)), value)


def _unfit(key: str, text: object) -> Rejection | None:
    if not isinstance(text, str):
        return Rejection(RejectReason.WRONG_TYPE, f"{key} is a JSON {type(text).__name__}")
    if UNSTORABLE.search(text):
        return Rejection(RejectReason.WRONG_TYPE, f"{key} holds a NUL or half of a surrogate pair")
    return None if text.strip() else Rejection(RejectReason.EMPTY_FIELD, f"{key} is empty")
