"""`rebase status`: what there is, how far it is, and what stands in the way."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table
    from sqlalchemy import Engine

    from rebase_db.analytics.progress import StageProgress
    from rebase_db.analytics.upkeep import Upkeep

REDRAW_SECONDS = 2.0
WORKERS_SHOWN = 6
ERRORS_SHOWN = 8
ERROR_WIDTH = 300


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the command shows, as of one moment."""

    corpus: dict[str, int]
    stages: list[StageProgress]
    paused: list[str]
    failures: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    upkeep: Upkeep

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "corpus": self.corpus,
            "stages": [one.as_dict() for one in self.stages],
            "paused": self.paused,
            "failures": self.failures,
            "workers": self.workers,
            "long_transactions": self.upkeep.long_transactions,
            "notification_queue": self.upkeep.notification_queue,
            "warnings": self.upkeep.warnings,
        }


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is in the database, how far every task is, who works, and what stands in the way."""
    from cli.output import data, emit_json
    from cli.session import open_database

    engine = open_database()
    if watch:
        _watch(engine, as_json=as_json)
        return
    now = read(engine)
    if as_json:
        emit_json(now.as_dict())
        return
    for part in shown(now):
        data.print(part)


def read(engine: Engine) -> Status:
    """Look everything up, within one transaction."""
    from rebase_db.analytics import fleet, overview, progress, upkeep

    with engine.connect() as connection:
        return Status(
            overview.corpus_counts(connection),
            progress.progress(connection),
            progress.tasks_paused(connection),
            overview.failures(connection),
            fleet.workers(connection),
            upkeep.upkeep(connection),
        )


def _watch(engine: Engine, *, as_json: bool) -> None:
    from rich.console import Group
    from rich.live import Live

    from cli.output import data, emit_json

    pause = threading.Event()
    try:
        if not as_json and data.is_terminal:
            with Live(console=data, auto_refresh=False, vertical_overflow="crop") as live:
                while True:
                    live.update(Group(*_page(engine)), refresh=True)
                    pause.wait(REDRAW_SECONDS)
        while True:
            if as_json:
                emit_json(read(engine).as_dict())
            else:
                data.print(Group(*_page(engine)), "")
            data.file.flush()
            pause.wait(REDRAW_SECONDS)
    except KeyboardInterrupt:
        pass  # how one leaves


def _page(engine: Engine) -> Iterable[RenderableType]:
    """The page, or why there is none just now: who watches through a restart of the server wants to see its end."""
    from rich.text import Text

    from rebase_db.database import failures

    try:
        return list(shown(read(engine)))
    except failures.FAILED as error:
        return [Text(f"The database does not answer: {failures.cause(error)}", style="red")]


def shown(now: Status) -> Iterator[RenderableType]:
    """The lines and tables of the page, to fit 80 columns."""
    from rich.text import Text

    yield Text(", ".join(f"{number:,} {name}" for name, number in now.corpus.items()))
    if now.stages:
        yield _table(now.stages)
    else:
        yield Text("No task has any work yet. Try `rebase demo`, or `rebase run TASK.yaml`.", style="dim")
    yield Text(_fleet(now.workers), style="dim")
    if now.paused:
        yield Text(f"Paused: {', '.join(now.paused)}. `rebase resume TASK` goes on.", style="yellow")
    for failure in now.failures[:ERRORS_SHOWN]:
        what = " of ".join(part for part in (failure["stage"], failure["task"]) if part)
        error = " ".join((failure["error"] or "no error kept").split())
        shortened = error if len(error) <= ERROR_WIDTH else f"{error[: ERROR_WIDTH - 1]}…"
        yield Text(f"{failure['rows']:,} times {what}: {shortened}", style="red")
    if len(now.failures) > ERRORS_SHOWN:
        yield Text(f"… and {len(now.failures) - ERRORS_SHOWN} more errors, all with --json.", style="red")
    if now.failures:
        yield Text("`rebase retry` puts back what failed.", style="dim")
    for warning in now.upkeep.warnings:
        yield Text(warning, style="yellow")


def _table(stages: list[StageProgress]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from cli.output import duration

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("stage", no_wrap=True)
    for name in ("task", "rows"):
        grid.add_column(name, overflow="fold")
    for name in ("a second", "to go", "longest"):
        grid.add_column(name, justify="right", no_wrap=True)
    for one in stages:
        grid.add_row(
            one.stage,
            Text(one.task + _steering(one)),
            ", ".join(f"{rows:,} {state}" for state, rows in one.states.items()),
            f"{one.rate:,.1f}" if one.rate else "",
            duration(one.seconds_to_go),
            duration(one.longest_seconds),
        )
    return grid


def _steering(one: StageProgress) -> str:
    said = ["paused"] if one.paused_at is not None else []
    said += [f"priority {one.priority}"] if one.priority else []
    return f" ({', '.join(said)})" if said else ""


def _fleet(workers: list[dict[str, Any]]) -> str:
    """The workers in a line: commands that do their own work are told apart, for they end by themselves."""
    from cli.output import duration

    if not workers:
        return "No worker is running; `rebase work` starts one."
    said = []
    for one in workers[:WORKERS_SHOWN]:
        what = " ".join(one["stages"]) if one["stages"] else "a command"
        gone = f", {one['state']}" if one["state"] != "live" else ""
        said.append(f"{one['host']}:{one['pid']} ({what}{gone}, beat {duration(one['heartbeat_age'])} ago)")
    more = f" and {len(workers) - WORKERS_SHOWN:,} more" if len(workers) > WORKERS_SHOWN else ""
    return f"{len(workers):,} worker{'s' * (len(workers) > 1)}: {', '.join(said)}{more}"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Workers")(status)
