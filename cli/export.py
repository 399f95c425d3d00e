"""`rebase export`: a training set or a run in the forms others read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from rebase_db.export.write import Exported

Form = Literal["prov", "prov-n", "openlineage", "croissant", "ml-bom", "dataset-card", "model-card"]


def export(
    what: Annotated[str, typer.Argument(metavar="REFERENCE", help="set:NAME or run:NUMBER.")],
    form: Annotated[Form, typer.Option("--as", help="The form; prov and prov-n are W3C PROV, ml-bom is CycloneDX.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder; by default stdout."),
    ] = None,
    records: Annotated[
        bool,
        typer.Option(
            help="Name every row and example (prov), or write them beside the document (croissant and dataset-card, "
            "into a folder)."
        ),
    ] = True,
    forbid: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Refuse this duty or licence too, such as non-commercial; may be repeated."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Let this duty or licence through, whatever the task's policy; may be repeated."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send OpenLineage events as its client is configured (OPENLINEAGE_URL).")
    ] = False,
) -> None:
    """Write a training set or a run as provenance, metadata, bill of materials or card.

    Exit code 9: the task's policy, or --forbid, forbids a licence of one of its sources; nothing is written then.
    """
    from cli.output import talk
    from cli.session import open_database
    from rebase_db.export.write import WITH_RECORDS, Target, events, snapshot
    from rebase_db.export.write import export as write

    if send and form != "openlineage":
        raise typer.BadParameter("Only OpenLineage events can be sent: --as openlineage.")
    target = Target.of(form, output)
    with snapshot(open_database()) as connection:
        made = write(
            connection,
            what,
            form,
            target,
            records=records,
            force=force,
            forbid=forbid or [],
            allow=allow or [],
        )
        if send:
            from rebase_db.export.openlineage_events import send as emit

            found = events(connection, made.subject)
            talk.print(f"{len(found)} events sent by {emit(found)}.")
        told = list(_warnings(connection, made))
    if target.file is None and not send:
        sys.stdout.write(made.text)
    for path in made.files:
        talk.print(f"Wrote {path}.", markup=False, soft_wrap=True)
    for line in told:
        talk.print(line, markup=False, soft_wrap=True)
    if form in WITH_RECORDS and records and target.folder is None:
        talk.print("The records are not written: name a folder with --output for them.")


def _warnings(connection: Connection, made: Exported) -> Iterator[str]:
    """What whoever passes the export on should know."""
    from rebase_db.licence.verdict import warnings
    from rebase_db.retract.members import without_retracted

    yield from warnings(made.verdict)
    training_set = made.subject.training_set
    for each in training_set.retractions:
        yield (
            f"{each['examples']:,} of {training_set.size:,} examples come from rows that were withdrawn: retraction "
            f"{each['retraction_id']}, {each['kind']} {each['target']} ({each['reason']})."
        )
    if training_set.retractions:
        yield without_retracted(connection, training_set.training_set_id)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Lineage")(export)
