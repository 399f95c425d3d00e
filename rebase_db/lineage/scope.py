"""Scopes: the records whose impact is asked for, and which links, calls and rows belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Integer, bindparam, func, select, tuple_

from rebase_db.errors import UnknownNameError
from rebase_db.reference import datasets_under
from rebase_db.schema import Generation, Judgement, RetractedRow, RetrievalLink, TaskVersion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Select
    from sqlalchemy.orm import InstrumentedAttribute

    from rebase_db.reference import Node

IMPACT_KINDS = ("dataset", "row", "licence", "teacher", "prompt", "task", "encoder", "retrieval", "retraction")
"""The kinds of reference that have an impact worth counting."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose impact is asked for: database keys of records of one kind; all but one field are empty.

    Args:
        rows: Rows by `(dataset_id, row_id)`, each once.
        retractions: The rows that these retractions cover, whether they stand or not.
    """

    datasets: tuple[int, ...] = ()
    rows: tuple[tuple[int, int], ...] = ()
    retractions: tuple[int, ...] = ()
    teachers: tuple[int, ...] = ()
    prompts: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    encoders: tuple[int, ...] = ()
    retrievals: tuple[int, ...] = ()

    @property
    def is_of_calls(self) -> bool:
        """Whether it is single calls that belong to it, and not all calls of a link."""
        return bool(self.teachers or self.prompts)

    @property
    def is_of_rows(self) -> bool:
        """Whether rows belong to it, also those that nothing was made of."""
        return not (self.is_of_calls or self.tasks or self.encoders or self.retrievals)

    def links(self) -> ColumnElement[bool]:
        """Which of `retrieval_link` belong to it; of a teacher or prompt, those it was asked for."""
        if self.is_of_calls:
            return RetrievalLink.link_id.in_(select(Generation.link_id).where(self.calls()))
        if self.tasks:
            versions = select(TaskVersion.task_version_id).where(TaskVersion.task_id.in_(self.tasks))
            return RetrievalLink.task_version_id.in_(versions)
        if self.encoders:
            return RetrievalLink.encoder_id.in_(self.encoders)
        if self.retrievals:
            return RetrievalLink.entered_by.in_(self.retrievals)
        return self.of(RetrievalLink.dataset_id, RetrievalLink.row_id)

    def calls(self) -> ColumnElement[bool]:
        """Which calls belong to it, in a join of `generation` with `retrieval_link`."""
        if self.teachers:
            return Generation.teacher_id.in_(self.teachers)
        if self.prompts:
            return Generation.prompt_id.in_(self.prompts)
        return self.links()

    def judgements(self) -> ColumnElement[bool]:
        """Which of `judgement` belong to a scope of teachers or prompts."""
        if self.teachers:
            return Judgement.teacher_id.in_(self.teachers)
        return Judgement.prompt_id.in_(self.prompts)

    def of(self, dataset_id: InstrumentedAttribute[Any], row_id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
        """Which rows belong to a scope of rows, wherever a table has these two columns."""
        if self.datasets:
            return dataset_id.in_(self.datasets)
        return tuple_(dataset_id, row_id).in_(self.chosen())

    def chosen(self) -> Select[*tuple[Any, ...]]:
        """The rows of a scope that names rows or retractions, each once."""
        if self.retractions:
            covered = RetractedRow.retraction_id.in_(self.retractions)
            return select(RetractedRow.dataset_id, RetractedRow.row_id).where(covered).distinct()
        # As two arrays, so that the statement is the same for a row and for a hundred thousand.
        parts = [bindparam(None, [row[part] for row in self.rows], ARRAY(Integer)) for part in (0, 1)]
        named = func.unnest(*parts).table_valued("dataset_id", "row_id").render_derived()
        return select(named.c.dataset_id, named.c.row_id)


def scope_of(connection: Connection, node: Node) -> Scope:
    """The scope that a record stands for; of a licence, the datasets that have it.

    Raises:
        UnknownNameError: Nothing is counted for a record of this kind.
    """
    if node.kind == "licence":
        return Scope(datasets=datasets_under(connection, node.key))
    if node.kind == "row":
        dataset_id, row_id = _ids(node.ids)
        return Scope(rows=((dataset_id, row_id),))
    if node.kind not in IMPACT_KINDS:
        raise UnknownNameError(
            f"The impact of a {node.kind} is not counted.", hint=f"`rebase trace {node.reference} --down` shows it."
        )
    only: dict[str, Any] = {f"{node.kind}s": _ids(node.ids)}
    return Scope(**only)


def _ids(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
