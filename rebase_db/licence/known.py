"""Reading what datasets say of their licence: hub identifiers, SPDX identifiers and expressions, names, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from rebase_db.licence.duty import Duty
from rebase_db.licence.table import ALIASES, TABLE


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


_NOTHING_STATED = {"", "unknown", "other", "none", "n-a", "na", "unlicensed", "not-specified", "unspecified", "no"}
_CC = re.compile(r"cc-by(?P<nc>-nc)?(?:-(?P<last>sa|nd))?(?:-(?P<version>\d(?:\.\d)?)(?:-(?P<place>[a-z]{2,3}))?)?")
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
_SPLIT_ALL = re.compile(r"\s*[,;&]\s*|\s+and\s+", re.IGNORECASE)
_SPLIT_ANY = re.compile(r"\s+or\s+(?!later\b)", re.IGNORECASE)


def _plain(text: str) -> str:
    """A name in the hub's spelling: small letters, hyphens, without the words that every licence's name has."""
    words = _WORDS_LEFT_OUT.sub(" ", text.strip().casefold().replace("_", "-").replace("creative commons", "cc"))
    # An abbreviation after the name, as in `The MIT License (MIT)`.
    words = re.sub(r"(?<=.)\([^()]*\)\s*$", " ", words)
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
    duties the others have too, or all of them where none is the lightest.
    """
    text = (stated or "").strip()
    if _plain(text) in _NOTHING_STATED:
        return Licence(text, (), None, frozenset({Duty.UNKNOWN}))
    whole = _one(text)
    if whole is not None:
        identifier, spdx, duties = whole
        return Licence(text, (identifier,), spdx, duties)
    ids: dict[str, None] = {}
    expressions: list[str | None] = []
    duties = frozenset()
    for part in _SPLIT_ALL.split(_COMMA_VERSION.sub(" ", text).strip("()[]")):
        choices = [_one(choice) for choice in _SPLIT_ANY.split(part.strip("()"))]
        found = [choice for choice in choices if choice is not None]
        ids |= dict.fromkeys(identifier for identifier, _, _ in found)
        duties |= _of_choice([choice for _, _, choice in found], unread=len(found) < len(choices))
        names = [choice and choice[1] for choice in choices]
        joined = None if None in names else " OR ".join(filter(None, names))
        expressions.append(f"({joined})" if joined and len(names) > 1 else joined)
    spdx = None if None in expressions else " AND ".join(filter(None, expressions))
    return Licence(text, tuple(ids), spdx.strip("()") if spdx and len(expressions) == 1 else spdx, duties)


def _of_choice(choices: list[frozenset[Duty]], *, unread: bool) -> frozenset[Duty]:
    """What licences ask of which the user may choose one; `unread`: a further one was not understood."""
    lightest = [choice for choice in choices if all(choice <= other for other in choices)]
    if lightest:
        return lightest[0]
    union = frozenset[Duty]().union(*choices)
    return union | {Duty.UNKNOWN} if unread else union


def is_known(name: str) -> bool:
    """Whether a duty or a licence goes by this name, in any of its spellings."""
    return _plain(name) in set(Duty) or bool(read_licence(name).ids)


def known_names() -> list[str]:
    """Duties, and the identifiers of licences, for a hint."""
    creative = [f"cc-by{kind}-4.0" for kind in ("", "-sa", "-nc", "-nd", "-nc-sa", "-nc-nd")]
    return [*Duty, *TABLE, *creative]
