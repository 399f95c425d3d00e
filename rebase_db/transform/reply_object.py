"""The one JSON object of a reply: read as it stands, or found leniently where nothing held the model to a schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rebase_db.task.strict import UNSTORABLE
from rebase_db.transform.lenient import find_object, name_fault
from rebase_db.transform.provider import ResponseForm
from rebase_db.transform.teacher import Reading, Rejection, RejectReason, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.transform.provider import Reply


class _RepeatedKeyError(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKeyError
    return result


def read_object(reply: Reply, keys: Sequence[str]) -> tuple[dict[str, Any], Reading] | Rejection:
    """The object of a reply with exactly these keys, or why there is none.

    A reply that was held to a schema is read strictly: it is JSON, or something is wrong that should be seen. Any other
    is also looked through for its one object. Keys are never guessed: one too many, too few or in another case is wrong
    however the object was found.
    """
    fault = _no_answer(reply)
    if fault is not None:
        return fault
    raw, reading = reply.text or "", Reading.STRICT
    fields = _strict(raw, keys)
    if fields is None:
        found = name_fault(raw) if reply.response_form == ResponseForm.JSON_SCHEMA else find_object(raw)
        if isinstance(found, Rejection):
            return found
        fields, reading = _strict(found.text, keys), found.reading
    if fields is None:
        raise AssertionError(f"what was found is no JSON: {raw!r}")
    return fields if isinstance(fields, Rejection) else (fields, reading)


def _no_answer(reply: Reply) -> Rejection | None:
    """Why a reply is no answer whatever it says."""
    raw = reply.text or ""
    if reply.refusal or reply.finish_reason == "content_filter":
        return Rejection(RejectReason.REFUSAL, reply.refusal or "the server's content filter stopped it")
    if reply.finish_reason == "length":
        return Rejection(RejectReason.CUT, f"it ends in {shorten(raw[-60:])!r}")
    return None if raw.strip() else Rejection(RejectReason.NOT_JSON, "it is empty")


def _strict(raw: str, keys: Sequence[str]) -> dict[str, Any] | Rejection | None:
    """The object that `raw` is; None when it is no JSON at all."""
    try:
        value = json.loads(raw, object_pairs_hook=_object)
    except _RepeatedKeyError:
        return Rejection(RejectReason.WRONG_KEYS, "a key stands there twice")
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return Rejection(RejectReason.NOT_AN_OBJECT, f"it is a JSON {type(value).__name__}")
    if value.keys() != set(keys):
        return Rejection(RejectReason.WRONG_KEYS, f"has {', '.join(value) or 'none'}; wants {', '.join(keys)}")
    return value


def text_fault(key: str, text: object) -> Rejection | None:
    """Why a value is no text that can be stored and says something."""
    if not isinstance(text, str):
        return Rejection(RejectReason.WRONG_TYPE, f"{key} is a JSON {type(text).__name__}")
    if UNSTORABLE.search(text):
        return Rejection(RejectReason.WRONG_TYPE, f"{key} holds a NUL or half of a surrogate pair")
    return None if text.strip() else Rejection(RejectReason.EMPTY_FIELD, f"{key} is empty")
