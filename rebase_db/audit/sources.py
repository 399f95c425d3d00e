"""What an audit says of the rows: mirrors among them, and how few datasets they come from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rebase_db.audit.finding import SAMPLES, Finding
from rebase_db.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rebase_db.audit.subject import RankedRow, Subject

_DATASETS_SHOWN = 5
NOT_HERE = "not in the database"


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
    beyond = f" Not in the database, and so not compared: {counted(unknown, 'ranked row')}." if unknown else ""
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
        what, where = "examples", "examples with a row"
        unplaced = len(subject.items) - sum(weights.values())
        unknown = f"; {unplaced:,.0f} have no known row" if unplaced >= 0.5 else ""  # noqa: PLR2004
    else:
        for one in subject.ranking:
            weights[one.dataset] += 1
            licences[subject.datasets[one.row[0]][1] or "not stated" if one.row else NOT_HERE] += 1
        absent = round(licences.get(NOT_HERE, 0))
        sure = "by the ranking's own names of datasets" if absent else "exact"
        sure += ", of the ranking: no example has a likely row"
        what = where = "ranked rows"
        unknown = f"; {absent:,} {'is' if absent == 1 else 'are'} {NOT_HERE}" if absent else ""
    total = sum(weights.values())
    if not total:
        return Finding("concentration", 0, 0, "No row is known of any example.", sure="nothing to look at")
    top = sorted(weights.items(), key=lambda one: (-one[1], one[0]))
    effective = _effective(weights)
    says = (
        f"{top[0][0]} is {top[0][1] / total:.0%} of {total:,.0f} {where}{unknown}. The {len(weights):,}"
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
    # Less than half an example is one too: none would say that nothing was found.
    count, of = max(1, round(top[0][1])), max(1, round(total))
    return Finding("concentration", count, of, says, sure, lines, [], numbers)


def _effective(weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    return math.exp(-sum(one / total * math.log(one / total) for one in weights.values() if one))
