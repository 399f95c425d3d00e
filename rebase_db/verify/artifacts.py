"""Artifacts: the files of trained students, on the disk of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.distill.student import artifact_hash
from rebase_db.schema import TrainingRun
from rebase_db.verify.lie import Lie

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """Where a run's artifact lies and what it must hash to."""

    training_run_id: int
    folder: str
    content_hash: bytes


def recorded_artifacts(connection: Connection) -> list[ArtifactRecord]:
    """The artifacts of all runs that have one, in the order of runs."""
    rows = connection.execute(
        select(TrainingRun.training_run_id, TrainingRun.artifact_path, TrainingRun.artifact_hash)
        .where(TrainingRun.artifact_path.is_not(None), TrainingRun.artifact_hash.is_not(None))
        .order_by(TrainingRun.training_run_id)
    )
    return [ArtifactRecord(number, path, bytes(digest)) for number, path, digest in rows if path and digest]


def check_artifacts(artifacts: Sequence[ArtifactRecord]) -> Iterator[Lie]:
    """Artifacts that are missing or are not what was trained. Their model cards may change."""
    for each in artifacts:
        key = {"training_run_id": each.training_run_id}
        folder = Path(each.folder)
        try:
            if not folder.is_dir():
                yield Lie("training_run", key, f"its artifact is missing: there is no folder {each.folder}")
                continue
            found = artifact_hash(folder)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
            yield Lie("training_run", key, f"its artifact cannot be read: {error}")
            continue
        if found != each.content_hash:
            what = f"its artifact in {each.folder} is another"
            yield Lie("training_run", key, what, each.content_hash.hex(), found.hex())
