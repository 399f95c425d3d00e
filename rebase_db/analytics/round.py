"""A round of growth, counted: all that has happened to a task since the last round that ended with a trained student.

It is read from the tables, not from what a process remembers: a round that was killed and begun again is one round.
Rows are counted from the ranking that the last round's set was chosen from, calls from the freezing of that set.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from sqlalchemy import Connection, RowMapping

    from rebase_db.distill.training_set import FrozenSet

_EVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a round: the newest run on a set, with what the set was chosen from."""

    run: int
    training_set_id: int
    training_set: str
    size: int
    frozen_at: dt.datetime
    task_version_id: int
    encoder_id: int | None
    retrieval_id: int
    finished_at: dt.datetime
    student: str
    base: str
    hyperparameters: dict[str, Any]
    seed: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a dataset: rows that were added, changed or gone; `rejected` ones were left out."""

    dataset: str
    added: int
    changed: int
    removed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the ranking moved; the cut-off is the score of its last row."""

    rows_scored: int
    entered: int
    displaced: int
    kept: int
    cutoff: float | None
    cutoff_before: float | None


@dataclass(frozen=True, slots=True)
class Calls:
    """What was asked, teachers and judges together; the cost is None where no price is known."""

    sent: int
    reused: int
    judgements: int
    tokens: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Members:
    """A training set beside the one before it."""

    name: str
    size: int
    size_before: int
    joined: int
    gone: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A score with its 95 % interval; `before` is that of the run before on the same benchmark, if it was measured."""

    benchmark: str
    metric: str
    items: int
    value: float
    low: float
    high: float
    before: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Round:
    """The receipt.

    Attributes:
        since_run: The run that the last round ended with; None in the first.
        since: When that run was finished.
        rows: What of the ranking's rows was asked about came to, and how many wait: by state and reason.
        run: The student.
        trained: Whether that is another one than the last round's.
    """

    task: str
    since_run: int | None
    since: dt.datetime | None
    loaded: Sequence[Loaded]
    ranking: Ranking
    calls: Calls
    rows: dict[str, int]
    training_set: Members
    run: int
    trained: bool
    score: Measured | None

    @property
    def accepted(self) -> int:
        """Rows that were asked about and gave an accepted example."""
        return self.rows.get("accepted", 0)

    @property
    def rejected(self) -> dict[str, int]:
        """By reason, the rows that were asked about and gave none, most first."""
        found = {name.removeprefix("rejected: "): n for name, n in self.rows.items() if name.startswith("rejected: ")}
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    @property
    def moved(self) -> bool:
        """Whether anything has happened since the last round."""
        return self.trained or bool(self.loaded) or self.calls.sent + self.calls.reused > 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, but for dates and decimals."""
        return asdict(self) | {"accepted": self.accepted, "rejected": self.rejected}


def finished_rounds(connection: Connection, task: str, *, measured: bool) -> list[Finished]:
    """How the last round of a task ended, and the one before it; those with a score, if `measured`."""
    rows = connection.execute(text(named("finished_rounds")), {"task": task, "measured": measured}).mappings()
    return [Finished(**row) for row in rows]


def count_round(
    connection: Connection, task: str, lane: tuple[int, int], since: Finished | None, training_set: FrozenSet, run: int
) -> Round:
    """The round that began after `since` and has led to a set and a run; `lane` is the task version and its encoder."""
    asked = {
        "task": task,
        "task_version_id": lane[0],
        "encoder_id": lane[1],
        "retrieval_id": 0 if since is None else since.retrieval_id,
        "since": _EVER if since is None else since.frozen_at,
        "training_set_id": training_set.training_set_id,
        "other_id": 0 if since is None else since.training_set_id,
        "run": run,
        "other_run": 0 if since is None else since.run,
    }

    def rows(name: str) -> Sequence[RowMapping]:
        return connection.execute(text(named(name)), asked).mappings().all()

    calls = rows("round_calls")[0]
    members = rows("round_members")[0]
    return Round(
        task=task,
        since_run=None if since is None else since.run,
        since=None if since is None else since.finished_at,
        loaded=[Loaded(**row) for row in rows("round_loads")],
        ranking=Ranking(**rows("round_ranking")[0]),
        calls=Calls(**{**calls, "tokens": int(calls["tokens"])}),
        rows={row["state"]: row["links"] for row in rows("round_rows")},
        training_set=Members(
            training_set.name, training_set.size, 0 if since is None else since.size, members["joined"], members["gone"]
        ),
        run=run,
        trained=since is None or run != since.run,
        score=_measured(rows("round_scores")),
    )


def _measured(found: Sequence[RowMapping]) -> Measured | None:
    if not found:
        return None
    score = found[0]
    other = (score["other_value"], score["other_low"], score["other_high"])
    return Measured(
        score["benchmark"],
        score["metric"],
        score["items"],
        score["value"],
        score["low"],
        score["high"],
        None if score["other_run"] is None else other,
    )
