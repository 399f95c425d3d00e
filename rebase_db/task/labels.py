"""How a text is compared with a label set: the same for examples, templates and teachers' answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def match_label(text: str, labels: Iterable[str]) -> str | None:
    """The label that `text` is, in the label set's spelling: exact after stripping, else without regard to case."""
    text = text.strip()
    labels = list(labels)
    if text in labels:
        return text
    folded = text.casefold()
    return next((label for label in labels if label.casefold() == folded), None)


def final_label(text: str, labels: Iterable[str]) -> str | None:
    """The label that `text` is or that its chain of thought ends in ("... so the answer is neutral.").

    The label must follow "is" or a colon: a bare last word would read "not entailment" as "entailment".
    """
    labels = list(labels)
    whole = match_label(text, labels)
    if whole is not None:
        return whole
    for label in sorted(labels, key=len, reverse=True):
        if re.search(rf"(?:\bis|:)[^\w(\[]*{re.escape(label)}\W*$", text, re.IGNORECASE):
            return label
    return None
