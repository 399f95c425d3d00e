"""What an audit says of the rows: mirrors among them, and how few datasets they come from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rebase_db.audit.finding import SAMPLES, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebase_db.audit.subject import RankedRow, Subject

_DATASETS_SHOWN = 5


def mirrors(subject: Subject) -> Finding:
    """Rows of the ranking whose content a better-ranked row has too."""
    first: dict[bytes, RankedRow] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    samples: list[str] = []
    known = 0
    for one in subject.ranking:
        if one.row is None:
            continue
        known += 1
        content = subject.rows[one.row].content_hash
        other = first.setdefault(content, one)
        if other is not one:
            pairs[other.dataset, one.dataset] += 1
            if len(samples) < SAMPLES:
                samples.append(f"rank {one.rank} ({one.dataset}) repeats rank {other.rank} ({other.dataset})")
    count = pairs.total()
    lines = [
        f"{number:,} rows: {'within ' + one if one == other else f'{one} and {other}'}"
        for (one, other), number in pairs.most_common(_DATASETS_SHOWN)
    ]
    unknown = len(subject.ranking) - known
    beyond = f" {unknown:,} ranked rows are not in the database and were not compared." if unknown else ""
    says = f"{count:,} of {known:,} ranked rows have exactly the content of a better-ranked one.{beyond}"
    numbers = {
        "distinct_contents": len(first),
        "not_in_database": unknown,
        "pairs": [{"datasets": list(names), "rows": number} for names, number in pairs.most_common()],
    }
    return Finding("mirrors", count, known, says, lines=lines, samples=samples, numbers=numbers)


def concentration(subject: Subject) -> Finding:
    """How much of the data comes from how few datasets, and under which licences."""
    weights: dict[str, float] = defaultdict(float)
    licences: dict[str, float] = defaultdict(float)
    for item in subject.items:
        for source in item.sources:
            name, licence = subject.datasets[source.row[0]]
            weights[name] += source.confidence
            licences[licence or "not stated"] += source.confidence
    by_examples = bool(weights)
    if by_examples:
        certain = subject.publication is None or all(
            source.confidence == 1 for item in subject.items for source in item.sources
        )
        sure = "exact" if certain else "of likely rows, each counted by its confidence"
        what, of = "examples", len(subject.items)
    else:
        for one in subject.ranking:
            weights[one.dataset] += 1
            licence = subject.datasets[one.row[0]][1] if one.row else None
            licences[licence or "not stated"] += 1
        sure, what, of = "exact, of the ranking: no example has a likely row", "ranked rows", len(subject.ranking)
    total = sum(weights.values())
    if not total:
        return Finding("concentration", 0, 0, "No row is known of any example.", sure="nothing to look at")
    top = sorted(weights.items(), key=lambda one: (-one[1], one[0]))
    effective = _effective(weights)
    unplaced = of - total
    unknown = f"; {unplaced:,.0f} have no known row" if by_examples and unplaced >= 0.5 else ""  # noqa: PLR2004
    says = (
        f"{top[0][0]} is {top[0][1] / total:.0%} of {total:,.0f} {what} with a row{unknown}. The {len(weights):,}"
        f" datasets are as many as {effective:.1f} of equal size (the exponential of their entropy)."
    )
    lines = [f"{share / total:6.1%}  {name}" for name, share in top[:_DATASETS_SHOWN]]
    stated = sorted(licences.items(), key=lambda one: (-one[1], one[0]))
    lines.append("licences: " + ", ".join(f"{name} {share / total:.0%}" for name, share in stated[:_DATASETS_SHOWN]))
    numbers = {
        "counted": what,
        "datasets": {name: round(share, 2) for name, share in top},
        "effective_datasets": round(effective, 3),
        "top_share": round(top[0][1] / total, 4),
        "licences": {name: round(share, 2) for name, share in stated},
    }
    return Finding("concentration", round(top[0][1]), round(total), says, sure, lines, [], numbers)


def _effective(weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    return math.exp(-sum(one / total * math.log(one / total) for one in weights.values() if one))
