"""What retrieval options come to: datasets by name and licence, and options that change nothing as none."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.licence.known import read_licence
from rebase_db.schema import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from rebase_db.retrieve.rank import Weights


def datasets_named(connection: Connection, globs: Iterable[str] = (), licences: Iterable[str] = ()) -> list[int]:
    """Datasets by globs on their names, and by duties or licences that what they state covers; in order of id."""
    globs, licences = list(globs), list(licences)
    if not globs and not licences:
        return []
    query = select(Dataset.dataset_id, Dataset.name, Dataset.licence).order_by(Dataset.dataset_id)
    return [
        dataset_id
        for dataset_id, name, stated in connection.execute(query)
        if any(fnmatchcase(name, glob) for glob in globs) or states(stated, licences)
    ]


def states(stated: str | None, licences: Iterable[str]) -> bool:
    """Whether a duty or a licence is in what a dataset states."""
    read = read_licence(stated or "")
    return any(read.covers(licence) for licence in licences)


def plain_weights(weights: Weights | None) -> list[float] | None:
    """Weights as they are stored: equal ones are none."""
    return None if weights is None or len(set(weights)) == 1 else [float(weight) for weight in weights]


def plain_share(max_share: float | None) -> float | None:
    """A largest share as it is stored: all of it is none."""
    return None if max_share is None or max_share >= 1 else max_share
