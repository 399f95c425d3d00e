"""Refuses to load what is withdrawn: into a withdrawn dataset, under a withdrawn licence, or an erased text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.errors import SourceError
from rebase_db.reference import STATED_LICENCE, UNKNOWN_LICENCE
from rebase_db.schema import Dataset, RetractedDataset, Retraction, TextValue

if TYPE_CHECKING:
    from sqlalchemy import Connection


def refuse_withdrawn(connection: Connection, dataset_id: int, name: str) -> None:
    """Refuse to load into a dataset that a standing retraction covers, or that has a withdrawn licence.

    Raises:
        SourceError: Which retraction, and what to do.
    """
    standing = (
        select(Retraction.retraction_id, Retraction.reason)
        .join(RetractedDataset)
        .where(RetractedDataset.dataset_id == dataset_id, Retraction.undone_at.is_(None))
        .order_by(Retraction.retraction_id)
    )
    found = connection.execute(standing.limit(1)).first()
    if found is not None:
        raise SourceError(
            f"Dataset {name!r} is withdrawn by retraction {found.retraction_id} ({found.reason}).",
            hint=f"Leave it out, or take that back first: `rebase retract undo {found.retraction_id} --reason …`.",
        )
    refuse_licence(connection, dataset_id, name)


def refuse_licence(connection: Connection, dataset_id: int, name: str) -> None:
    """Refuse a dataset with a withdrawn licence.

    Raises:
        SourceError: Which retraction, and what to do.
    """
    by_licence = (
        select(Retraction.retraction_id, Retraction.reason, Retraction.target)
        .join(Dataset, Retraction.target == STATED_LICENCE)
        .where(Dataset.dataset_id == dataset_id, Retraction.kind == "licence", Retraction.undone_at.is_(None))
        .order_by(Retraction.retraction_id)
    )
    found = connection.execute(by_licence.limit(1)).first()
    if found is not None and found.target == UNKNOWN_LICENCE:
        raise SourceError(
            f"Dataset {name!r} states no licence, and such are withdrawn by retraction {found.retraction_id} "
            f"({found.reason}).",
            hint="State its licence with --licence, or leave it out.",
        )
    if found is not None:
        raise SourceError(
            f"Dataset {name!r} has the licence {found.target!r}, which is withdrawn by retraction "
            f"{found.retraction_id} ({found.reason}).",
            hint="Leave it out. What is loaded of it already goes by `rebase retract dataset NAME`.",
        )


def erased_texts(connection: Connection, dataset_id: int) -> frozenset[bytes]:
    """The SHA-256 of the texts of a dataset that were erased, and must not come back."""
    if connection.execute(select(Retraction.retraction_id).where(Retraction.erased_at.is_not(None)).limit(1)).first():
        found = select(TextValue.sha256).where(TextValue.dataset_id == dataset_id, TextValue.erased_by.is_not(None))
        return frozenset(bytes(digest) for digest in connection.execute(found).scalars())
    return frozenset()
