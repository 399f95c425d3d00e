"""Prometheus metrics of a worker, served over HTTP: what it did, and how far all the work in the database is.

The first are this process's own; the second are read from the database when somebody scrapes, and are the same
whichever worker is asked. The client library is imported here, so import this module only when metrics are asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from rebase_db.analytics.progress import rows_in_hand, state_counts
from rebase_db.database import failures
from rebase_db.errors import RebaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from sqlalchemy import Engine

    from workers.runner import Tally

BATCH_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600)


class WorkerMetrics:
    """The metrics of one worker.

    Args:
        engine: The database.
        batches_in_hand: How many batches the worker works on now.
    """

    def __init__(self, engine: Engine, batches_in_hand: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._claimed = self._counter("rebase_rows_claimed", "Rows that this worker took.")
        self._settled = self._counter("rebase_rows_settled", "Rows that this worker moved on.")
        self._fenced = self._counter(
            "rebase_rows_fenced", "Rows whose late results were refused, because they had gone to another worker."
        )
        self._seconds = Histogram(
            "rebase_batch_seconds", "How long batches took.", ["stage"], registry=self.registry, buckets=BATCH_SECONDS
        )
        in_hand = Gauge("rebase_batches_in_hand", "Batches being worked on.", registry=self.registry)
        in_hand.set_function(batches_in_hand)
        self.registry.register(DatabaseCollector(engine))

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, ["stage"], registry=self.registry)

    def on_batch(self, stage: str, tally: Tally, seconds: float) -> None:
        """Count a batch."""
        self._claimed.labels(stage).inc(tally.claimed)
        self._settled.labels(stage).inc(tally.settled)
        self._fenced.labels(stage).inc(tally.fenced)
        self._seconds.labels(stage).observe(seconds)

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[int]:
        """Serve them within the context; the port, which is a free one where 0 is given.

        Raises:
            RebaseError: Somebody else has the port, or the address is not this machine's.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise RebaseError(
                f"Metrics cannot be served at {host} port {port}: {error.strerror}.",
                hint="Choose another --metrics-port, or 0 for a free one.",
            ) from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class DatabaseCollector(Collector):
    """Rows by stage, task and state, and the oldest lease, read by indexes at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Nothing: otherwise registering would read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The numbers as of now; only that the database is down while it is."""
        try:
            with self._engine.connect() as connection:
                counts, held = state_counts(connection), rows_in_hand(connection)
        except failures.FAILED:
            counts, held, up = {}, [], 0
        else:
            up = 1
        yield GaugeMetricFamily("rebase_database_up", "Whether the database answered.", value=up)
        rows = GaugeMetricFamily("rebase_rows", "Rows in each state.", labels=["stage", "task", "state"])
        for (stage, task), states in counts.items():
            for state, number in states.items():
                rows.add_metric([stage, task, state], number)
        yield rows
        heartbeat = GaugeMetricFamily(
            "rebase_oldest_heartbeat_seconds",
            "Since the last heartbeat of the worker, among those that hold rows, that has been silent longest.",
            labels=["stage", "task"],
        )
        longest = GaugeMetricFamily(
            "rebase_longest_in_hand_seconds",
            "Since the row that has been in hand longest was claimed.",
            labels=["stage", "task"],
        )
        for one in held:
            heartbeat.add_metric([one["stage"], one["task"]], one["heartbeat_age"])
            longest.add_metric([one["stage"], one["task"]], one["longest"] or 0)
        yield heartbeat
        yield longest
