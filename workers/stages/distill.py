"""Claims a training run, trains its student, streams the metrics, and records the artifact."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rebase_db import queue, settings
from rebase_db.database import failures
from rebase_db.distill.parent import weights_of
from rebase_db.distill.runs import TRAINED_ON, begin_run, mark_distilled, read_run, write_metrics
from rebase_db.errors import TrainingError
from rebase_db.export.model_card import write_model_card
from rebase_db.faults import FaultPoint, reach
from rebase_db.outcomes import Done, Fail, Release
from workers.stage import LostClaimError, Result

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection, Engine

    from rebase_db.distill.student import MetricPoint
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim, Lane

log = logging.getLogger(__name__)


class DistillStage:
    """Trains runs; each is a lane of its own.

    Args:
        engine: The database.
        lease: The worker.
        stopping: Once set, the training ends at its next step and the run is handed back.
        on_metric: Told every point of the curve.
    """

    queue = queue.DISTILL
    batch = 1
    writers = 1
    alone = True
    finishes = False
    claiming = None

    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        stopping: threading.Event,
        on_metric: Callable[[MetricPoint], None] = lambda _: None,
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.stopping = stopping
        self.on_metric = on_metric

    def prepare(self, lane: Lane) -> None:
        """Nothing: what a run needs is its own."""

    def handle(self, lane: Lane, claims: Sequence[Claim]) -> Iterator[Result]:
        """Train one run."""
        (claim,), (training_run_id,) = claims, lane
        try:
            with self.engine.begin() as connection:
                begun = begin_run(connection, training_run_id)
            start = None if begun.parent is None else weights_of(begun.parent)
        except TrainingError as error:
            yield Result([(claim, Fail(f"{error.message} {error.hint}"))])
            return
        from rebase_db.distill.classifier import train_classifier
        from rebase_db.distill.student import Hyperparameters, TrainingStoppedError, environment

        run = begun.run
        unwritten: list[MetricPoint] = []

        def on_metric(point: MetricPoint) -> None:
            reach(FaultPoint.DISTILL_STEP)
            unwritten.append(point)
            try:
                with self.engine.begin() as connection:
                    if not queue.hold(connection, self.queue, self.lease.worker_id, [claim]):
                        raise LostClaimError(f"Training run {training_run_id} was cancelled or went to another worker.")
                    write_metrics(connection, claim, unwritten)
                unwritten.clear()
            except failures.AWAY as error:
                # Hours of training shall not be lost to a server that restarts: they are written with the next.
                log.warning("Metrics could not be written yet: %s", failures.cause(error))
            self.on_metric(point)

        try:
            artifact = train_classifier(
                begun.examples,
                begun.labels,
                base=run.base,
                start=start,
                hyperparameters=Hyperparameters.from_dict(
                    {name: value for name, value in run.hyperparameters.items() if name != TRAINED_ON}
                ),
                # Of this attempt alone: a worker that lost the run may still be writing its own.
                folder=settings.artifacts() / f"{run.run_key.hex()[:16]}-{training_run_id}-{claim.attempt}",
                on_metric=on_metric,
                should_stop=self.stopping.is_set,
            )
        except TrainingStoppedError:
            yield Result([(claim, Release())])
            return
        except TrainingError as error:
            yield Result([(claim, Fail(error.message))])
            return
        reach(FaultPoint.DISTILL_SAVED)

        def write(connection: Connection, _: Collection[int]) -> dict[int, dict[str, Any]]:
            write_metrics(connection, claim, unwritten)
            mark_distilled(connection, training_run_id)
            return {
                claim.item_id: {
                    "artifact_path": str(artifact.folder),
                    "artifact_hash": artifact.content_hash,
                    "environment": environment(),
                }
            }

        try:
            yield Result([(claim, Done())], write)
        finally:  # also where the worker stops with this result
            with self.engine.connect() as connection:
                # Unless the run went to another worker, whose artifact is the one that counts.
                if read_run(connection, training_run_id).artifact_path == str(artifact.folder):
                    write_model_card(connection, training_run_id)

    def close(self) -> None:
        """Nothing to let go of."""
