"""Retracting, previewing that, and taking it back: each one transaction, which the caller commits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, literal, select, text, update
from sqlalchemy.types import Integer

from rebase_db import __version__
from rebase_db.control import wake
from rebase_db.errors import RetractionError
from rebase_db.faults import FaultPoint, reach
from rebase_db.retract.lock import take_turn
from rebase_db.retract.report import Record, Report, find_record, report_covered
from rebase_db.retract.target import Target, cover, cover_rows_again, covered, covered_row, find_target
from rebase_db.schema import RetractedDataset, RetractedRow, Retraction, SourceRow
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants withdrawn: the kind, what was said, why, who asks, and whether mirrors go too."""

    kind: str
    said: str
    reason: str
    asked_by: str
    mirrors: bool = False

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise RetractionError("A retraction needs a reason.", hint="Say it with --reason.")


def preview(connection: Connection, request: Request) -> Report:
    """The report that `retract` would give now; the transaction is to be rolled back.

    Raises:
        UnknownNameError: There is nothing of that name.
        RetractionError: It is retracted already.
    """
    return _cover(connection, request)[1]


def retract(connection: Connection, request: Request) -> Report:
    """Withdraw rows: they leave retrieval, their links are not worked on, their examples leave new sets.

    Raises:
        UnknownNameError: There is nothing of that name.
        RetractionError: It is retracted already.
    """
    take_turn(connection)
    target, report = _cover(connection, request)
    retraction_id, created_at = connection.execute(
        insert(Retraction)
        .values(
            kind=target.kind,
            target=target.name,
            reason=request.reason,
            mirrors=request.mirrors,
            asked_by=request.asked_by,
            code_version=__version__,
        )
        .returning(Retraction.retraction_id, Retraction.created_at)
    ).one()
    if target.dataset_ids:
        connection.execute(
            insert(RetractedDataset),
            [{"retraction_id": retraction_id, "dataset_id": dataset_id} for dataset_id in target.dataset_ids],
        )
    rows = select(literal(retraction_id, Integer), covered_row.c.dataset_id, covered_row.c.row_id)
    connection.execute(insert(RetractedRow).from_select(["retraction_id", "dataset_id", "row_id"], rows))
    _stamp(connection)
    reach(FaultPoint.RETRACT_BEFORE_COMMIT)
    return replace(report, record=replace(report.record, retraction=retraction_id, created_at=created_at))


@dataclass(frozen=True, slots=True)
class Undone:
    """A retraction taken back: the rows that came back, and those that another one keeps out."""

    record: Record
    rows_back: int
    rows_still_retracted: int


def undo(connection: Connection, retraction_id: int, reason: str) -> Undone:
    """Take a retraction back: its rows are as they were, unless another one that stands covers them.

    Raises:
        UnknownNameError: There is none of this number.
        RetractionError: It was taken back already, or its rows were erased.
    """
    if not reason.strip():
        raise RetractionError("Taking a retraction back needs a reason.", hint="Say it with --reason.")
    take_turn(connection)
    record, _ = find_record(connection, retraction_id)
    if record.undone_at is not None:
        raise RetractionError(
            f"Retraction {retraction_id} was taken back on {record.undone_at:%Y-%m-%d %H:%M}: {record.undo_reason}"
        )
    if record.erased_at is not None:
        raise RetractionError(
            f"Retraction {retraction_id} stays: its rows were erased on {record.erased_at:%Y-%m-%d %H:%M}."
        )
    cover_rows_again(connection, retraction_id)
    connection.execute(
        update(Retraction)
        .where(Retraction.retraction_id == retraction_id)
        .values(undone_at=func.clock_timestamp(), undo_reason=reason)
    )
    _stamp(connection)
    still = connection.execute(
        select(func.count())
        .select_from(covered_row)
        .join(
            SourceRow,
            (SourceRow.dataset_id == covered_row.c.dataset_id) & (SourceRow.row_id == covered_row.c.row_id),
        )
        .where(SourceRow.retracted_at.is_not(None))
    ).scalar_one()
    return Undone(find_record(connection, retraction_id)[0], covered(connection) - still, still)


def list_retractions(connection: Connection) -> list[dict[str, Any]]:
    """Every retraction, newest first."""
    return [dict(row) for row in connection.execute(text(named("retractions"))).mappings()]


def _cover(connection: Connection, request: Request) -> tuple[Target, Report]:
    """Fill the work tables and report on them, unless a retraction that stands covers the same."""
    target = find_target(connection, request.kind, request.said)
    cover(connection, target, mirrors=request.mirrors)
    asked = {
        "kind": target.kind,
        "target": target.name,
        "mirrors": request.mirrors,
        "dataset_ids": list(target.dataset_ids),
    }
    standing = connection.execute(text(named("standing_retraction")), asked).first()
    if standing is not None:
        what = str(target)
        number = standing.retraction_id
        rest = f"`rebase retract erase {number}` erases its rows"
        if standing.erased_at is not None:
            rest = f"its rows were erased on {standing.erased_at:%Y-%m-%d %H:%M}"
        raise RetractionError(
            f"{what[0].upper()}{what[1:]} is retracted already, by retraction {number} of"
            f" {standing.created_at:%Y-%m-%d %H:%M} ({standing.reason}).",
            hint=f"`rebase retract show {number}` reports on it, {rest}.",
        )
    record = Record(None, target.kind, target.name, request.mirrors, request.reason, request.asked_by)
    return target, report_covered(connection, record, target.dataset_ids)


def _stamp(connection: Connection) -> None:
    """Carry what is on record over to rows and links, and let workers look again."""
    connection.execute(text(named("stamp_rows")))
    connection.execute(text(named("stamp_links")))
    connection.execute(text(named("reopen_budgets")))
    wake(connection)


def this_user() -> str:
    """Who runs this process, as far as the machine knows: user@host."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry for this user, as in many containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
