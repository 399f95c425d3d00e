"""`rebase why`: where an example comes from; and the other commands about lineage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import impact, trace
from cli.database import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebase_db.lineage.prompt_again import PromptAgain


def why(
    example: Annotated[str, typer.Argument(metavar="EXAMPLE", help="The example's number, with or without example:.")],
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Also make its prompt again, and say whether the hash agrees.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show an example's way back to its source row, and where it went."""
    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.lineage.prompt_again import prompt_again
    from rebase_db.lineage.why import why as find
    from rebase_db.reference import parse

    reference = parse(example if ":" in example else f"example:{example}", ("example",))
    with open_database().connect() as connection:
        found = find(connection, int(reference.key))
        again = prompt_again(connection, found["generation_id"]) if prompt else None
    if as_json:
        made = {} if again is None else {"prompt": {name: getattr(again, name) for name in again.__slots__}}
        emit_json(found | made)
        return
    show(found)
    if again is not None:
        _show_prompt(again)


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


def _show_prompt(again: PromptAgain) -> None:
    from cli.output import data, talk

    for message in again.messages:
        data.print(f"\n[bold]{message['role']}[/]")
        data.print(message["content"], markup=False, soft_wrap=True)
    if again.agrees:
        talk.print("\nThis is the prompt that was sent: its hash agrees.")
    elif again.messages:
        talk.print(f"\nThis is not exactly what was sent, its hash is another: {again.reason}.", markup=False)
    else:
        talk.print(f"\nThere is no prompt to show: {again.reason}.", markup=False)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "example", f"{found['example_id']} of task {found['task']} version {found['task_version']}"
    if found["example_erased_by"] is not None:
        yield "  erased", f"by retraction {found['example_erased_by']}; its hash {found['example_hash']} stays"
    else:
        yield "  input", _short(found["input"], 400)
        yield "  output", _short(found["output"], 200)
    if found["rationale"]:
        yield "  rationale", _short(found["rationale"], 400)
    yield from _call_lines(found)
    for relative in found["family"]:
        label = "made from" if relative["relation"] == "parent" else "made into"
        yield label, f"example {relative['example_id']} ({relative['row']}): {_short(relative['input'], 120)}"
    yield from _check_lines(found)
    if found["displaced_by"] is not None:
        yield "displaced", f"by retrieval {found['displaced_by']}; the rank below is its last one"
    yield "retrieved", _rank(found)
    yield "  input", f"{found['input_score']:.3f}  {found['input_column']}: {_cell(found['input_cell'])}"
    yield "  output", f"{found['output_score']:.3f}  {found['output_column']}: {_cell(found['output_cell'])}"
    yield "  dataset", f"{found['dataset_score']:.3f}  {_cell(found['description'])}"
    licence = found["licence"] or "licence unknown"
    yield "source", f"{found['dataset']} {found['config']}/{found['split']} row {found['source_index']} ({licence})"
    yield from _release_lines(found)
    for retraction in found["retractions"]:
        yield from _retraction_lines(retraction)
    yield (
        "  from",
        f"{found['split_uri']} revision {found['revision'][:12]}, loaded {found['ingested_at']:%Y-%m-%d %H:%M}",
    )
    yield "  hash", found["content_hash"]
    if found["row_erased_by"] is not None:
        yield "  erased", f"by retraction {found['row_erased_by']}; below are the SHA-256 of the texts that stood there"
    for column, value in found["content"].items():
        yield f"  {column}", _short(value, 300)
    for mirror in found["mirrors"]:
        yield "mirrored by", mirror["row"]
    yield from _went_lines(found["went"])


def _went_lines(went: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """A line for each set and run; the run's scores follow each other."""
    lines: dict[tuple[str, int | None], str] = {}
    for place in went:
        key = (place["training_set"], place["training_run_id"])
        if key not in lines:
            run = f", run {place['training_run_id']} ({place['run_state']})" if place["training_run_id"] else ""
            lines[key] = f"set {place['training_set']} place {place['position']} of {place['size']:,}{run}"
        if place["benchmark"]:
            lines[key] += f", {place['metric']} {place['value']:.3f} on {place['benchmark']}"
    yield from (("went to", line) for line in lines.values())


def _call_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    model = " ".join(part for part in (found["teacher_provider"], found["teacher_model"]) if part)
    cost = f", cost {found['cost']}" if found["cost"] else ""
    yield "made by", f"{model}, call {found['generation_id']}, {found['generated_at']:%Y-%m-%d %H:%M}{cost}"
    yield "  prompt", f"{found['prompt_name']}, hash {found['prompt_hash'][:12]}"
    if found["answer_erased_by"] is not None:
        yield "  answer", f"erased by retraction {found['answer_erased_by']}"
    elif found["raw_answer"] is not None:
        yield "  answer", _short(found["raw_answer"], 300)
    if found["reused_from"] is not None:
        yield "  reused", f"the answer of call {found['reused_from']} to the same prompt; nothing was sent"
    if found["superseded"]:
        yield "superseded", "by a later attempt at the same row; what is said of the row below stays"


def _rank(found: dict[str, Any]) -> str:
    said = f"rank {found['rank']} of the top {found['top_n']:,} of {found['rows_scored'] or 0:,} rows"
    digits = ".4f" if found["scoring"] == "average-score" else "g"
    score = f"{found['scoring']} {found['score']:{digits}}"
    if found["margin"] is None:
        return f"{said}, {score}"
    side = "above" if found["scoring"] == "average-score" else "before"
    return f"{said}, {score}, {found['margin']:{digits}} {side} the cut at {found['cutoff_score']:{digits}}"


def _retraction_lines(retraction: dict[str, Any]) -> Iterator[tuple[str, str]]:
    named = f"retraction {retraction['retraction_id']}"
    if retraction["undone_at"] is not None:
        reason = _short(retraction["undo_reason"], 120)
        yield "  returned", f"from {named} ({_short(retraction['reason'], 120)}): {reason}"
    else:
        since = f"{retraction['created_at']:%Y-%m-%d %H:%M}"
        yield "  retracted", f"by {named} since {since}: {_short(retraction['reason'], 200)}"


def _release_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if found["previous"] is not None:
        yield "  was before", f"{found['previous']}, whose content changed"
    if found["removed_at"] is None:
        return
    since = f"since {found['removed_at']:%Y-%m-%d %H:%M}, load {found['removed_by']}"
    if found["became"] is None:
        yield "  removed", f"{since}: its source has it no more"
        return
    yield "  changed", f"{since}: it is {found['became']} now"
    if found["row_erased_by"] is None and found["became_erased_by"] is None:
        before, after = found["content"], found["became_content"]
        for column in dict.fromkeys((*before, *after)):
            if before.get(column) != after.get(column):
                words = (
                    _short(content[column], 120) if column in content else "nothing" for content in (before, after)
                )
                yield f"    {column}", " → ".join(words)


def _cell(words: str | None) -> str:
    return "(erased)" if words is None else _short(words, 120)


def _check_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    checks = found["checks"]
    if checks:
        if found["superseded"]:
            failed = any(check["verdict"] == "fail" for check in checks)
            yield "checked", "kept out at the time" if failed else "accepted at the time"
        else:
            # The link's own words: of the checks that failed one may be off by now.
            kept_out = found["link_state"] == "rejected"
            since = {"retracted": "retracted_at", "displaced": "displaced_by", "erased": "example_erased_by"}
            no_more = [word for word, name in since.items() if found[name] is not None]
            accepted = f"accepted at the time, {' and '.join(no_more)} since" if no_more else "accepted"
            yield "checked", f"kept out by {found['link_error']}" if kept_out else accepted
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
    trace.add_to(app)
    impact.add_to(app)
