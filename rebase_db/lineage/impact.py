"""Impact: how much came of some rows, or of what a teacher, prompt, encoder, retrieval or task had a part in."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, BigInteger, Integer, any_, bindparam, column, func, not_, select, text

from rebase_db.schema import (
    Benchmark,
    Evaluation,
    Example,
    ExampleParent,
    Generation,
    Judgement,
    LikelySource,
    Publication,
    PublishedExample,
    RetrievalLink,
    SourceRow,
    TrainingSet,
    TrainingSetMember,
    TrainingSetMix,
)
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from decimal import Decimal

    from sqlalchemy import ColumnElement, Connection, Select

    from rebase_db.lineage.scope import Scope


@dataclass(frozen=True, slots=True)
class Score:
    """A run's score on a benchmark."""

    evaluation_id: int
    benchmark: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class TouchedSet:
    """A frozen set that holds `examples` of its `size` from the scope."""

    training_set_id: int
    name: str
    size: int
    examples: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.examples / self.size


@dataclass(frozen=True, slots=True)
class TouchedRun:
    """A run that has learned from such a set: its own, or that of a run whose weights it started from.

    `size` is the number of all examples that it has learned from, `examples` of those from the scope.
    """

    training_run_id: int
    training_set: str
    size: int
    examples: int
    state: str
    base: str
    scores: list[Score] = field(default_factory=list)

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.examples / self.size


@dataclass(frozen=True, slots=True)
class TouchedPublication:
    """Published data of whose examples some likely stem from rows of the scope.

    Args:
        examples: How many have such a row among their likely sources.
        stated: Of how many of those the publisher says so; for the others it is a guess.
        best_confidence: Of the best of these claims.
        size: All its examples.
    """

    publication_id: int
    name: str
    examples: int
    stated: int
    best_confidence: float
    size: int


@dataclass(frozen=True, slots=True)
class Impact:
    """What came of a scope, stage by stage.

    Args:
        rows: Rows in the scope; of a teacher and the like, the rows that it worked on.
        rows_retrieved: Those of them with a link.
        calls_sent: Calls that did not use a stored answer again. `cost` is None where no call has one.
        retracted: Of the examples, those of withdrawn rows; of the others `displaced` are those that a newer retrieval
            left out, and of the rest `accepted` those whose link has them accepted now, `kept_out` those that checks
            keep out, `superseded` those of earlier attempts.
        derived: Examples that were made from these examples and are not among them. Sets and runs count them, too.
        judged: Of a teacher or a prompt, the examples that it judged, whoever made them; None of other scopes.
    """

    rows: int
    rows_retrieved: int
    links: int
    calls: int
    calls_sent: int
    cost: Decimal | None
    examples: int
    retracted: int
    displaced: int
    accepted: int
    kept_out: int
    superseded: int
    derived: int
    judged: int | None
    sets: list[TouchedSet]
    runs: list[TouchedRun]
    published: list[TouchedPublication]


def impact(connection: Connection, scope: Scope) -> Impact:
    """Count what came of a scope, in a few statements that each read a table once at most."""
    # Compiling them takes longer than it saves on a million records.
    connection.execute(text("SET LOCAL jit = off"))
    retrieved, links = _retrieved(connection, scope)
    derived = _derived(connection, scope)
    with _merging(connection, scope):
        calls = _calls(connection, scope)
    sets = _sets(connection, scope, derived)
    return Impact(
        rows=_rows(connection, scope) if scope.is_of_rows else retrieved,
        rows_retrieved=retrieved,
        links=links,
        **calls,
        derived=len(derived),
        judged=_judged(connection, scope) if scope.is_of_calls else None,
        sets=sets,
        runs=_runs(connection, scope, derived, sets),
        published=_published(connection, scope) if scope.is_of_rows else [],
    )


@contextmanager
def _merging(connection: Connection, scope: Scope) -> Iterator[None]:
    """Have the links and calls of whole datasets merged, both by the index they are in order of.

    The planner would hash the links, every parallel worker all of them again: of a third of a million calls that takes
    twice as long.
    """
    if scope.datasets:
        connection.execute(text("SET LOCAL enable_hashjoin = off"))
    yield
    if scope.datasets:
        connection.execute(text("SET LOCAL enable_hashjoin = on"))


def _retrieved(connection: Connection, scope: Scope) -> tuple[int, int]:
    """How many rows have a link, and how many links there are."""
    row = (RetrievalLink.dataset_id, RetrievalLink.row_id)
    rows = select(func.count().label("links")).where(scope.links()).group_by(*row).subquery()
    counts = select(func.count(), func.coalesce(func.sum(rows.c.links), 0)).select_from(rows)
    retrieved, links = connection.execute(counts).one()
    return retrieved, int(links)


def _rows(connection: Connection, scope: Scope) -> int:
    if scope.datasets:
        rows = select(func.count()).select_from(SourceRow).where(SourceRow.dataset_id.in_(scope.datasets))
    else:
        rows = select(func.count()).select_from(scope.chosen().subquery())
    return connection.execute(rows).scalar_one()


def _calls(connection: Connection, scope: Scope) -> dict[str, Any]:
    """Counts of calls and of their examples: a call that could be read made one."""
    made = Generation.outcome == "parsed"
    retracted = made & RetrievalLink.retracted_at.is_not(None)
    displaced = made & RetrievalLink.retracted_at.is_(None) & RetrievalLink.displaced_by.is_not(None)
    there = RetrievalLink.retracted_at.is_(None) & RetrievalLink.displaced_by.is_(None)
    last = there & (Generation.attempt == RetrievalLink.attempt)
    accepted = made & last & RetrievalLink.state.in_(["transformed", "distilled"])
    kept_out = made & last & (RetrievalLink.state == "rejected")
    counts = (
        connection.execute(
            select(
                func.count().label("calls"),
                func.count().filter(Generation.reused_from.is_(None)).label("calls_sent"),
                func.sum(Generation.cost).label("cost"),
                func.count().filter(made).label("examples"),
                func.count().filter(retracted).label("retracted"),
                func.count().filter(displaced).label("displaced"),
                func.count().filter(accepted).label("accepted"),
                func.count().filter(kept_out).label("kept_out"),
            )
            .select_from(Generation)
            .join(RetrievalLink, RetrievalLink.link_id == Generation.link_id)
            .where(scope.calls())
        )
        .mappings()
        .one()
    )
    others = sum(counts[name] for name in ("retracted", "displaced", "accepted", "kept_out"))
    return {**counts, "superseded": counts["examples"] - others}


def _judged(connection: Connection, scope: Scope) -> int:
    judged = select(func.count(Judgement.example_id.distinct())).where(scope.judgements())
    return connection.execute(judged).scalar_one()


def _made(selected: Select[*tuple[Any, ...]], scope: Scope) -> Select[*tuple[Any, ...]]:
    """A selection from `example`, joined with what says whether an example is of the scope."""
    if scope.is_of_calls:
        return selected.join(Generation, Generation.generation_id == Example.generation_id)
    return selected.join(RetrievalLink, RetrievalLink.link_id == Example.link_id)


def _derived(connection: Connection, scope: Scope) -> list[int]:
    """The examples made from those of the scope, step by step, that are not of the scope themselves."""
    parents = select(ExampleParent.parent_id).distinct().join(Example, Example.example_id == ExampleParent.parent_id)
    roots = list(connection.execute(_made(parents, scope).where(scope.calls())).scalars())
    if not roots:
        return []
    below = select(ExampleParent.example_id).where(ExampleParent.parent_id == any_(_array(roots)))
    reached = below.cte("reached", recursive=True)
    further = select(ExampleParent.example_id).join(reached, reached.c.example_id == ExampleParent.parent_id)
    found = list(connection.execute(select(reached.union(further).c.example_id)).scalars())
    others = _made(select(Example.example_id).where(Example.example_id == any_(_array(found))), scope)
    return list(connection.execute(others.where(not_(scope.calls()))).scalars())


def _array(ids: list[int]) -> ColumnElement[Any]:
    # One parameter however many: an IN list of a hundred thousand would be parsed one by one.
    values: Any = ids
    return bindparam(None, values, ARRAY(BigInteger))


def _sets(connection: Connection, scope: Scope, derived: list[int]) -> list[TouchedSet]:
    counts = _members_from(connection, scope.datasets) if scope.datasets else _members_made(connection, scope, derived)
    found = connection.execute(
        select(TrainingSet.training_set_id, TrainingSet.name, TrainingSet.size)
        .where(TrainingSet.training_set_id.in_(list(counts)))
        .order_by(TrainingSet.training_set_id)
    )
    return [TouchedSet(*row, examples=counts[row.training_set_id]) for row in found]


def _members_from(connection: Connection, datasets: Collection[int]) -> dict[int, int]:
    """How many members of each set stem from some of the datasets: on record since the set was frozen."""
    counts = (
        select(TrainingSetMix.training_set_id, func.sum(TrainingSetMix.examples))
        .where(TrainingSetMix.dataset_ids.overlap(list(datasets)))
        .group_by(TrainingSetMix.training_set_id)
    )
    return dict(connection.execute(counts).all())


def _members_made(connection: Connection, scope: Scope, derived: list[int]) -> dict[int, int]:
    """How many members of each set were made in the scope, or from what was."""
    members = select(TrainingSetMember.training_set_id, func.count()).group_by(TrainingSetMember.training_set_id)
    joined = members.join(Example, Example.example_id == TrainingSetMember.example_id)
    counts: Counter[int] = Counter(dict(connection.execute(_made(joined, scope).where(scope.calls())).all()))
    if derived:
        counts.update(
            dict(connection.execute(members.where(TrainingSetMember.example_id == any_(_array(derived)))).all())
        )
    return counts


def _runs(connection: Connection, scope: Scope, derived: list[int], sets: list[TouchedSet]) -> list[TouchedRun]:
    of = {touched.training_set_id: touched for touched in sets}
    found = connection.execute(text(named("runs_of_sets")), {"training_set_ids": list(of)}).all()
    went_on = [run.training_run_id for run in found if run.parent_run_id is not None]
    learned = _learned(connection, scope, derived, went_on)
    scores = _scores(connection, [run.training_run_id for run in found])
    runs = []
    for run in found:
        own = of.get(run.training_set_id)
        # Of several sets each example counts once; of one it is on record.
        examples = learned.get(run.training_run_id) or (own.examples if own else 0)
        runs.append(
            TouchedRun(
                run.training_run_id,
                run.training_set,
                run.size,
                examples,
                run.state,
                run.base,
                scores.get(run.training_run_id, []),
            )
        )
    return runs


def _learned(connection: Connection, scope: Scope, derived: list[int], run_ids: list[int]) -> dict[int, int]:
    """How many examples of the scope each of some runs has learned from, by its set and those before it."""
    if not run_ids:
        return {}
    member = text(named("members_of_runs")).bindparams(training_run_ids=run_ids)
    learned = member.columns(column("training_run_id", Integer), column("example_id", BigInteger)).subquery("learned")
    counts = select(learned.c.training_run_id, func.count()).group_by(learned.c.training_run_id)
    joined = counts.join(Example, Example.example_id == learned.c.example_id)
    found: Counter[int] = Counter(dict(connection.execute(_made(joined, scope).where(scope.calls())).all()))
    if derived:
        found.update(dict(connection.execute(counts.where(learned.c.example_id == any_(_array(derived)))).all()))
    return found


def _scores(connection: Connection, run_ids: list[int]) -> dict[int, list[Score]]:
    columns = (
        Evaluation.training_run_id,
        Evaluation.evaluation_id,
        Benchmark.name,
        Evaluation.metric,
        Evaluation.value,
    )
    scores: dict[int, list[Score]] = {}
    for score in connection.execute(
        select(*columns)
        .join(Benchmark, Benchmark.benchmark_id == Evaluation.benchmark_id)
        .where(Evaluation.training_run_id.in_(run_ids))
        .order_by(Evaluation.evaluation_id)
    ):
        scores.setdefault(score.training_run_id, []).append(Score(*score[1:]))
    return scores


def _published(connection: Connection, scope: Scope) -> list[TouchedPublication]:
    stated = LikelySource.method == "stated"
    example = func.count(LikelySource.published_example_id.distinct())
    whole = (
        select(func.count())
        .select_from(PublishedExample)
        .where(PublishedExample.publication_id == Publication.publication_id)
        .correlate(Publication)
        .scalar_subquery()
    )
    found = connection.execute(
        select(
            Publication.publication_id,
            Publication.name,
            example.label("examples"),
            example.filter(stated).label("stated"),
            func.max(LikelySource.confidence).label("best_confidence"),
            whole.label("size"),
        )
        .join(PublishedExample, PublishedExample.publication_id == Publication.publication_id)
        .join(LikelySource, LikelySource.published_example_id == PublishedExample.published_example_id)
        .where(scope.of(LikelySource.dataset_id, LikelySource.row_id))
        .group_by(Publication.publication_id)
        .order_by(Publication.publication_id)
    )
    return [TouchedPublication(*row) for row in found]
