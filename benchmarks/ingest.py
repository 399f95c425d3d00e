"""Ingest of the real corpus against the usual ways of filling the same tables, and against raw COPY of the same bytes.

All sides read the same Parquet files and leave the same rows in the same tables under the same keys and checks:

- `rebase ingest`: open_sources and load_dataset.
- `ORM add_all`: a Session, one object a row, flushed and committed a dataset.
- `ORM bulk insert`: a Session, `insert(Model)` with a list of dictionaries a table ("ORM Bulk INSERT Statements" in
  SQLAlchemy's documentation), committed a dataset.
- `pandas to_sql`: one DataFrame a table, with its defaults.
- `raw COPY`: the finished tables copied out beforehand, copied in again without reading, hashing or numbering anything.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
from sqlalchemy import LargeBinary, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from benchmarks.common import Timings, arguments, data_folder, fresh_database, peak_mib, peak_of, server
from rebase_db.database.copy import driver
from rebase_db.hashing import canonical_json
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.schema import Base, Cell, Dataset, DatasetColumn, DatasetSplit, Ingest, IngestSplit, SourceRow, TextValue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

TABLES = ("dataset", "dataset_split", "dataset_column", "ingest", "ingest_split", "text", "source_row", "cell")
MODELS: dict[str, type[Base]] = {
    "dataset_split": DatasetSplit,
    "dataset_column": DatasetColumn,
    "ingest": Ingest,
    "ingest_split": IngestSplit,
    "text": TextValue,
    "source_row": SourceRow,
    "cell": Cell,
}


def rebase(engine: Engine, corpus: Path) -> None:
    """This project's way."""
    for source in open_sources([str(corpus)]):
        load_dataset(engine, source)


def records(corpus: Path) -> Iterator[tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]]:
    """The corpus as dictionaries: a dataset, and its rows by table, still without the dataset's id."""
    descriptions = json.loads((corpus / "descriptions.json").read_text())
    for folder in sorted(path for path in corpus.iterdir() if path.is_dir()):
        name = folder.name.replace("__", "/")
        ids: dict[str, int] = {}
        columns: dict[str, int] = {}
        rows: dict[str, list[dict[str, Any]]] = {table: [] for table in MODELS}
        rows["ingest"].append({"ingest_id": 1, "code_version": "benchmark"})

        def text_id(value: str, ids: dict[str, int] = ids, rows: dict[str, list[dict[str, Any]]] = rows) -> int:
            if value not in ids:
                ids[value] = len(ids) + 1
                digest = hashlib.sha256(value.encode()).digest()
                rows["text"].append({"text_id": ids[value], "sha256": digest, "text": value})
            return ids[value]

        text_id(descriptions.get(name) or name)
        for split_id, path in enumerate(sorted(folder.glob("*.parquet")), 1):
            rows["dataset_split"].append(
                {"split_id": split_id, "config": path.stem, "split": "train", "uri": str(path)}
            )
            rows["ingest_split"].append({"ingest_id": 1, "split_id": split_id, "revision": "benchmark"})
            for source_index, row in enumerate(pq.read_table(path).to_pylist()):
                key = row.pop("__row_id")
                content = {column: value for column, value in row.items() if value is not None}
                row_id = len(rows["source_row"]) + 1
                rows["source_row"].append(
                    {
                        "row_id": row_id,
                        "ingest_id": 1,
                        "split_id": split_id,
                        "source_index": source_index,
                        "source_key": key,
                        "content": content,
                        "content_hash": hashlib.sha256(canonical_json(content).encode()).digest(),
                    }
                )
                for column, value in content.items():
                    column_id = columns.setdefault(column, len(columns) + 1)
                    rows["cell"].append({"row_id": row_id, "column_id": column_id, "text_id": text_id(value)})
        rows["dataset_column"] += [{"column_id": column_id, "name": column} for column, column_id in columns.items()]
        dataset = {"name": name, "uri": str(folder), "description_text_id": 1, "description_given": True}
        yield dataset, rows


def orm_bulk(engine: Engine, corpus: Path) -> None:
    """ORM bulk INSERT statements."""
    for dataset, rows in records(corpus):
        with Session(engine) as session, session.begin():
            dataset_id = session.execute(insert(Dataset).values(dataset).returning(Dataset.dataset_id)).scalar_one()
            for table, model in MODELS.items():
                if rows[table]:
                    session.execute(insert(model), [{"dataset_id": dataset_id, **row} for row in rows[table]])


def orm_add_all(engine: Engine, corpus: Path) -> None:
    """ORM objects."""
    for dataset, rows in records(corpus):
        with Session(engine) as session, session.begin():
            parent = Dataset(**dataset)
            session.add(parent)
            session.flush()
            for table, model in MODELS.items():
                session.add_all([model(dataset_id=parent.dataset_id, **row) for row in rows[table]])
                session.flush()


def to_sql(engine: Engine, corpus: Path) -> None:
    """A DataFrame a table."""
    for dataset, rows in records(corpus):
        with engine.begin() as connection:
            pd.DataFrame([dataset]).to_sql("dataset", connection, if_exists="append", index=False)
            dataset_id = connection.execute(
                select(Dataset.dataset_id).where(Dataset.name == bindparam("name")), {"name": dataset["name"]}
            ).scalar_one()
            for table in MODELS:
                frame = pd.DataFrame(rows[table]).assign(dataset_id=dataset_id)
                # What to_sql cannot guess from objects; everything else is its default.
                types = {"content": JSONB, "content_hash": LargeBinary, "sha256": LargeBinary}
                known: Any = {column: kind for column, kind in types.items() if column in frame}
                frame.to_sql(table, connection, if_exists="append", index=False, dtype=known)


def copy_tables(engine: Engine, exported: dict[str, bytes]) -> None:
    """Raw COPY of exported tables."""
    with engine.begin() as connection:
        for table in TABLES:
            with driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(exported[table])


def export(engine: Engine) -> dict[str, bytes]:
    """Every table as COPY writes it."""
    exported = {}
    with engine.connect() as connection:
        for table in TABLES:
            with driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                exported[table] = b"".join(bytes(chunk) for chunk in copy)
    return exported


def counts(engine: Engine) -> tuple[int, ...]:
    """Rows of the large tables, so that no side is measured doing less."""
    with engine.connect() as connection:
        return tuple(
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - names of ours
            for table in ("dataset", "source_row", "text", "cell")
        )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only-rebase", action="store_true", help="ingest once and exit (for peak memory)")
    parsed = parser.parse_args()
    corpus = data_folder(parsed) / "corpus"
    with server() as url:
        if parsed.only_rebase:
            with fresh_database(url) as engine:
                rebase(engine, corpus)
            print(f"{peak_mib():.0f} MiB")
            return
        with fresh_database(url) as engine:
            rebase(engine, corpus)
            expected, exported = counts(engine), export(engine)

        def raw_copy(engine: Engine, _: Path) -> None:
            copy_tables(engine, exported)

        timings = Timings()
        for _ in range(parsed.repeats):
            for run in (rebase, orm_bulk, orm_add_all, to_sql, raw_copy):
                with fresh_database(url) as engine:
                    timings.measure(run.__name__, partial(run, engine, corpus))
                    if counts(engine) != expected:
                        sys.exit(f"{run.__name__} left {counts(engine)} rows, expected {expected}")
    print(f"{expected[1]:,} rows, {expected[2]:,} texts and {expected[3]:,} cells of {expected[0]} datasets.")
    timings.table("rebase", "ingest")
    print(f"\nPeak memory of `rebase ingest`: {peak_of('ingest', '--data', str(parsed.data), '--only-rebase'):.0f} MiB")


if __name__ == "__main__":
    main()
