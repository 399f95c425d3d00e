"""Duties: what licences ask of whoever passes data on.

Licences have no one order from lax to strict: share-alike and non-commercial are incomparable. Sets of duties have one,
so what is derived from several sources is under the union of theirs. `Duty` lists them from light to heavy, for showing
only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Duty(StrEnum):
    """What a licence asks, or forbids; the value is the word used in task files, exports and cards."""

    NOTICE = "notice"
    """Keep the licence's text and the notices that came with the data."""
    ATTRIBUTION = "attribution"
    """Name the authors, and say what was changed."""
    SHARE_ALIKE = "share-alike"
    """Pass on what is derived under the same licence only."""
    USE_LIMITS = "use-limits"
    """Keep to a list of uses that are not allowed, and pass the list on."""
    NON_COMMERCIAL = "non-commercial"
    """No commercial use."""
    RESEARCH_ONLY = "research-only"
    """No use but for research."""
    NO_DERIVATIVES = "no-derivatives"
    """Pass on nothing that is derived, which every example is."""
    UNKNOWN = "unknown"
    """Nobody has stated a licence, or what was stated is not understood: nothing is known to be allowed."""


MEANINGS: dict[Duty, str] = {
    Duty.NOTICE: "keep the licence's text and notices",
    Duty.ATTRIBUTION: "name the authors and what was changed",
    Duty.SHARE_ALIKE: "pass on under the same licence only",
    Duty.USE_LIMITS: "keep to the licence's list of uses that are not allowed",
    Duty.NON_COMMERCIAL: "no commercial use",
    Duty.RESEARCH_ONLY: "use for research only",
    Duty.NO_DERIVATIVES: "pass on nothing derived, which every example is",
    Duty.UNKNOWN: "no licence is known, so nothing is known to be allowed",
}
"""Each duty in a few words, for cards and messages."""


def in_order(duties: Iterable[Duty]) -> list[Duty]:
    """Duties from light to heavy, each once."""
    found = set(duties)
    return [duty for duty in Duty if duty in found]
