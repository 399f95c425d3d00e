"""When two texts are the same text: how they are taken apart before they are compared.

A word is a run of letters, marks and digits; in scripts that put no spaces between words each character is one. Case,
width, punctuation and white space make no difference. Nor do signs (`plain_words`), except where texts of one task are
compared with each other (`words`): there `2 * (3 - 4)` and `2 - (3 * 4)` are two problems.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

# Han, kana, Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
)
# A minus only before a number or a bracket: elsewhere it is a hyphen, a dash or a bullet.
_SIGN = r"[+*/=<>^%()\[\]{}|&~]|-(?=\s*[\d(])"
_OPTION_MARK = re.compile(r"\(\s*(\w)\s*\)")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xBF58476D1CE4E5B9)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # \w knows letters and digits but not vowel signs and accents of their own, without which Hindi falls to pieces.
    marks = "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M")
    marks = re.escape("".join(mark for mark in marks if not re.match(f"[{_UNSPACED}]", mark)))
    word = rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}_])[\w{marks}])+"
    return re.compile(word), re.compile(rf"{word}|{_SIGN}")


# The same for ASCII, which most text is, and which they are ten times slower on.
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_ASCII_WORD_OR_SIGN = re.compile(rf"[a-z0-9]+|{_SIGN}")


def fold(text: str) -> str:
    """`text` without differences of case and of width (NFKC)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def plain_words(text: str) -> list[str]:
    """Its words, folded, in their order; signs do not count."""
    return (_ASCII_WORD if text.isascii() else _patterns()[0]).findall(fold(text))


def words(text: str) -> list[str]:
    """Its words and signs of arithmetic and logic, folded, in their order; the brackets of "(A)" do not count."""
    pattern = _ASCII_WORD_OR_SIGN if text.isascii() else _patterns()[1]
    return pattern.findall(_OPTION_MARK.sub(r" \1 ", fold(text)))


def joined(parts: Sequence[str]) -> str:
    """Words without the spaces between them, which are kept between numbers alone: "1 2" is not "12"."""
    text: list[str] = []
    for part in parts:
        if text and text[-1][-1].isdigit() and part[0].isdigit():
            text.append(" ")
        text.append(part)
    return "".join(text)


def repeat_key(text: str) -> str:
    """Equal for texts that repeat each other: same words and signs, spaced and punctuated as they may be.

    Of a text without any, the folded characters that are not white space.
    """
    return key_of(words(text), text)


def key_of(parts: Sequence[str], text: str) -> str:
    """`repeat_key` of a text whose `words` are known."""
    return joined(parts) or "".join(fold(text).split())


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def word_hashes(parts: Iterable[str]) -> NDArray[np.uint64]:
    """A 64-bit hash of each word, the same on every machine."""
    return np.fromiter((_word_hash(part) for part in parts), dtype=np.uint64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (values ^ (values >> np.uint64(31))) * _MIXER
    return np.asarray(mixed ^ (mixed >> np.uint64(29)), dtype=np.uint64)


def ngram_hashes(hashes: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """Hashes of the n-grams of a text's `word_hashes`, in text order; none of a text shorter than `n` words."""
    count = len(hashes) - n + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    grams = np.zeros(count, dtype=np.uint64)
    for place in range(n):
        grams = _mix(grams * _MULTIPLIER + hashes[place : place + count])
    return grams


def shingles(parts: Sequence[str], n: int = 3) -> NDArray[np.uint64]:
    """The word n-grams of a text as a sorted set; of a text shorter than `n` words, the text as one.

    The second occurrence of an n-gram is another member than the first, or "no no no no no" would equal "no no no".
    """
    if not parts:
        return np.empty(0, dtype=np.uint64)
    grams = np.sort(ngram_hashes(word_hashes(parts), min(n, len(parts))))
    place = np.arange(len(grams))
    first = np.concatenate(([True], grams[1:] != grams[:-1]))
    occurrence = place - np.maximum.accumulate(np.where(first, place, 0))
    return np.unique(np.where(occurrence > 0, _mix(grams + occurrence.astype(np.uint64) * _MULTIPLIER), grams))


def jaccard(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    """Shared members over all members, from 0 to 1; 0 where both are empty."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    total = len(left) + len(right) - shared
    return shared / total if total else 0.0
