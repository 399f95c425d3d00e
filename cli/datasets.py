"""`rebase datasets`: what is in the corpus, how it came there, and what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from rebase_db.analytics.releases import ColumnDifference, DatasetDifference, LoadDifference

datasets = typer.Typer(
    help="List the datasets of the corpus, their loads, and what differs.", invoke_without_command=True
)

ROWS_SHOWN = 5
TEXT_SHOWN = 100

Side = Annotated[str, typer.Argument(metavar="NAME[@LOAD]", help="A dataset, as of one of its loads or of the newest.")]


@datasets.callback()
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the datasets of the corpus, their loads, and what differs."""
    if context.invoked_subcommand is not None:
        return
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.analytics import overview

    with open_database().connect() as connection:
        found = overview.datasets(connection)
    if not as_json:  # a terminal has no room for these
        left_out = {"uri", "last_ingest"} | (set() if any(one["withdrawn_by"] for one in found) else {"withdrawn_by"})
        found = [{name: value for name, value in one.items() if name not in left_out} for one in found]
    emit(found, as_json=as_json, numbers=["splits", "rows", "texts", "cells", "withdrawn_by"])


@datasets.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name.")], as_json: JsonOption = False
) -> None:
    """Show the loads of a dataset: when, of which revision, and what they did to its rows."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.analytics.releases import loads

    with open_database().connect() as connection:
        found = loads(connection, name)
    emit(found if as_json else _narrow(found), as_json=as_json, numbers=_LOAD_NUMBERS)


_LOAD_NUMBERS = ("load", "max_rows", "added", "changed", "removed", "unchanged", "left_out")


def _narrow(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Loads as a terminal has room for them: short, and without columns that say nothing."""
    one_split = len({(load["config"], load["split"]) for load in found}) == 1
    silent = {name for name in ("max_rows", "left_out") if not any(load[name] for load in found)}
    silent |= {"config", "split"} if one_split else set()
    return [
        {name: value for name, value in load.items() if name not in silent}
        | {"loaded_at": f"{load['loaded_at']:%Y-%m-%d}", "revision": load["revision"][:8]}
        for load in found
    ]


@datasets.command("diff")
def diff(a: Side, b: Side, as_json: JsonOption = False) -> None:
    """Compare two loads of a dataset row by row, or two datasets by the content of their rows."""
    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.analytics.releases import diff_datasets, diff_loads, find_release

    most = None if as_json else ROWS_SHOWN
    found: LoadDifference | DatasetDifference
    with open_database().connect() as connection:
        before, after = find_release(connection, a), find_release(connection, b)
        if before.dataset_id == after.dataset_id:
            found = of_loads = diff_loads(connection, before, after, most)
            if not as_json:
                _show_loads(of_loads)
        else:
            found = of_datasets = diff_datasets(connection, before, after, most)
            if not as_json:
                _show_datasets(of_datasets)
    if as_json:
        emit_json(found.as_dict())


def _show_loads(found: LoadDifference) -> None:
    from cli.output import data, emit, talk

    emit(found.splits, as_json=False, numbers=["added", "changed", "removed", "unchanged"])
    for row in found.rows:
        place = row.after or row.before or {}
        data.print(f"\n{row.kind}: {place['config']}/{place['split']} row {place['source_index']}", markup=False)
        for column, before, after in row.cells():
            words = (
                f"{_short(before)} → {_short(after)}"
                if row.kind == "changed"
                else _short(after if before is None else before)
            )
            data.print(f"  {column}: {words}", markup=False, soft_wrap=True)
    more = sum(split[kind] for split in found.splits for kind in ("added", "changed", "removed")) - len(found.rows)
    if more:
        talk.print(f"… and {more:,} more rows, all with --json.", style="dim")
    _show_columns(found.columns, f"{found.a}", f"{found.b}")


def _show_datasets(found: DatasetDifference) -> None:
    from cli.output import data, table

    table(
        ("rows", "number"),
        [
            ("of equal content", found.equal),
            (f"only in {found.a}", found.only_in_a),
            (f"only in {found.b}", found.only_in_b),
        ],
        numbers=("number",),
    )
    for one, other in found.equal_rows:
        data.print(f"equal: {found.a} {_place(one)} = {found.b} {_place(other)}", markup=False, soft_wrap=True)
    for side, rows in ((found.a, found.rows_of_a), (found.b, found.rows_of_b)):
        for row in rows:
            words = "; ".join(f"{column}: {_short(value)}" for column, value in row["content"].items())
            data.print(f"only in {side}: {_place(row)}: {words}", markup=False, soft_wrap=True)
    _show_columns(found.columns, f"{found.a}", f"{found.b}")


def _show_columns(columns: list[ColumnDifference], a: str, b: str) -> None:
    from cli.output import data, table

    if columns:
        data.print()
        places = any(column.config for column in columns)
        named = [f"{one.config}/{one.split} {one.name}" if places else one.name for one in columns]
        shown = [(name, one.before or "", one.after or "") for name, one in zip(named, columns, strict=True)]
        table(("column", a, b), shown)


def _place(row: dict[str, Any]) -> str:
    return f"{row['config']}/{row['split']} row {row['source_index']}"


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    line = " ".join(text.split())
    return line if len(line) <= TEXT_SHOWN else f"{line[: TEXT_SHOWN - 1]}…"
