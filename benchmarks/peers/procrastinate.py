"""procrastinate with its defaults; the rescue of stalled jobs, which it leaves to its users, as its manual has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from procrastinate import App, PsycopgConnector, RetryStrategy, SyncPsycopgConnector

from benchmarks.peers.system import System
from benchmarks.peers.worker import INSERT_EFFECT, Options, measured, parse, ready, report_start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from procrastinate.types import JSONDict

JOB = "job"


class Procrastinate(System):
    """procrastinate in one database."""

    name = "procrastinate"
    module = "benchmarks.peers.procrastinate"
    tables = ("procrastinate_jobs", "procrastinate_events")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._app = App(connector=SyncPsycopgConnector(conninfo=url))
        self._app.open()

    def install(self) -> None:
        """Make its tables."""
        self._app.schema_manager.apply_schema()

    def enqueue(self, count: int) -> None:
        """Put in jobs numbered from 0."""
        jobs: list[JSONDict] = [{"item": item} for item in range(count)]
        self._app.configure_task(JOB, allow_unknown=True).batch_defer(*jobs)

    def unfinished(self) -> int:
        """Jobs that are neither done nor given up."""
        return self.number(
            "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'job' AND status IN ('todo', 'doing')"
        )

    def close(self) -> None:
        """Disconnect."""
        super().close()
        self._app.close()


def add_rescue(app: App, lease: float) -> None:
    """The periodic task of its manual, "Retry stalled jobs", every second instead of every ten minutes."""

    async def rescue(timestamp: int) -> None:  # noqa: ARG001 - the name it is called with
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=lease):
            await app.job_manager.retry_job(job)

    app.periodic(cron="* * * * * *")(app.task(name="rescue", queueing_lock="rescue")(rescue))


async def work(options: Options) -> None:
    """Be a worker."""
    connector = PsycopgConnector(conninfo=options.url)
    app = App(connector=connector)

    async def nothing(item: int) -> None:
        pass

    async def start(item: int) -> None:  # noqa: ARG001 - the name it is called with
        report_start()

    async def effect(item: int) -> None:
        await asyncio.sleep(options.work)
        await connector.execute_query_async(INSERT_EFFECT + "(%(item)s)", item=item)

    jobs: dict[str, Callable[[int], Awaitable[None]]] = {"drain": nothing, "wake": start, "storm": effect}
    app.task(name=JOB, retry=RetryStrategy(max_attempts=100, wait=1))(jobs[options.mode])
    async with app.open_async():
        if options.mode == "drain":
            with measured():
                await app.run_worker_async(concurrency=options.batch, wait=False, install_signal_handlers=False)
        elif options.mode == "wake":
            ready()
            await app.run_worker_async()
        else:
            add_rescue(app, options.lease)
            ready()
            await app.run_worker_async(
                concurrency=options.batch,
                fetch_job_polling_interval=options.lease / 4,
                update_heartbeat_interval=options.lease / 4,
                stalled_worker_timeout=options.lease,
            )


if __name__ == "__main__":
    asyncio.run(work(parse()))
