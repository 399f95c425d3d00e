"""`rebase why`: where an example comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterator


def why(example: Annotated[int, typer.Argument(help="The example's number.")], as_json: JsonOption = False) -> None:
    """Show an example's way back to its source row, and where it went."""
    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.lineage.why import why as find

    with open_database().connect() as connection:
        found = find(connection, example)
    if as_json:
        emit_json(found)
    else:
        show(found)


def show(found: dict[str, Any]) -> None:
    """Print the chain of an example, the example first and its row last."""
    from rich.table import Table
    from rich.text import Text

    from cli.output import data

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in _lines(found):
        grid.add_row(label, Text(value))
    data.print(grid)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "example", f"{found['example_id']} of task {found['task']} version {found['task_version']}"
    yield "  input", _short(found["input"], 400)
    yield "  output", _short(found["output"], 200)
    if found["rationale"]:
        yield "  rationale", _short(found["rationale"], 400)
    model = " ".join(part for part in (found["teacher_provider"], found["teacher_model"]) if part)
    yield (
        "made by",
        (
            f"{model}, prompt {found['prompt_name']}, call {found['generation_id']}, "
            f"{found['generated_at']:%Y-%m-%d %H:%M}"
        ),
    )
    if found["reused_from"] is not None:
        yield "  reused", f"the answer of call {found['reused_from']} to the same prompt; nothing was sent"
    if found["superseded"]:
        yield "superseded", "by a later attempt at the same row; what is said of the row below stays"
    yield from _check_lines(found)
    if found["displaced_by"] is not None:
        yield "displaced", f"by retrieval {found['displaced_by']}; the rank below is its last one"
    yield (
        "retrieved",
        (
            f"rank {found['rank']} of the top {found['top_n']:,} of {found['rows_scored']:,} rows, "
            f"{found['scoring']} {found['score']:.4f} (cut at {found['cutoff_score']:.4f})"
        ),
    )
    yield "  input", f"{found['input_score']:.3f}  {found['input_column']}: {_short(found['input_cell'], 120)}"
    yield "  output", f"{found['output_score']:.3f}  {found['output_column']}: {_short(found['output_cell'], 120)}"
    yield "  dataset", f"{found['dataset_score']:.3f}  {_short(found['description'], 120)}"
    licence = found["licence"] or "licence unknown"
    yield "source", f"{found['dataset']} {found['config']}/{found['split']} row {found['source_index']} ({licence})"
    yield (
        "  from",
        f"{found['split_uri']} revision {found['revision'][:12]}, loaded {found['ingested_at']:%Y-%m-%d %H:%M}",
    )
    yield "  hash", found["content_hash"]
    for column, value in found["content"].items():
        yield f"  {column}", _short(value, 300)
    for mirror in found["mirrors"]:
        yield "mirrored by", f"{mirror['dataset']} row {mirror['source_index']}"
    for place in found["went"]:
        run = f", run {place['training_run_id']} ({place['run_state']})" if place["training_run_id"] else ""
        score = f", {place['metric']} {place['value']:.3f} on {place['benchmark']}" if place["benchmark"] else ""
        yield "went to", f"set {place['training_set']} place {place['position']} of {place['size']:,}{run}{score}"


def _check_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    checks = found["checks"]
    if checks:
        if found["superseded"]:
            failed = any(check["verdict"] == "fail" for check in checks)
            yield "checked", "kept out at the time" if failed else "accepted at the time"
        else:
            # The link's own words: of the checks that failed one may be off by now.
            kept_out = found["link_state"] == "rejected"
            yield "checked", f"kept out by {found['link_error']}" if kept_out else "accepted"
    for verdict, label in (("fail", "failed"), ("warn", "warned")):
        for check in checks:
            if check["verdict"] == verdict:
                yield f"  {label}", f"{check['name']} {check['score']:.3g}{_evidence(check)}"
    passed = [f"{check['name']} {check['score']:.3g}" for check in checks if check["verdict"] == "pass"]
    if passed:
        yield "  passed", ", ".join(passed)


def _evidence(check: dict[str, Any]) -> str:
    """What was seen, one thing after the other: ` (of example 3; text: ...)`."""
    seen = [] if check["other_example_id"] is None else [f"of example {check['other_example_id']}"]
    for key, value in check["evidence"].items():
        plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        seen.append(f"{key.replace('_', ' ')}: {_short(plain, 120)}")
    return f" ({'; '.join(seen)})" if seen else ""


def _short(value: str, limit: int) -> str:
    line = " ".join(value.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Lineage")(why)
