"""What an audit looks at: the examples of a task, as they were published or as they were made here, and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.audit import rows as source_rows
from rebase_db.check.current import current_examples
from rebase_db.check.example import facts_of
from rebase_db.errors import UnknownNameError, did_you_mean
from rebase_db.schema import (
    Dataset,
    LikelySource,
    Publication,
    PublishedExample,
    PublishedRank,
    RetrievalLink,
    Task,
)
from rebase_db.schema.views import live_ranking
from rebase_db.task.store import find_task_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.audit.rows import Row, RowId
    from rebase_db.check.verdict import TaskFacts
    from rebase_db.task.checks import Checks


@dataclass(frozen=True, slots=True)
class Source:
    """A row an example comes from: surely (`link`), or with a confidence, by a method."""

    row: RowId
    method: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Item:
    """An example at its place (a position from 1, or its rank), with its likely rows, the likeliest first."""

    number: int
    place: int
    input: str
    output: str
    sources: Sequence[Source] = ()


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A place of the ranking; `row` is None where the database has no such row."""

    rank: int
    dataset: str
    row: RowId | None


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything an audit reads.

    `publication` is None for a task's own examples. `reasoning`: outputs are chains of thought that end in the answer.
    """

    task: str
    publication: str | None
    items: Sequence[Item]
    ranking: Sequence[RankedRow]
    rows: Mapping[RowId, Row]
    datasets: Mapping[int, tuple[str, str | None]]
    facts: TaskFacts
    checks: Checks
    labels: Sequence[str] | None

    def reference(self, number: int) -> str:
        """An example as commands take it."""
        return f"{'example' if self.publication is None else 'published'}:{number}"


def find_subject(connection: Connection, task: str, *, publication: str | None = None, own: bool = False) -> Subject:
    """What there is to audit of a task: a publication, the newest unless one is named, else its own examples.

    Raises:
        UnknownNameError: There is no such task, it has no such publication, or there is nothing to audit.
    """
    task_id = connection.execute(select(Task.task_id).where(Task.name == task)).scalar_one_or_none()
    names = {} if task_id is None else _publications(connection, task_id)
    if publication is not None and task_id is not None and publication not in names:
        hint = did_you_mean(publication, list(names)) or "Load one with `rebase import-rebase`."
        raise UnknownNameError(f"The task {task!r} has no publication {publication!r}.", hint=hint)
    chosen = None if own else publication or next(iter(names), None)
    file = find_task_file(connection, task)
    if chosen is None:
        items, ranking = _own(connection, task)
    else:
        items, ranking = _published(connection, names[chosen])
    if not items and not ranking:
        what = "no examples of its own" if own else "nothing to audit: no publication and no examples"
        hint = "Load what was published with `rebase import-rebase` or `import-examples`."
        if own and names:
            hint = "Without --own its newest publication is audited."
        raise UnknownNameError(f"The task {task!r} has {what}.", hint=hint)
    ids = {one.row for one in ranking if one.row} | {source.row for one in items for source in one.sources}
    return Subject(
        task=task,
        publication=chosen,
        items=items,
        ranking=ranking,
        rows=source_rows.fetch(connection, ids),
        datasets=_datasets(connection, {dataset_id for dataset_id, _ in ids}),
        facts=facts_of(file),
        checks=file.checks,
        labels=file.labels,
    )


def _publications(connection: Connection, task_id: int) -> dict[str, int]:
    found = connection.execute(
        select(Publication.name, Publication.publication_id)
        .where(Publication.task_id == task_id)
        .order_by(Publication.publication_id.desc())
    )
    return dict(found.all())


def _datasets(connection: Connection, ids: set[int]) -> dict[int, tuple[str, str | None]]:
    found = connection.execute(
        select(Dataset.dataset_id, Dataset.name, Dataset.licence).where(Dataset.dataset_id.in_(ids))
    )
    return {dataset_id: (name, licence) for dataset_id, name, licence in found}


def _published(connection: Connection, publication_id: int) -> tuple[list[Item], list[RankedRow]]:
    sources: dict[int, list[Source]] = {}
    for number, dataset_id, row_id, method, confidence in connection.execute(
        select(
            LikelySource.published_example_id,
            LikelySource.dataset_id,
            LikelySource.row_id,
            LikelySource.method,
            LikelySource.confidence,
        )
        .join(PublishedExample)
        .where(PublishedExample.publication_id == publication_id)
        .order_by(LikelySource.confidence.desc(), LikelySource.dataset_id, LikelySource.row_id)
    ):
        sources.setdefault(number, []).append(Source((dataset_id, row_id), method, confidence))
    items = [
        Item(number, position, text, output, sources.get(number, ()))
        for number, position, text, output in connection.execute(
            select(
                PublishedExample.published_example_id,
                PublishedExample.position,
                PublishedExample.input,
                PublishedExample.output,
            )
            .where(PublishedExample.publication_id == publication_id)
            .order_by(PublishedExample.position)
        )
    ]
    ranking = [
        RankedRow(rank, reference.get("dataset", ""), None if row_id is None else (dataset_id, row_id))
        for rank, reference, dataset_id, row_id in connection.execute(
            select(PublishedRank.rank, PublishedRank.row_reference, PublishedRank.dataset_id, PublishedRank.row_id)
            .where(PublishedRank.publication_id == publication_id)
            .order_by(PublishedRank.rank)
        )
    ]
    return items, ranking


def _own(connection: Connection, task: str) -> tuple[list[Item], list[RankedRow]]:
    lane = connection.execute(
        select(live_ranking.c.task_version_id, live_ranking.c.encoder_id).where(live_ranking.c.task == task)
    ).one_or_none()
    if lane is None:
        return [], []
    version, encoder = lane
    links = connection.execute(
        select(RetrievalLink.link_id, RetrievalLink.rank, Dataset.name, RetrievalLink.dataset_id, RetrievalLink.row_id)
        .join(Dataset, Dataset.dataset_id == RetrievalLink.dataset_id)
        .where(
            RetrievalLink.task_version_id == version,
            RetrievalLink.encoder_id == encoder,
            RetrievalLink.displaced_by.is_(None),
            RetrievalLink.retracted_at.is_(None),
        )
        .order_by(RetrievalLink.rank)
    ).all()
    rows = {link_id: (dataset_id, row_id) for link_id, _, _, dataset_id, row_id in links}
    items = [
        Item(
            number=one.example_id,
            place=one.rank,
            input=one.input,
            output=one.rationale or one.output,
            sources=(Source(rows[one.link_id], "link", 1.0),),
        )
        for one in current_examples(connection, (version, encoder))
        # What a check keeps out is done with: the audit is of what goes into training sets.
        if one.state != "rejected"
    ]
    return items, [RankedRow(rank, name, rows[link_id]) for link_id, rank, name, _, _ in links]
