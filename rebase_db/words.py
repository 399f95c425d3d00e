"""Words that messages of several parts need."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """How many of something: `1 hash`, `2,000 hashes`; `many` where an s does not do."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
