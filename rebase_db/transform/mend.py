"""Mending an object that is not quite JSON, by `json_repair`, and making sure that mending is all it was.

`json_repair` never refuses: it drops what it cannot place, and makes up what it misses. So its result is taken only if
the reply is just that, key after key and text after text, with nothing around them but the braces, colons, commas and
pairs of quotes of an object, some of which may be missing or of another kind.
"""

from __future__ import annotations

import json
import re
from typing import Any

import json_repair

_LONGEST = 50_000  # characters; json_repair takes time that grows faster than its text
_ESCAPE = re.compile(r"""\\(?:u(?P<code>[0-9a-fA-F]{4})|(?P<space>[nrtbf])|(?P<sign>["'\\/]))""")
_OPENING, _CLOSING = "\"'`\u201c\u2018", "\"'`\u201d\u2019"


def mended(text: str) -> str | None:
    """The object in `text` as JSON that differs in punctuation alone; None where that cannot be had."""
    if len(text) > _LONGEST:
        return None
    try:
        value = json_repair.loads(text, skip_json_loads=True, strict=True)
        result = _joined(json.dumps(value, ensure_ascii=False))
        mending = json.loads(result)
    except (ValueError, RecursionError, IndexError):  # a number of 5,000 digits is a ValueError of json's own
        return None
    return result if isinstance(mending, dict) and _is_spelled(mending, _said(text)) else None


def _is_spelled(value: dict[str, Any], said: str) -> bool:
    """Whether `said` is this object with a little too much, too little or other punctuation."""
    at = _past(said, 0, "{")
    for key, part in value.items():
        for text, sign in ((key, ":"), (part, ",")):
            behind = _past_text(said, at, text)
            if behind is None:
                return False
            at = _past(said, behind, sign)
    return said[at:] == "}"


def _past_text(said: str, at: int, part: Any) -> int | None:
    """Behind a key or value in quotes or without; a quote alone would be one that was misread."""
    text = " ".join((part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)).split())
    if said[at : at + 1] in _OPENING:
        begin = _past(said, at + 1, "")
        end = _past(said, begin + len(text), "")
        if said.startswith(text, begin) and said[end : end + 1] in _CLOSING:
            return end + 1
    return at + len(text) if said.startswith(text, at) else None


def _past(said: str, at: int, sign: str) -> int:
    """Behind a sign, if it is there, and the spaces around it."""
    at += said.startswith(" ", at)
    at += len(sign) if said.startswith(sign, at) else 0
    return at + said.startswith(" ", at)


def _said(text: str) -> str:
    """`text` with its escapes as the characters they stand for, and white space of any kind as one space."""

    def character(match: re.Match[str]) -> str:
        return chr(int(match["code"], 16)) if match["code"] else (match["sign"] or " ")

    return " ".join(_joined(_ESCAPE.sub(character, text)).split())


def _joined(text: str) -> str:
    """`text` with each surrogate pair as the character it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
