"""pgqueuer with the drivers it recommends: asyncpg on uvloop."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import uvloop
from pgqueuer import AsyncpgPoolDriver, DatabaseRetryEntrypointExecutor, PgQueuer, Queries
from pgqueuer.adapters.drivers.psycopg import SyncPsycopgDriver
from pgqueuer.adapters.persistence.queries import SyncQueries
from pgqueuer.domain.types import QueueExecutionMode

from benchmarks.peers.system import System
from benchmarks.peers.worker import INSERT_EFFECT, Options, measured, parse, ready, report_start

if TYPE_CHECKING:
    from pgqueuer import Job

JOB = "job"


class Pgqueuer(System):
    """pgqueuer in one database."""

    name = "pgqueuer"
    module = "benchmarks.peers.pgqueuer"
    tables = ("pgqueuer", "pgqueuer_log")

    def install(self) -> None:
        """Make its tables."""

        async def run() -> None:
            async with asyncpg.create_pool(self.url, min_size=1) as pool:
                await Queries(AsyncpgPoolDriver(pool)).install()

        asyncio.run(run())

    def enqueue(self, count: int) -> None:
        """Put in jobs numbered from 0."""
        payloads: list[bytes | None] = [str(item).encode() for item in range(count)]
        SyncQueries(SyncPsycopgDriver(self.connection)).enqueue([JOB] * count, payloads, [0] * count)

    def unfinished(self) -> int:
        """Jobs that are neither done nor given up."""
        return self.number("SELECT count(*) FROM pgqueuer WHERE status <> 'failed'")


async def work(options: Options) -> None:
    """Be a worker."""
    async with asyncpg.create_pool(options.url, min_size=2) as pool:
        queue = PgQueuer.from_asyncpg_pool(pool)

        async def nothing(_: Job) -> None:
            pass

        async def start(_: Job) -> None:
            report_start()

        async def effect(job: Job) -> None:
            await asyncio.sleep(options.work)
            await pool.execute(INSERT_EFFECT + "($1)", int(job.payload or b""))

        if options.mode == "drain":
            queue.entrypoint(JOB)(nothing)
            with measured():
                # Not PgQueuer.run: its scheduler of periodic jobs waits on after the queue is empty.
                await queue.qm.run(batch_size=options.batch, mode=QueueExecutionMode.drain)
        elif options.mode == "wake":
            queue.entrypoint(JOB)(start)
            ready()
            await queue.run()
        else:
            # Else a job that raises, as it will when the server stops, is given up at its first failure.
            patient = functools.partial(
                DatabaseRetryEntrypointExecutor, max_attempts=100, max_delay=timedelta(seconds=2)
            )
            queue.entrypoint(JOB, executor_factory=patient)(effect)
            ready()
            await queue.run(
                batch_size=options.batch // 2,
                max_concurrent_tasks=options.batch,
                dequeue_timeout=timedelta(seconds=options.lease / 4),
                heartbeat_timeout=timedelta(seconds=options.lease),
            )


if __name__ == "__main__":
    uvloop.run(work(parse()))
