"""Reading what datasets say of their licence: hub identifiers, SPDX identifiers and expressions, names, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rebase_db.licence.duty import Duty
from rebase_db.licence.table import ALIASES, TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Licence:
    """What a dataset states, read.

    Args:
        stated: As the dataset says it; empty where it says nothing.
        ids: The licences in it, by the identifiers of the model hub where it has them, else in the same spelling;
            without those that were not understood.
        spdx: The same as an SPDX expression, or None where a part has no SPDX identifier.
        duties: The union of what they ask. Empty: public domain.
    """

    stated: str
    ids: tuple[str, ...]
    spdx: str | None
    duties: frozenset[Duty]

    def covers(self, name: str) -> bool:
        """Whether a duty or a licence, as a task file names it, is in what is stated here.

        A licence without a version, such as `cc-by-nc`, stands for all its versions.
        """
        folded = _plain(name)
        if folded in {*self.duties, _plain(self.stated)}:
            return True
        asked = read_licence(name).ids
        return bool(asked) and all(any(_is_of(mine, each) for mine in self.ids) for each in asked)

    def is_within(self, names: Sequence[str]) -> bool:
        """Whether all that is stated here goes by one of the names, so that letting these through lets it through."""
        if _plain(self.stated) in map(_plain, names):
            return True
        let = [each for name in names for each in read_licence(name).ids]
        read = bool(self.ids) and Duty.UNKNOWN not in self.duties
        return read and all(any(_is_of(mine, each) for each in let) for mine in self.ids)


_NOTHING_STATED = {"", "unknown", "other", "none", "n-a", "na", "unlicensed", "not-specified", "unspecified", "no"}
_CC = re.compile(
    r"cc-by(?P<nc>-nc)?(?:-(?P<last>sa|nd))?(?:-(?P<version>\d(?:\.\d)?)(?:-(?P<place>(?!nc|nd|sa)[a-z]{2,3}))?)?"
)
_CC_WORDS = {
    "attribution": "by", "share-alike": "sa", "sharealike": "sa", "noncommercial": "nc", "non-commercial": "nc",
    "no-derivatives": "nd", "noderivatives": "nd", "noderivs": "nd", "no-derivs": "nd",
}  # fmt: skip
_WORDS_LEFT_OUT = re.compile(r"\b(?:the|licen[cs]ed?|under|version|family|international|unported|generic|deed)\b")
_LINK_HOSTS = {
    "creativecommons.org", "opensource.org", "spdx.org", "opendatacommons.org", "choosealicense.com", "apache.org",
    "gnu.org",
}  # fmt: skip
_COMMA_VERSION = re.compile(r",\s*(?=(?:version|v\.?)\s*\d)", re.IGNORECASE)
_OR_LATER = re.compile(r"(?:-or-later|-only|\+)$")
_LISTED = re.compile(r"\s*[,;&]\s*")
_OR = re.compile(r"\s+or\s+(?!later\b)", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_ABBREVIATED = re.compile(r"(?P<name>[^()]+?)\s*\((?P<short>[^()]*)\)")
_DEEPEST = 20

_Read = tuple[tuple[str, ...], str | None, frozenset[Duty]]
_UNREAD: _Read = ((), None, frozenset({Duty.UNKNOWN}))


def _plain(text: str) -> str:
    """A name in the hub's spelling: small letters, hyphens, without the words that every licence's name has."""
    words = _WORDS_LEFT_OUT.sub(" ", text.strip().casefold().replace("_", "-").replace("creative commons", "cc"))
    words = re.sub(r"[\"'“”()\[\]:]|\.$", " ", words)
    words = re.sub(r"\bv\.?\s*(?=\d)", "", words)
    return re.sub(r"-{2,}", "-", re.sub(r"[\s/]+", "-", words.strip())).strip("-")


def _linked(text: str) -> str | None:
    """The name that a link to a licence's text stands for, still to be looked up."""
    link = urlsplit(text.strip())
    parts = [part for part in link.path.casefold().split("/") if part]
    host = link.netloc.casefold().removeprefix("www.")
    if link.scheme not in {"http", "https"} or host not in _LINK_HOSTS or len(parts) < 2:  # noqa: PLR2004
        return None
    kind, name, *version = parts
    name = re.sub(r"\.(?:html|txt|php|md)$", "", name)
    if host == "creativecommons.org":
        prefix = "cc" if kind == "licenses" else kind
        return "-".join((prefix, name, *version[:1]))
    return {"license-2.0": "apache-2.0", "by": "odc-by"}.get(name, name)


def _is_of(licence: str, family: str) -> bool:
    return licence == family or bool(re.fullmatch(re.escape(family) + r"-\d.*", licence))


def _creative_commons(name: str) -> tuple[str, str | None, frozenset[Duty]] | None:
    for words, short in _CC_WORDS.items():
        name = name.replace(words, short)
    found = _CC.fullmatch(name)
    if found is None:
        return None
    duties = {Duty.NOTICE, Duty.ATTRIBUTION}
    if found["nc"]:
        duties.add(Duty.NON_COMMERCIAL)
    if found["last"]:
        duties.add(Duty.SHARE_ALIKE if found["last"] == "sa" else Duty.NO_DERIVATIVES)
    version = found["version"] and (found["version"] if "." in found["version"] else f"{found['version']}.0")
    base = "-".join(filter(None, ("cc-by", found["nc"] and "nc", found["last"], version)))
    identifier = "-".join(filter(None, (base, found["place"])))
    return identifier, identifier.upper() if version else None, frozenset(duties)


def _one(text: str) -> tuple[str, str | None, frozenset[Duty]] | None:
    """Identifier, SPDX identifier and duties of a single licence; None where it is not known."""
    both = _ABBREVIATED.fullmatch(text.strip())
    if both is None:
        return _name(text)
    # An abbreviation, as in `The MIT License (MIT)`. Other words may take back what the name grants.
    found, short = _name(both["name"]), _name(both["short"])
    if found is None or short is None:
        return None
    if _is_of(found[0], short[0]):
        return found
    return short if _is_of(short[0], found[0]) else None


def _name(text: str) -> tuple[str, str | None, frozenset[Duty]] | None:
    name = _linked(text) or _plain(text)
    for each in (text.strip().casefold(), name, _OR_LATER.sub("", name)):
        known = ALIASES.get(each, each)
        if known in TABLE:
            spdx, duties = TABLE[known]
            later = name.endswith(("-or-later", "+")) and spdx is not None and spdx.endswith("-only")
            return known, f"{spdx.removesuffix('-only')}-or-later" if later and spdx else spdx, duties
    return _creative_commons(name)


@cache
def read_licence(stated: str | None) -> Licence:
    """What a dataset states of its licence, read; what is not understood asks for the duty `unknown`.

    Of several licences joined by a comma or `and` all hold. Of those joined by `or` the user may choose: the one whose
    duties the others have too, or all of them where none is the lightest. `AND` binds closer than `OR`, as in SPDX; in
    small letters `or` binds closer, which leaves no duty out, and a comma always least.
    """
    text = (stated or "").strip()
    if _plain(text) in _NOTHING_STATED or text.count("(") > _DEEPEST:
        return Licence(text, *_UNREAD)
    return Licence(text, *_read(_COMMA_VERSION.sub(" ", text)))


def _read(text: str) -> _Read:
    text = _unwrapped(text)
    one = _one(text)
    if one is not None:
        return (one[0],), *one[1:]
    inner = ((_OR, _any), (_AND, _all)) if " AND " in text and " OR " in text else ((_AND, _all), (_OR, _any))
    for separator, joined in ((_LISTED, _all), *inner):
        parts = _split(text, separator)
        if len(parts) > 1:
            return joined([_read(part) for part in parts])
    return _UNREAD


def _unwrapped(text: str) -> str:
    """A text without the parentheses or brackets around all of it."""
    text = text.strip()
    while text[:1] + text[-1:] in {"()", "[]"}:
        inner = text[1:-1]
        if min(accumulate((letter == "(") - (letter == ")") for letter in inner), default=0) < 0:
            break
        text = inner.strip()
    return text


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    """The parts between separators that are in no parentheses."""
    parts, start = [], 0
    for found in separator.finditer(text):
        before = text[: found.start()]
        if before.count("(") == before.count(")"):
            parts.append(text[start : found.start()])
            start = found.end()
    return [part for part in (*parts, text[start:]) if part.strip()]


def _all(parts: list[_Read]) -> _Read:
    ids = dict.fromkeys(each for part in parts for each in part[0])
    spdx = [f"({part[1]})" if part[1] and " OR " in part[1] else part[1] for part in parts]
    joined = None if None in spdx else " AND ".join(filter(None, spdx))
    return tuple(ids), joined, frozenset[Duty]().union(*(part[2] for part in parts))


def _any(parts: list[_Read]) -> _Read:
    ids = dict.fromkeys(each for part in parts for each in part[0])
    spdx = [part[1] for part in parts]
    joined = None if None in spdx else " OR ".join(filter(None, spdx))
    read = [part[2] for part in parts if part[0]]
    return tuple(ids), joined, _of_choice(read, unread=len(read) < len(parts))


def _of_choice(choices: list[frozenset[Duty]], *, unread: bool) -> frozenset[Duty]:
    """What licences ask of which the user may choose one; `unread`: a further one was not understood."""
    lightest = [choice for choice in choices if all(choice <= other for other in choices)]
    if lightest:
        return lightest[0]
    union = frozenset[Duty]().union(*choices)
    return union | {Duty.UNKNOWN} if unread else union


def duty_named(name: str) -> Duty | None:
    """The duty of this name, in any of its spellings; None where it is none."""
    plain = _plain(name)
    return Duty(plain) if plain in set(Duty) else None


def is_known(name: str) -> bool:
    """Whether a duty or a licence goes by this name, in any of its spellings."""
    return duty_named(name) is not None or bool(read_licence(name).ids)


def known_names() -> list[str]:
    """Duties, and the identifiers of licences, for a hint."""
    creative = [f"cc-by{kind}-4.0" for kind in ("", "-sa", "-nc", "-nd", "-nc-sa", "-nc-nd")]
    return [*Duty, *TABLE, *creative]
