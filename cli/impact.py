"""`rebase impact`: how much came of a row, a dataset, a licence, a teacher or a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import JsonOption

if TYPE_CHECKING:
    from rebase_db.lineage.impact import Impact


def impact(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="KIND:KEY",
            help="dataset:NAME, row:DATASET:CONFIG/SPLIT:INDEX, licence:TEXT, teacher:N or prompt:N; "
            "also task:NAME, encoder:N, retrieval:N, retraction:N.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Count what came of a row, a dataset, a licence, a teacher or a prompt, stage by stage."""
    import dataclasses

    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.lineage.impact import impact as count
    from rebase_db.lineage.scope import IMPACT_KINDS, scope_of
    from rebase_db.reference import find

    # One picture of the database for all the counts.
    engine = open_database().execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        node = find(connection, reference, IMPACT_KINDS)
        found = count(connection, scope_of(connection, node))
    if as_json:
        emit_json({"reference": str(node.reference), **dataclasses.asdict(found)})
    else:
        _show(str(node.reference), found)


def _show(reference: str, found: Impact) -> None:
    from cli.output import confidence, data, table

    counts = (
        ("rows", found.rows, f"{found.rows_retrieved:,} of them retrieved for a task"),
        ("links", found.links, ""),
        ("calls", found.calls, _calls(found)),
        ("examples", found.examples, _examples(found)),
        ("derived", found.derived, "examples of other origin, made from those"),
        ("judged", found.judged or 0, "examples, whoever made them"),
        ("sets", len(found.sets), ""),
        ("runs", len(found.runs), ""),
    )
    data.print(reference, style="bold", markup=False)
    # A stage that nothing came to is not a line: of most records it could not be otherwise.
    came = [line for line in counts if line[1]]
    if came:
        table(["what", "count", ""], came, numbers=["count"])
    if not (found.links or found.judged or found.published):
        data.print("Nothing came of it.")
    if found.sets:
        data.print()
        table(
            ["set", "examples", "of", "share"],
            [[each.name, each.examples, each.size, f"{each.share:.1%}"] for each in found.sets],
            numbers=["examples", "of", "share"],
        )
    if found.runs:
        data.print()
        table(
            ["run", "set", "share", "state", "scores"],
            [
                [
                    each.training_run_id,
                    each.training_set,
                    f"{each.share:.1%}",
                    each.state,
                    ", ".join(f"{score.metric} {score.value:.3f} on {score.benchmark}" for score in each.scores),
                ]
                for each in found.runs
            ],
            numbers=["run", "share"],
        )
    if found.published:
        data.print()
        table(
            ["published", "likely from here", "of", "stated", "best confidence"],
            [
                [each.name, each.examples, each.size, each.stated, confidence(each.best_confidence)]
                for each in found.published
            ],
            numbers=["likely from here", "of", "stated", "best confidence"],
        )


def _calls(found: Impact) -> str:
    used_again = found.calls - found.calls_sent
    parts = [f"{used_again:,} used a stored answer" if used_again else "", f"cost {found.cost}" if found.cost else ""]
    return ", ".join(part for part in parts if part)


def _examples(found: Impact) -> str:
    names = ("retracted", "displaced", "accepted", "kept_out", "superseded")
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name in names if (count := getattr(found, name)))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Lineage")(impact)
