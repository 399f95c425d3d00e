"""Text of unknown origin as JSON that a language model can read, and in which no markup can be spelled.

Chat templates and tokenizers know special tokens such as `<|im_end|>`, `</s>`, `[/INST]` or `[|user|]`. A row that
spells one could be read as the end of the user's turn. So brackets that can open or close such a token are written as
JSON escapes, and so is all that a reader of the prompt would not see: controls, direction marks, zero-width and tag
characters, private use. Letters, signs and punctuation of every script stay as they are.

Joiners (U+200C, U+200D) and the two variation selectors of emoji are invisible too, but part of spelling: Persian, the
scripts of India and emoji sequences need them. They stay between two characters that are neither Latin nor invisible,
one at a time, and are escaped anywhere else: there they only hide something.

What is escaped is spelled out below instead of asked of `unicodedata`, whose answers change with the Python version,
and with them the hashes of prompts.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CUT_MARK = "<cut/>"
"""Ends a cell that was shortened. It is no JSON escape, so no row can spell it."""

# Angle brackets and ampersands, full-width and small forms too: normalising tokenizers make them plain.
_MARKUP = r"<>&\uff1c\uff1e\ufe64\ufe65\uff06\ufe60"
_INVISIBLE = (
    r"\0-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef"
    r"\ud800-\udfff\ue000-\uf8ff"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_JOINERS, _SELECTORS = r"\u200c\u200d", r"\ufe0e\ufe0f"
# Neither Latin (its letters with marks end at U+024F) nor invisible: what a joiner may stand between.
_JOINED_BEFORE = rf"[^{_INVISIBLE}\0-\u024f\u2000-\u200f]"
_JOINED_AFTER = rf"[^{_INVISIBLE}\0-\u024f\u2000-\u200f{_SELECTORS}]"
# What emoji presentation can follow: digits of keycaps, (c) and (r), and all that is not Latin.
_PRESENTED = rf"[^{_INVISIBLE}\0-\"$-)+-/:-\u00a8\u00aa-\u00ad\u00af-\u024f{_JOINERS}{_SELECTORS}]"
_OPEN, _CLOSE, _SIGN = r"\[\uff3b", r"\]\uff3d", r"[/|@~\uff0f\uff5c\uff20\uff5e]"
_UNSAFE = re.compile(
    # One class in front, so that the search skips all else at once.
    rf"[{_MARKUP}{_INVISIBLE}{_JOINERS}{_SELECTORS}{_OPEN}{_CLOSE}](?:(?<=[{_MARKUP}{_INVISIBLE}])"
    rf"|(?<=[{_JOINERS}])(?:(?<!{_JOINED_BEFORE}[{_JOINERS}])|(?!{_JOINED_AFTER}))"
    rf"|(?<=[{_SELECTORS}])(?<!{_PRESENTED}[{_SELECTORS}])"
    # [INST], [/INST], [gMASK], [|user|], [@BOS@], ]~b]: one word in brackets, or a bracket beside a sign. [1] stays.
    rf"|(?<=[{_OPEN}])(?:(?={_SIGN}|(?!\d+[{_CLOSE}])\w{{1,64}}[{_CLOSE}])|(?<={_SIGN}[{_OPEN}]))"
    rf"|(?<=[{_CLOSE}])(?={_SIGN}))"
)


@cache
def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))


def as_data(value: object) -> str:
    """`value` as one line of JSON in which no delimiter, special token or invisible character can be spelled."""
    return _UNSAFE.sub(lambda match: _escape(match[0]), json.dumps(value, ensure_ascii=False))


def row_as_data(columns: Mapping[str, str], cut: Collection[str] = ()) -> str:
    """A row as one line of JSON; the cells named in `cut` end in `CUT_MARK`."""
    cells = (
        f'{as_data(name)}: {as_data(text)[:-1]}{CUT_MARK if name in cut else ""}"' for name, text in columns.items()
    )
    return f"{{{', '.join(cells)}}}"
