"""What an audit says of the order: how far examples and ranking run apart where outputs were dropped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rebase_db.audit.finding import SAMPLES, Finding
from rebase_db.audit.place import LIKELY

if TYPE_CHECKING:
    from rebase_db.audit.subject import Item, Source, Subject

_SHOWN = 8


def drift(subject: Subject) -> Finding | None:
    """Where the distance between an example's position and the rank of its row changes; None without positions.

    The example at position p would come from rank p if nothing had been dropped.
    """
    if subject.publication is None or not subject.ranking or not subject.items:
        return None
    ranks = {one.row: one.rank for one in subject.ranking if one.row is not None}
    placed = [
        (item, item.sources[0], ranks[item.sources[0].row])
        for item in subject.items
        if item.sources and item.sources[0].confidence >= LIKELY and item.sources[0].row in ranks
    ]
    if not placed:
        says = "No example could be placed in the ranking, so nobody can tell."
        return Finding("drift", 0, len(subject.items), says, sure="nothing to look at")
    apart = [item for item, _, rank in placed if rank != item.place]
    changes = _changes(placed)
    offsets = Counter(rank - item.place for item, _, rank in placed)
    methods = Counter(source.method for _, source, _ in placed)
    mean = sum(source.confidence for _, source, _ in placed) / len(placed)
    says = (
        f"{len(apart):,} of {len(placed):,} placed examples do not come from the row of their own position;"
        f" {len(subject.items) - len(placed):,} could not be placed. The distance changes {len(changes):,} times"
        f" and is {changes[-1]['to'] if changes else placed[0][2] - placed[0][0].place:+,} at the end."
    )
    lines = [_line(one) for one in changes[:_SHOWN]]
    if len(changes) > _SHOWN:
        lines.append(f"… and {len(changes) - _SHOWN:,} more changes; --json lists them all.")
    # Rounded to no certainty that guesses do not have.
    shown = mean if mean == 1 else min(mean, 0.999)
    sure = f"placed by {_listed(methods)}; mean confidence {shown:.3f}"
    numbers = {
        "placed": len(placed),
        "unplaced": len(subject.items) - len(placed),
        "methods": dict(methods),
        "mean_confidence": round(mean, 4),
        "offsets": {str(offset): count for offset, count in sorted(offsets.items())},
        "changes": changes,
    }
    samples = [f"{subject.reference(item.number)} at position {item.place}" for item in apart[:SAMPLES]]
    return Finding("drift", len(apart), len(placed), says, sure, lines, samples, numbers)


def _changes(placed: list[tuple[Item, Source, int]]) -> list[dict[str, Any]]:
    """Where the offset changes, and the last position before and the first after that texts bear out."""
    changes: list[dict[str, Any]] = []
    offset = last_by_text = 0
    for item, source, rank in placed:
        here = rank - item.place
        if here != offset:
            changes.append({"position": item.place, "from": offset, "to": here, "after": last_by_text, "by": None})
            offset = here
        if source.method == "text":
            last_by_text = item.place
            if changes and changes[-1]["by"] is None:
                changes[-1]["by"] = item.place
    return changes


def _line(change: dict[str, Any]) -> str:
    missing = change["to"] - change["from"]
    what = f"{missing:,} missing" if missing > 0 else f"{-missing:,} too many"
    before = f"from {change['after'] + 1:,}" if change["after"] else "from the beginning"
    where = f"{before} to {change['by']:,}" if change["by"] else f"{before} on"
    place = f"position {change['position']:,}"
    return f"{place}: {change['from']:+,} to {change['to']:+,}, {what} (texts allow any place {where})"


def _listed(methods: Counter[str]) -> str:
    return ", ".join(f"{method} {count:,}" for method, count in methods.most_common())
