"""One thing an audit found: how much of it, what it looks like, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SAMPLES = 4
"""Examples of a finding that are named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an audit found, or did not find (`count` 0).

    Args:
        name: What was looked for.
        count: How often it is there.
        of: Of how many; 0 where there was nothing to look at.
        says: It in a sentence or two.
        sure: How sure it is: `exact` where texts or hashes were compared, else what it rests on.
        lines: The details, a line each.
        samples: References to some of it, with a few words.
        numbers: The details for programs.
    """

    name: str
    count: int
    of: int
    says: str
    sure: str = "exact"
    lines: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def short(text: str, limit: int = 70) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
