"""`rebase work`: a worker, until it is told to stop."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.logs import LogFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.runner import Tally


class StageName(StrEnum):
    """The stages, in the order data flows; as an enumeration, which Typer can take a list of."""

    EMBED = "embed"
    RETRIEVE = "retrieve"
    TRANSFORM = "transform"
    DISTILL = "distill"


StageOption = Annotated[list[StageName] | None, typer.Option(help="Only this stage; may be given again.")]


log = logging.getLogger(__name__)


def work(
    stage: StageOption = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Batches in hand at the same time, at most.")] = 2,
    batch: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Rows a batch; by default what suits the stage.")
    ] = None,
    drain: Annotated[bool, typer.Option("--drain", help="End when there is nothing left to do.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on this port; 0 takes a free one.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to serve them at.")] = "127.0.0.1",
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="When told to stop, time to finish what is in hand.")
    ] = 30,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines on stderr look.")] = "text",
) -> None:
    """Do what others asked for, until told to stop (Ctrl-C or SIGTERM; twice ends it at once)."""
    from cli import logs
    from rebase_db.errors import RebaseError

    about: dict[str, Any] = {}
    handler = logs.set_up(log_format, about)
    try:
        _work(stage or [], concurrency, batch, drain, metrics_port, metrics_host, grace, about)
    except RebaseError as error:
        if log_format == "text":
            raise
        # For machines the last line is an object like those before it.
        log.error("%s", error.message, extra={"hint": error.hint, "exit_code": error.exit_code})  # noqa: TRY400
        raise typer.Exit(error.exit_code) from error
    finally:
        logging.getLogger().removeHandler(handler)


def _work(
    stages: list[StageName],
    concurrency: int,
    batch: int | None,
    drain: bool,
    metrics_port: int | None,
    metrics_host: str,
    grace: float,
    about: dict[str, Any],
) -> None:
    from cli.session import open_database
    from cli.stopping import stopped_by_signals
    from workers.worker import Worker, WorkerOptions

    chosen = chosen_stages(stages)
    engine = open_database()

    def on_start(worker_id: int) -> None:
        about["worker"] = worker_id
        log.info(
            "Worker %d works on %s, %d at a time.",
            worker_id,
            ", ".join(chosen),
            concurrency,
            extra={"stages": chosen, "concurrency": concurrency},
        )

    watchers: list[Callable[[str, Tally, float], None]] = []

    def on_batch(stage: str, tally: Tally, seconds: float) -> None:
        for tell in watchers:
            tell(stage, tally, seconds)
        log.info(
            "%s: %s",
            stage,
            batch_line(tally, seconds),
            extra={
                "stage": stage,
                "rows": tally.claimed,
                "seconds": round(seconds, 3),
                "settled": tally.settled,
                "fenced": tally.fenced,
            },
        )

    worker = Worker(engine, WorkerOptions(chosen, concurrency, batch, drain), on_batch, on_start=on_start)
    with ExitStack() as stack:
        if metrics_port is not None:
            from workers.metrics import WorkerMetrics

            metrics = WorkerMetrics(engine, lambda: worker.batches_in_hand)
            watchers.append(metrics.on_batch)
            port = stack.enter_context(metrics.served(metrics_host, metrics_port))
            log.info("Metrics are at http://%s:%d/metrics.", metrics_host, port, extra={"port": port})
        stack.enter_context(stopped_by_signals(worker, grace))
        worker.run()
    log.info("The worker ended; nothing is in hand.")


def chosen_stages(asked: list[StageName] | None) -> list[str]:
    """The names of the stages asked for, in the order data flows; of all where none was."""
    return [name.value for name in StageName if not asked or name in asked]


def batch_line(tally: Tally, seconds: float) -> str:
    """What became of a batch, in words."""
    fenced = f", {tally.fenced:,} were no longer ours" if tally.fenced else ""
    return f"{tally.claimed:,} rows in {seconds:.1f} s, {tally.settled:,} settled{fenced}"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Workers")(work)
