"""Claims a training run, trains its student, streams the metrics, and records the artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db import queue, settings
from rebase_db.distill.runs import finish_run, read_examples, read_run, this_run, write_metrics
from rebase_db.faults import FaultPoint, reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from rebase_db.distill.student import MetricPoint
    from rebase_db.lease import Lease
    from rebase_db.queue import Claim


class DistillStage:
    """Trains one run."""

    queue = queue.DISTILL
    batch = 1

    def __init__(
        self, engine: Engine, lease: Lease, training_run_id: int, on_metric: Callable[[MetricPoint], None]
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.on_metric = on_metric
        self.scope = this_run(training_run_id)

    def work(self, claims: Sequence[Claim]) -> None:
        """Train; the artifact's folder carries the run's key, so a run that is done again overwrites only itself."""
        from rebase_db.distill.classifier import train_classifier
        from rebase_db.distill.student import Hyperparameters, environment

        (claim,) = claims
        reach(FaultPoint.DISTILL_CLAIMED)
        with self.engine.connect() as connection:
            run = read_run(connection, claim.item_id)
            examples = read_examples(connection, run.training_set_id)
        labels = run.labels or sorted({example.label for example in examples})

        def on_metric(point: MetricPoint) -> None:
            reach(FaultPoint.DISTILL_STEP)
            with self.engine.begin() as connection:
                write_metrics(connection, claim, [point])
            self.on_metric(point)

        artifact = train_classifier(
            examples,
            labels,
            base=run.base,
            hyperparameters=Hyperparameters.from_dict(run.hyperparameters),
            folder=settings.artifacts() / run.run_key.hex()[:16],
            on_metric=on_metric,
        )
        reach(FaultPoint.DISTILL_SAVED)
        with self.engine.begin() as connection:
            finish_run(
                connection,
                self.lease.worker_id,
                claim,
                path=artifact.folder,
                artifact_hash=artifact.content_hash,
                environment=environment(),
            )
            reach(FaultPoint.DISTILL_BEFORE_COMMIT)

    def close(self) -> None:
        """Nothing to let go of."""
