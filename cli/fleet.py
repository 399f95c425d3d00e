"""`rebase workers`: who works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from rich.text import Text


def workers(
    everyone: Annotated[bool, typer.Option("--all", help="Also those that stopped or died.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the workers, and what each has in hand."""
    from rich.table import Table

    from cli.output import data, emit_json, talk
    from cli.session import open_database
    from rebase_db.analytics import fleet

    with open_database().connect() as connection:
        found = fleet.workers(connection, everyone=everyone)
        finished = fleet.finished_by_worker(connection)
    for one in found:
        one["finished_last_hour"] = finished.get(one["worker_id"], 0)
    if as_json:
        emit_json(found)
        return
    if not found:
        talk.print("No worker is running; `rebase work` starts one.", style="dim")
        return
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("worker", justify="right", no_wrap=True)
    for name in ("where", "stages", "state", "in hand"):
        grid.add_column(name, overflow="fold")
    grid.add_column("last hour", justify="right", no_wrap=True)
    for one in found:
        in_hand = ", ".join(f"{rows:,} {stage}" for stage, rows in one["in_hand"].items())
        finished_rows = f"{one['finished_last_hour']:,}"
        grid.add_row(
            str(one["worker_id"]), *map(_plain, (_where(one), _what(one), _state(one), in_hand)), finished_rows
        )
    data.print(grid)


def _plain(value: str) -> Text:
    from rich.text import Text

    return Text(value)  # a host's name is no markup


def _where(one: dict[str, Any]) -> str:
    return f"{one['host']} {one['pid']}"


def _what(one: dict[str, Any]) -> str:
    if one["stages"] is None:
        return "a command"
    return " ".join(one["stages"]) + (f", {one['concurrency']} at a time" if one["concurrency"] > 1 else "")


def _state(one: dict[str, Any]) -> str:
    from cli.output import duration

    if one["state"] == "stopped":
        return f"stopped {one['stopped_at']:%Y-%m-%d %H:%M}"
    started = f"since {one['started_at']:%Y-%m-%d %H:%M}"
    return f"{one['state']} {started}, beat {duration(one['heartbeat_age'])} ago"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Workers")(workers)
