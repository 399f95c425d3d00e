"""`rebase ingest`, `datasets`, `embed`: the corpus."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.database import JsonOption

REJECTED_SHOWN = 20  # a screenful; the rest is in the table ingest_rejection


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files (Parquet, JSONL, CSV, TSV, also .gz), folders of datasets, or hf:NAME:CONFIG@REVISION."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Name of the dataset, for a single file.")] = None,
    config: Annotated[str | None, typer.Option(help="Name of the config, for a single file.")] = None,
    split: Annotated[str | None, typer.Option(help="Name of the split, for a single file.")] = None,
    description: Annotated[
        str | None, typer.Option(help="What the dataset is; retrieval compares it with tasks.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", "--license", help="Its licence, as SPDX id.")] = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="At most this many rows a split, at an even stride.")
    ] = None,
    on_error: Annotated[
        Literal["fail", "skip"], typer.Option(help="A faulty row refuses its dataset, or is left out and listed.")
    ] = "fail",
    as_json: JsonOption = False,
) -> None:
    """Load datasets, each whole or not at all; what is there already is not loaded again."""
    from cli.output import TerminalReporter, emit_json, table, talk
    from cli.session import open_database
    from rebase_db.ingest.open import open_sources
    from rebase_db.ingest.source import OnError
    from workers.pipeline import ingest_sources

    opened = open_sources(
        sources,
        name=name,
        config=config,
        split=split,
        description=description,
        licence=licence,
        max_rows=max_rows,
        on_error=OnError(on_error),
    )
    receipts = ingest_sources(open_database(), TerminalReporter(), opened, max_rows=max_rows)
    rejected = [row for receipt in receipts for row in receipt.rejected]
    if as_json:
        emit_json([receipt.as_dict() for receipt in receipts])
    else:
        columns = ("dataset", "rows added", "unchanged", "texts", "cells", "left out")
        shown = [
            (one.dataset, one.rows_added, one.rows_unchanged, one.texts_added, one.cells_added, len(one.rejected))
            for one in receipts
        ]
        total = ("total", *(sum(row[place] for row in shown) for place in range(1, 6)))  # type: ignore[misc]
        table(columns, [*shown, total] if len(shown) > 1 else shown, numbers=columns[1:])
    for receipt in receipts:
        for column, reason in dict(receipt.left_out).items():
            talk.print(f"{receipt.dataset}: column {column!r} left out: {reason}", style="yellow", markup=False)
    for row in rejected[:REJECTED_SHOWN]:
        place = f"line {row.line}" if row.line is not None else f"row {row.source_index}"
        where = f", column {row.column!r}" if row.column is not None else ""
        talk.print(f"{row.uri}, {place}{where}: {row.reason}", style="yellow", markup=False)
    if len(rejected) > REJECTED_SHOWN:
        talk.print(
            f"… and {len(rejected) - REJECTED_SHOWN:,} more rows, all in table ingest_rejection.", style="yellow"
        )


def datasets(as_json: JsonOption = False) -> None:
    """List the datasets of the corpus."""
    from cli.output import emit
    from cli.session import open_database
    from rebase_db.analytics import overview

    with open_database().connect() as connection:
        found = overview.datasets(connection)
    if not as_json:  # a terminal has no room for these
        left_out = {"uri", "last_ingest"} | (set() if any(one["withdrawn_by"] for one in found) else {"withdrawn_by"})
        found = [{name: value for name, value in one.items() if name not in left_out} for one in found]
    emit(found, as_json=as_json, numbers=["splits", "rows", "texts", "cells", "withdrawn_by"])


def embed(
    encoder: Annotated[str, typer.Option(help="A sentence-transformers model, by hub name or folder.")] = (
        "sentence-transformers/all-MiniLM-L6-v2"
    ),
) -> None:
    """Embed every text of the corpus that has no vector yet; stop and go on whenever you like."""
    from cli.output import TerminalReporter, talk
    from cli.session import open_database
    from rebase_db.embed.encoder import load_encoder
    from rebase_db.lease import Lease
    from workers.pipeline import embed_corpus, encoder_identity_of, register

    engine = open_database()
    encoder_id = register(engine, encoder_identity_of(encoder))
    with Lease(engine) as lease:
        embed_corpus(engine, lease, TerminalReporter(), encoder_id, lambda: load_encoder(encoder))
    talk.print("Every text has a vector.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (ingest, datasets, embed):
        app.command(rich_help_panel="Corpus")(command)
