"""`rebase ingest` and `embed`: the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import datasets
from cli.database import JsonOption

if TYPE_CHECKING:
    from rebase_db.ingest.receipt import Receipt

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
    match: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="How rows of a newer release are matched with those that are there: content, index, key (the source's"
            " own, __row_id) or key=COLUMN. By default by key where each row has its own, else by content.",
        ),
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="At most this many rows a split, at an even stride.")
    ] = None,
    on_error: Annotated[
        Literal["fail", "skip"], typer.Option(help="A faulty row refuses its dataset, or is left out and listed.")
    ] = "fail",
    as_json: JsonOption = False,
) -> None:
    """Load datasets, each whole or not at all; of a newer release of one that is there, only what changed."""
    from cli.output import TerminalReporter, emit_json
    from cli.session import open_database
    from rebase_db.ingest.match import match_by
    from rebase_db.ingest.open import open_sources
    from rebase_db.ingest.source import OnError
    from workers.pipeline import ingest_sources

    way = None if match is None else match_by(match)
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
    receipts = ingest_sources(open_database(), TerminalReporter(), opened, max_rows=max_rows, match=way)
    if as_json:
        emit_json([receipt.as_dict() for receipt in receipts])
    else:
        _show_receipts(receipts)
    _say_what_else(receipts)


def _show_receipts(receipts: list[Receipt]) -> None:
    from cli.output import table

    columns = ("dataset", "added", "changed", "removed", "unchanged", "texts", "cells", "left out")
    shown = [
        (
            one.dataset,
            one.rows_added,
            one.rows_changed,
            one.rows_removed,
            one.rows_unchanged,
            one.texts_added,
            one.cells_added,
            len(one.rejected),
        )
        for one in receipts
    ]
    total = ("total", *(sum(row[place] for row in shown) for place in range(1, len(columns))))  # type: ignore[misc]
    table(columns, [*shown, total] if len(shown) > 1 else shown, numbers=columns[1:])


def _say_what_else(receipts: list[Receipt]) -> None:
    """Say what the table has no place for: how rows were matched, columns, and what was left out or let be."""
    from cli.output import talk

    for receipt in receipts:
        if receipt.match_by is not None and receipt.ingest_id:
            talk.print(f"{receipt.dataset}: rows matched by {receipt.match_by}", style="dim", markup=False)
        for change in receipt.changed_columns:
            talk.print(f"{receipt.dataset} {change.config}/{change.split}: {change}", style="yellow", markup=False)
        if receipt.rows_unseen:
            talk.print(
                f"{receipt.dataset}: {receipt.rows_unseen:,} rows that are there are not in the sample;"
                " a sample removes nothing.",
                style="yellow",
                markup=False,
            )
        if receipt.rows_retracted:
            talk.print(
                f"{receipt.dataset}: {receipt.rows_retracted:,} of the new rows stand for retracted ones"
                " and are retracted with them.",
                style="yellow",
                markup=False,
            )
        for column, reason in dict(receipt.left_out).items():
            talk.print(f"{receipt.dataset}: column {column!r} left out: {reason}", style="yellow", markup=False)
    rejected = [row for receipt in receipts for row in receipt.rejected]
    for row in rejected[:REJECTED_SHOWN]:
        place = f"line {row.line}" if row.line is not None else f"row {row.source_index}"
        where = f", column {row.column!r}" if row.column is not None else ""
        talk.print(f"{row.uri}, {place}{where}: {row.reason}", style="yellow", markup=False)
    if len(rejected) > REJECTED_SHOWN:
        talk.print(
            f"… and {len(rejected) - REJECTED_SHOWN:,} more rows, all in table ingest_rejection.", style="yellow"
        )


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
    app.command(rich_help_panel="Corpus")(ingest)
    app.add_typer(datasets.datasets, name="datasets", rich_help_panel="Corpus")
    app.command(rich_help_panel="Corpus")(embed)
