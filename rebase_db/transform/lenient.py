"""Finding the one JSON object in a reply that is not JSON as it stands, without guessing what it means.

Small models, and servers that hold no model to JSON, put objects into code fences, talk around them, or spell them a
little wrong. What they meant is taken where there is one way to read it:

1. A code fence around the whole reply is taken off.
2. Of an object among other words the words are left aside. A second object makes it ambiguous, and neither is taken.
3. An object that is no JSON is mended where punctuation alone is wrong. One whose end is missing never is.

What the object must hold is the caller's business, and as strict as for any other reply.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.transform.mend import mended
from rebase_db.transform.teacher import Reading, Rejection, RejectReason, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE = "```"
_LANGUAGE = re.compile(r"[\w+-]*[ \t]*\n?")
# What a reasoning model thinks; chat templates may have written the opening tag into the prompt.
_THOUGHT = re.compile(r"(?!\s*(?:\{|```)).*?</think(?:ing)?>", re.DOTALL)
_THINKING = re.compile(r"\s*<think(?:ing)?>")
# A brace that begins an object, unlike those of LaTeX or sets: a quote, a bare key or the end comes next.
_OBJECT_BEGINS = re.compile("\\{(?=\\s{0,40}(?:[\"'`\u201c\u201d\u2018\u2019}]|\\w{1,40}\\s{0,9}[\"']?\\s{0,9}:))")
_QUOTE_OR_BRACE = re.compile(r'\\.|["{}]', re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:i['\u2019]?m|i am|we['\u2019]?re|we are) (?:very |so |really )?(?:sorry|unable|not able|not comfortable)\b"
    r"|\bi (?:can['\u2019]?t|cannot|can not|could not|couldn['\u2019]t|won['\u2019]?t|will not|must decline|refuse)\b"
    r"|\bas an? (?:\w+ )?(?:ai|language model)\b|\bi apologi[sz]e\b|^\W*(?:sorry|unfortunately)\b",
    re.IGNORECASE,
)
_REFUSED_EARLY = 300  # characters; later in a long text the same words are about something else


@dataclass(frozen=True, slots=True)
class Found:
    """The JSON text of an object, as it stands or mended, and how it was come by."""

    text: str
    reading: Reading


def find_object(raw: str) -> Found | Rejection:
    """The one object of a reply that is no JSON as a whole, or the name of what stands in the way."""
    thought = _THOUGHT.match(raw)
    if thought is None and _THINKING.match(raw):
        return Rejection(RejectReason.CUT, f"its thoughts have no end: it ends in {shorten(raw[-60:])!r}")
    said = raw[thought.end() :] if thought else raw
    inside = _unfenced(said)
    if inside is None:
        return _object_in(said)
    return Found(inside, Reading.FENCED) if _is_json(inside) else _object_in(inside)


def _unfenced(text: str) -> str | None:
    """What stands in a code fence with nothing around it; one that is never closed too."""
    text = text.strip()
    if not text.startswith(_FENCE):
        return None
    language = _LANGUAGE.match(text, len(_FENCE))
    return text[language.end() if language else len(_FENCE) :].removesuffix(_FENCE)


def _object_in(text: str) -> Found | Rejection:
    spans = list(_objects(text))
    if len(spans) > 1:
        return Rejection(RejectReason.SEVERAL_OBJECTS, f"there are {len(spans)} in {shorten(text, 80)!r}")
    if not spans or spans[0][1] is None:
        return name_fault(text)
    start, end = spans[0]
    if text[:start].rstrip().endswith("["):
        return Rejection(RejectReason.NOT_AN_OBJECT, "it is a list of one")
    spelled = text[start:end]
    if _is_json(spelled):
        return Found(spelled, Reading.EMBEDDED)
    mending = mended(spelled)
    if mending is None:
        return Rejection(RejectReason.NOT_JSON, f"it cannot be mended without guessing: {shorten(spelled, 80)!r}")
    return Found(mending, Reading.REPAIRED)


def name_fault(raw: str) -> Rejection:
    """What is wrong with a reply that is no JSON, where it is not looked through or nothing was found in it."""
    begin = _OBJECT_BEGINS.search(raw)
    if begin is not None and _ends_open(raw, begin.start()):
        return Rejection(RejectReason.CUT, f"it ends in {shorten(raw[-60:])!r}")
    if begin is None and _REFUSAL.search(raw[:_REFUSED_EARLY]):
        return Rejection(RejectReason.REFUSAL, raw)
    if _unfenced(raw) is not None:
        return Rejection(RejectReason.CODE_FENCE, f"it is {shorten(raw, 80)!r}")
    if len(list(_objects(raw))) > 1:
        return Rejection(RejectReason.SEVERAL_OBJECTS, f"it is {shorten(raw, 80)!r}")
    return Rejection(RejectReason.NOT_JSON, f"it is {shorten(raw, 80)!r}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _objects(text: str) -> Iterator[tuple[int, int | None]]:
    """Where objects begin and end, outermost only; the end is None where it is missing or not to be told."""
    begin = _OBJECT_BEGINS.search(text)
    while begin is not None:
        end = _end_of(text, begin.start())
        yield begin.start(), end
        begin = None if end is None else _OBJECT_BEGINS.search(text, end)


def _end_of(text: str, start: int) -> int | None:
    """Behind the brace that closes the one at `start`; braces within double quotes do not count."""
    try:
        return json.JSONDecoder().raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        pass
    depth, quoted = 0, False
    for token in _QUOTE_OR_BRACE.finditer(text, start):
        if token[0] == '"':
            quoted = not quoted
        elif not quoted and token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
            if depth == 0:
                return token.end()
    return None


def _ends_open(text: str, start: int) -> bool:
    return _end_of(text, start) is None and not text.rstrip(" \t\r\n`").endswith("}")
