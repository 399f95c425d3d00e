"""From an alignment to likely sources: which rows, by which method, how likely, on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rebase_db.audit.align import MOST_PAIRS, Candidate, align
from rebase_db.audit.by_text import by_text
from rebase_db.audit.evidence import Evidence, features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIKELY = 0.5
"""An output counts as placed at a row that is more likely than not."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A row (its place among the candidates, from 0) that an output may come from.

    `method`: the output's own `text` points to it; the outputs before and after it are placed, and the row lies between
    theirs (`order`); only counting on from other outputs, or from the start, leads to it (`position`).
    """

    row: int
    method: str
    confidence: float
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """The guesses for each output, the likeliest first, and how likely it is that outputs and rows share an order.

    `order` is None where order was not looked at.
    """

    guesses: list[list[Guess]]
    order: float | None


def place(outputs: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], *, ordered: bool) -> Placed:
    """Guess the row that each output was made from.

    Args:
        outputs: The texts of each output.
        rows: The texts of each row's cells; none of a row whose content is not known.
        ordered: Whether rows and outputs may be in one order: then order is evidence as well, if texts bear it out.
            More than `MOST_PAIRS` pairs are only compared by text.
    """
    if not outputs or not rows:
        return Placed([[] for _ in outputs], None)
    evidence = Evidence.between([features(texts) for texts in outputs], [features(texts) for texts in rows])
    order = None
    if ordered and len(outputs) * len(rows) <= MOST_PAIRS:
        aligned = align(evidence.levels(), evidence.contents())
        order = aligned.order
        if order >= LIKELY:
            return Placed(_ordered(aligned.candidates, evidence), order)
    guesses = [
        [Guess(each.row, "text", each.probability, _text_evidence(evidence, output, each)) for each in candidates]
        for output, candidates in enumerate(by_text(evidence))
    ]
    if order is None:
        return Placed(guesses, order)
    # The order is not borne out: what it says is kept, weak as it is, for outputs whose text says nothing.
    weak = _ordered(aligned.candidates, evidence)
    return Placed([own or counted for own, counted in zip(guesses, weak, strict=True)], order)


def _ordered(candidates: Sequence[Sequence[Candidate]], evidence: Evidence) -> list[list[Guess]]:
    anchors = [
        (output, each[0].row)
        for output, each in enumerate(candidates)
        if each and each[0].by_text >= LIKELY and each[0].probability >= LIKELY
    ]
    guesses: list[list[Guess]] = []
    passed = 0
    for output, each in enumerate(candidates):
        while passed < len(anchors) and anchors[passed][0] < output:
            passed += 1
        before = anchors[passed - 1] if passed else None
        following = passed + (passed < len(anchors) and anchors[passed][0] == output)
        after = anchors[following] if following < len(anchors) else None
        found: list[Guess] = []
        for candidate in each:
            own = candidate.by_text >= LIKELY
            method = "text" if own else "order" if after else "position"
            seen: dict[str, Any] = _text_evidence(evidence, output, candidate)
            seen["by_order"] = round(candidate.by_order, 4)
            for name, anchor in (("before", before), ("after", after)):
                if anchor and not own:
                    seen[name] = {"position": anchor[0] + 1, "row": anchor[1] + 1}
            found.append(Guess(candidate.row, method, candidate.probability, seen))
        guesses.append(found)
    return guesses


def _text_evidence(evidence: Evidence, output: int, candidate: Candidate) -> dict[str, Any]:
    return {
        "candidate": candidate.row + 1,
        "shared": evidence.shared(output, candidate.row),
        "weight": round(evidence.weight(output, candidate.row), 2),
        "by_text": round(candidate.by_text, 4),
    }
