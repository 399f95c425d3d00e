"""Loading published data: all of one import or nothing, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from rebase_db import __version__
from rebase_db.audit import rows as source_rows
from rebase_db.audit.candidates import candidate_texts, cell_columns, cell_hashes
from rebase_db.audit.place import LIKELY, Placed, place
from rebase_db.audit.published import (
    ExampleColumns,
    Published,
    RowKey,
    read_examples,
    read_ranking,
)
from rebase_db.audit.receipt import ImportReceipt
from rebase_db.audit.tables import Table, open_table
from rebase_db.errors import SourceError, UnknownNameError, did_you_mean
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.schema import Dataset, LikelySource, Publication, PublishedExample, PublishedRank, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from rebase_db.audit.directory import Directory
    from rebase_db.audit.rows import Row, RowId
    from rebase_db.ingest.receipt import Receipt
    from rebase_db.ingest.source import OnError


def import_rebase(
    engine: Engine,
    found: Directory,
    *,
    task: str,
    uri: str,
    name: str | None,
    on_error: OnError,
    say: Callable[[str], None] = lambda _: None,
) -> ImportReceipt:
    """Load a ranking and outputs in the form of the authors of ReBase, and the rows that are with them.

    Raises:
        SourceError: A file is faulty; nothing of the publication is loaded.
        UnknownNameError: There is no such task.
    """
    _check_task(engine, task)
    tables = {kind: open_table(path, on_error) for kind, path in _files(found) if path is not None}
    published = Published()
    if "ranking" in tables:
        say("ranking")
        published.ranking = read_ranking(tables["ranking"])
    if "outputs" in tables:
        say("outputs")
        published.examples = read_examples(tables["outputs"], ExampleColumns())
    work = _Import(engine, task, "rebase", uri, name or f"{task}-published", named=bool(name), say=say)
    known = work.known(list(tables.values()))
    if known is not None:
        return known
    loaded = _load_rows(engine, found.rows, {one.key.dataset for one in published.ranking}, say) if found.rows else []
    receipt = work.write(published, list(tables.values()), candidates=())
    receipt.datasets = loaded
    return receipt


def import_examples(
    engine: Engine,
    path: Path,
    *,
    task: str,
    columns: ExampleColumns,
    datasets: Sequence[str],
    name: str | None,
    on_error: OnError,
    say: Callable[[str], None] = lambda _: None,
) -> ImportReceipt:
    """Load examples from one file; those without a reference are looked for in the rows of `datasets`, by text.

    Raises:
        SourceError: The file is faulty; nothing is loaded.
        UnknownNameError: There is no such task or dataset.
    """
    _check_task(engine, task)
    with engine.connect() as connection:
        there = list(connection.execute(select(Dataset.name)).scalars())
    for dataset in datasets:
        if dataset not in there:
            raise UnknownNameError(f"There is no dataset {dataset!r}.", hint=did_you_mean(dataset, there))
    table = open_table(path, on_error)
    say("examples")
    published = Published(examples=read_examples(table, columns))
    given = name or f"{task}-{table.file.stem}"
    work = _Import(engine, task, "examples", table.file.uri, given, named=bool(name), say=say)
    return work.known([table]) or work.write(published, [table], candidates=datasets)


@dataclass(slots=True)
class _Import:
    engine: Engine
    task: str
    form: str
    uri: str
    name: str
    named: bool
    say: Callable[[str], None]

    def known(self, tables: list[Table]) -> ImportReceipt | None:
        """The receipt of the same files, imported for the task before; under another name they are new.

        Raises:
            SourceError: The name is taken by other files.
        """
        hashes = sorted(table.file.revision for table in tables)
        with self.engine.connect() as connection:
            there = connection.execute(
                select(
                    Publication.publication_id, Publication.name, Publication.files, Publication.created_at, Task.name
                )
                .join(Task)
                .order_by(Publication.publication_id)
            ).all()
        for publication_id, name, files, created_at, task in there:
            same = task == self.task and sorted(files.values()) == hashes
            if same and (not self.named or name == self.name):
                return ImportReceipt(name, publication_id, created_at, known=True)
        if any(name == self.name for _, name, *_ in there):
            raise SourceError(f"The publication {self.name!r} is of other files.", hint="Give this one another --name.")
        return None

    def write(self, published: Published, tables: list[Table], candidates: Sequence[str]) -> ImportReceipt:
        with self.engine.connect() as connection:
            keys = [one.key for one in published.ranking]
            keys += [one.key for one in published.examples if one.key is not None]
            resolved = source_rows.resolve(connection, keys)
            ids = [resolved.get(one.key) for one in published.ranking]
            if candidates:
                ids = list(source_rows.of_datasets(connection, candidates))
            contents = source_rows.fetch(connection, {one for one in ids if one is not None})
        texts = candidate_texts(published.ranking, ids, contents)
        # What is stated is not guessed again, as long as it leads to a row.
        open_ = [one for one in published.examples if one.key is None or one.key not in resolved]
        if open_ and texts:
            self.say("aligning")
        # A stated reference breaks no order: all outputs are aligned, and the guesses for the others kept.
        placed = (
            place([(one.input, one.output) for one in published.examples], texts, ordered=not candidates)
            if open_
            else Placed([[] for _ in published.examples], None)
        )
        self.say("writing")
        with self.engine.begin() as connection:
            receipt = self._publication(connection, tables)
            receipt.rejected = [row for table in tables for row in table.rejected]
            self._ranking(connection, published, resolved, contents, receipt)
            self._examples(connection, published, resolved, placed, ids, receipt)
        return receipt

    def _publication(self, connection: Connection, tables: list[Table]) -> ImportReceipt:
        files = {table.file.path.name: table.file.revision for table in tables}
        if len(files) < len(tables):
            # A ranking and outputs of the same name, each in its folder.
            paths = ((table.file.path, table.file.revision) for table in tables)
            files = {f"{path.parent.name}/{path.name}": revision for path, revision in paths}
        values = {
            "task_id": _task_id(connection, self.task),
            "name": self.name,
            "form": self.form,
            "uri": self.uri,
            "files": files,
            "code_version": __version__,
        }
        made = connection.execute(
            upsert(Publication)
            .values(values)
            .on_conflict_do_nothing(index_elements=["name"])
            .returning(Publication.publication_id, Publication.created_at)
        ).one_or_none()
        if made is None:
            raise SourceError(
                f"A publication {self.name!r} was imported at the same time.", hint="Look whether it is this one."
            )
        return ImportReceipt(self.name, *made)

    def _ranking(
        self,
        connection: Connection,
        published: Published,
        resolved: dict[RowKey, RowId],
        contents: dict[RowId, Row],
        receipt: ImportReceipt,
    ) -> None:
        values: list[dict[str, Any]] = []
        unresolved: dict[str, int] = {}
        for one in published.ranking:
            row = resolved.get(one.key)
            reference = one.key.as_reference() | {"rank": one.stated_rank}
            if row is None:
                unresolved[one.key.dataset] = unresolved.get(one.key.dataset, 0) + 1
                reference |= cell_hashes(one)
            else:
                receipt.ranked_rows += 1
                columns = cell_columns(one, contents[row])
                reference |= columns
                receipt.other_cells += any(column is None for column in columns.values())
            values.append(
                {
                    "publication_id": receipt.publication_id,
                    "rank": one.rank,
                    "score": one.score,
                    "row_reference": reference,
                    "dataset_id": row[0] if row else None,
                    "row_id": row[1] if row else None,
                }
            )
        if values:
            connection.execute(insert(PublishedRank), values)
        receipt.ranked = len(values)
        receipt.unresolved = dict(sorted(unresolved.items(), key=lambda item: (-item[1], item[0])))

    def _examples(
        self,
        connection: Connection,
        published: Published,
        resolved: dict[RowKey, RowId],
        placed: Placed,
        ids: Sequence[RowId | None],
        receipt: ImportReceipt,
    ) -> None:
        receipt.examples, receipt.order = len(published.examples), placed.order
        if not published.examples:
            return
        numbers = connection.execute(
            insert(PublishedExample).returning(PublishedExample.published_example_id, sort_by_parameter_order=True),
            [
                {
                    "publication_id": receipt.publication_id,
                    "position": one.position,
                    "input": one.input,
                    "output": one.output,
                    "row_reference": one.reference,
                    "content_hash": one.content_hash,
                }
                for one in published.examples
            ],
        ).scalars()
        links: list[dict[str, Any]] = []
        for number, one, guesses in zip(numbers, published.examples, placed.guesses, strict=True):
            stated = resolved.get(one.key) if one.key else None
            if stated is not None:
                links.append(_link(number, stated, "stated", 1.0, {}))
                receipt.stated += 1
                continue
            receipt.unknown += one.reference is not None
            # A row that is not in the database has no likely source, however sure its place in the ranking is.
            known = [(ids[guess.row], guess) for guess in guesses]
            found = [_link(number, row, each.method, each.confidence, each.evidence) for row, each in known if row]
            links += found
            if found and found[0]["confidence"] >= LIKELY:
                receipt.placed[found[0]["method"]] = receipt.placed.get(found[0]["method"], 0) + 1
            else:
                receipt.unplaced += 1
        if links:
            connection.execute(insert(LikelySource), links)


def _files(found: Directory) -> list[tuple[str, Path | None]]:
    return [("ranking", found.ranking), ("outputs", found.outputs)]


def _check_task(engine: Engine, task: str) -> None:
    with engine.connect() as connection:
        _task_id(connection, task)


def _task_id(connection: Connection, task: str) -> int:
    found = connection.execute(select(Task.task_id).where(Task.name == task)).scalar_one_or_none()
    if found is None:
        names = list(connection.execute(select(Task.name)).scalars())
        hint = did_you_mean(task, names) or "Add it with `rebase task add`: its worked examples and labels are needed."
        raise UnknownNameError(f"There is no task {task!r}.", hint=hint)
    return int(found)


def _load_rows(engine: Engine, folder: Path, wanted: set[str], say: Callable[[str], None]) -> list[Receipt]:
    """Load the datasets of a folder that the ranking names and the database does not have."""
    with engine.connect() as connection:
        wanted -= set(connection.execute(select(Dataset.name).where(Dataset.name.in_(wanted))).scalars())
    receipts: list[Receipt] = []
    if wanted:
        for source in open_sources([str(folder)]):
            if source.name in wanted:
                say(f"rows of {source.name}")
                receipts.append(load_dataset(engine, source))
    return receipts


def _link(number: int, row: RowId, method: str, confidence: float, evidence: Any) -> dict[str, Any]:
    return {
        "published_example_id": number,
        "dataset_id": row[0],
        "row_id": row[1],
        "method": method,
        "confidence": confidence,
        "evidence": dict(evidence),
    }
