"""Which examples are kept out by what checks said last: moves links between accepted and rejected, never an example."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from rebase_db.check.passing import COMPARING
from rebase_db.control import transition, wake
from rebase_db.queue import TRANSFORM
from rebase_db.schema import Budget, RetrievalLink, TaskVersion
from rebase_db.transform.store import FAILED_CHECK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.check.current import CurrentExample, NewestResult


@dataclass(frozen=True, slots=True)
class Decided:
    """How many examples were kept out that were accepted before, and the other way round."""

    kept_out: int
    let_in: int

    def __add__(self, other: Decided) -> Decided:
        return Decided(self.kept_out + other.kept_out, self.let_in + other.let_in)


NOTHING = Decided(0, 0)


def decide(
    connection: Connection,
    task_version_id: int,
    examples: Sequence[CurrentExample],
    results: Mapping[int, Mapping[str, NewestResult]],
    checks: Collection[str],
) -> Decided:
    """Move the links of examples as their newest results want it; `checks` are the names of those that count."""
    failing: dict[str, list[int]] = defaultdict(list)
    still_failing: dict[str, list[int]] = defaultdict(list)
    passing: list[int] = []
    for example in examples:
        failed = keeps_out(results.get(example.example_id, {}), checks)
        if failed is not None and example.state != "rejected":
            failing[failed].append(example.link_id)
        elif failed is not None and example.kept_out_by != failed:
            still_failing[failed].append(example.link_id)
        elif failed is None and example.state == "rejected":
            passing.append(example.link_id)
    for name, link_ids in still_failing.items():
        _reword(connection, link_ids, name)
    kept_out = sum(
        transition(
            connection,
            TRANSFORM,
            "fail_check",
            ("transformed", "distilled"),
            RetrievalLink.link_id.in_(link_ids),
            {"error": _error(name)},
        )
        for name, link_ids in failing.items()
    )
    let_in = (
        transition(
            connection, TRANSFORM, "pass_check", ("rejected",), RetrievalLink.link_id.in_(passing), {"error": None}
        )
        if passing
        else 0
    )
    if kept_out:
        # Others may be wanted in their place.
        task = update(Budget).where(Budget.task_id == TaskVersion.task_id, Budget.exhausted_at.is_not(None))
        connection.execute(task.where(TaskVersion.task_version_id == task_version_id).values(exhausted_at=None))
        wake(connection)
    return Decided(kept_out, let_in)


def keeps_out(found: Mapping[str, NewestResult], checks: Collection[str]) -> str | None:
    """The check that keeps an example out by what checks said last; `checks` are the names of those that count."""
    # One that repeats another and is no good itself is out for the latter: so it knocks out nothing.
    in_order = sorted(checks, key=lambda name: name in COMPARING)
    return next((name for name in in_order if name in found and found[name].verdict == "fail"), None)


def _error(check: str) -> str:
    return f"{check}: {FAILED_CHECK}"


def _reword(connection: Connection, link_ids: Sequence[int], check: str) -> None:
    """Say that links are rejected because of another check than before; no event, for their state stays."""
    locked = (
        select(RetrievalLink.link_id)
        .where(RetrievalLink.link_id.in_(link_ids), RetrievalLink.state == "rejected")
        .order_by(RetrievalLink.link_id)
        .with_for_update(key_share=True)
    )
    ids = connection.execute(locked).scalars().all()
    connection.execute(update(RetrievalLink).where(RetrievalLink.link_id.in_(ids)).values(error=_error(check)))
