"""One complete lineage, from dataset to prediction, with one row in every table."""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert

from rebase_db.database.engine import engine_for
from rebase_db.schema import Base
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

Row = dict[str, Any]
NOW = func.clock_timestamp()
WIDTH = 3


def digest(value: object) -> bytes:
    """Some SHA-256: the chain's hashes are well formed but need not be true."""
    return sha256(repr(value).encode()).digest()


def add(connection: Connection, table: str, /, **values: Any) -> Row:
    """Insert a row and return it as stored."""
    stored = Base.metadata.tables[table]
    return dict(connection.execute(insert(stored).values(values).returning(stored)).mappings().one())


def add_text(connection: Connection, dataset_id: int, text_id: int, text: str) -> Row:
    hashed = sha256(text.encode()).digest()
    return add(connection, "text", dataset_id=dataset_id, text_id=text_id, sha256=hashed, text=text)


def build(connection: Connection) -> dict[str, Row]:  # noqa: PLR0915 - a statement or two a table
    """Insert the lineage, every claimable row of it finished; its rows as stored, by table.

    Only `add_release` adds some of a later load.
    """
    chain: dict[str, Row] = {}

    def put(table: str, **values: Any) -> Row:
        chain[table] = add(connection, table, **values)
        return chain[table]

    def key(*columns: str) -> Row:
        """The values of key columns, each from the table it is the key of."""
        homes = {"link_id": "retrieval_link", "worker_id": "worker", "check_id": "check_definition"}
        return {column: chain[homes.get(column, column.removesuffix("_id"))][column] for column in columns}

    finished = {"finished_at": NOW, "attempt": 1}

    put("worker", host="here", pid=1, code_version="0", stopped_at=NOW)
    put("dataset", name="letters", uri="file:letters", licence="MIT", description_text_id=1, description_given=True)
    dataset = key("dataset_id")
    chain["text"] = add_text(connection, text_id=1, text="About letters.", **dataset)
    put("dataset_split", split_id=1, config="default", split="train", uri="file:letters", **dataset)
    put("dataset_column", column_id=1, name="letter", **dataset)
    put("ingest", ingest_id=1, code_version="0", **dataset)
    load = {**dataset, "ingest_id": 1, "split_id": 1}
    put("ingest_split", revision="a", **load)
    put("ingest_column", column_id=1, position=1, source_type="string", **load)
    put("ingest_rejection", source_index=7, reason="not a letter", **load)
    put("source_row", row_id=1, source_index=0, content={"letter": "a"}, content_hash=digest("a"), **load)
    put("cell", row_id=1, column_id=1, text_id=1, **dataset)

    put("encoder", name="e", revision="1", weights_hash=digest("e"), width=WIDTH, max_tokens=8, precision="float32")
    encoder = key("encoder_id")
    put("embed_chunk", first_text_id=1, last_text_id=1, state="done", **finished, **dataset, **encoder)
    put("embedding", text_id=1, width=WIDTH, vector=[1, 0, 0], **dataset, **encoder)

    put("task", name="letters", settings={})
    put(
        "task_version",
        version=1, instruction="Which letter?", retrieval_instruction="Which letter?", examples=[],
        retrieval_examples=[], reasoning=False, notes="", content_hash=digest("t"), **key("task_id"),
    )  # fmt: skip
    scope = key("task_version_id", "encoder_id")
    put("task_vector", input_mean=[1, 0, 0], output_mean=[0, 1, 0], instruction=[0, 0, 1], **scope)
    put("retrieval", top_n=1, scoring="max-rank", mirrors="first", state="done", rows_scored=1, **finished, **scope)
    retrieval = key("retrieval_id")
    put("retrieval_exclusion", **retrieval, **dataset)
    put(
        "retrieval_dataset",
        ranked=1, scored=1, entered=1, returned=0, kept=0, displaced=0, **retrieval, **dataset,
    )  # fmt: skip
    put(
        "row_score",
        dataset_score=0.5, row_ids=[1], input_scores=[0.5], output_scores=[0.5], input_columns=[1], output_columns=[1],
        **scope, **retrieval, **dataset,
    )  # fmt: skip
    put(
        "retrieval_link",
        row_id=1, input_column_id=1, output_column_id=1, input_score=0.5, output_score=0.5, dataset_score=0.5,
        score=0.5, rank=1, entered_by=retrieval["retrieval_id"], state="distilled", **finished, **scope, **dataset,
    )  # fmt: skip
    put("retrieval_mirror", row_id=1, kept_link_id=chain["retrieval_link"]["link_id"], **retrieval, **dataset)

    put("teacher", provider="template", model="m", identity={}, content_hash=digest("teacher"))
    put("prompt", name="p", template="{{ row }}", content_hash=digest("prompt"))
    put(
        "generation",
        attempt=1, prompt_hash=digest("rendered"), raw_answer="{}", latency_seconds=0.1, outcome="parsed",
        reading="strict",
        **key("link_id", "teacher_id", "prompt_id", "worker_id"),
    )  # fmt: skip
    put("example", input="a", output="A", content_hash=digest("example"), **key("generation_id", "link_id"))
    put("retraction", kind="row", target="letters default/train 0", reason="a test", asked_by="me", code_version="0")
    put("retracted_row", row_id=1, **key("retraction_id"), **dataset)
    put("retracted_dataset", **key("retraction_id"), **dataset)
    another = add(
        connection,
        "generation",
        attempt=9, prompt_hash=digest("again"), raw_answer="{}", latency_seconds=0.1, outcome="parsed",
        reading="strict",
        **key("link_id", "teacher_id", "prompt_id", "worker_id"),
    )  # fmt: skip
    made_of = key("example_id")["example_id"]
    child = add(
        connection,
        "example",
        input="b", output="B", content_hash=digest("child"), generation_id=another["generation_id"], **key("link_id"),
    )  # fmt: skip
    put("example_parent", example_id=child["example_id"], parent_id=made_of)
    put("publication", name="p", form="rebase", uri="file:p", files={}, code_version="0", **key("task_id"))
    put("published_rank", rank=1, score=0.5, row_reference={}, row_id=1, **key("publication_id"), **dataset)
    put("published_example", position=1, input="a", output="A", content_hash=digest("a"), **key("publication_id"))
    put(
        "likely_source",
        row_id=1, method="words", confidence=0.5, evidence={}, **key("published_example_id"), **dataset,
    )  # fmt: skip
    put("check_definition", name="judge", parameters={}, content_hash=digest("check"))
    put(
        "judgement",
        points=4, prompt_hash=digest("rendered"), raw_answer="{}", latency_seconds=0.1, outcome="judged",
        **key("example_id", "teacher_id", "prompt_id", "worker_id"),
    )  # fmt: skip
    put("check_result", verdict="pass", score=4, evidence={}, **key("example_id", "check_id", "judgement_id"))
    put("budget", max_tokens=100, **key("task_id"))
    put("reservation", attempt=1, tokens=10, **key("task_id", "link_id", "worker_id"))

    put(
        "training_set",
        name="letters-1", size=1, selection={}, manifest_hash=digest("set"), **key("task_version_id"),
    )  # fmt: skip
    put("training_set_member", position=1, **key("training_set_id", "example_id"))
    put("training_set_mix", dataset_ids=[dataset["dataset_id"]], examples=1, **key("training_set_id"))
    put(
        "training_run",
        student="classifier", base="b", base_revision="1", base_weights_hash=digest("base"), hyperparameters={},
        seed=1, code_version="0", run_key=digest("run"), environment={}, artifact_path="there",
        artifact_hash=digest("artifact"), state="done", **finished, **key("training_set_id"),
    )  # fmt: skip
    run = key("training_run_id")
    put("metric", attempt=1, name="loss", step=1, value=0.5, **run)

    put("benchmark", name="b", uri="file:b", content_hash=digest("b"))
    benchmark = key("benchmark_id")
    put("benchmark_item", position=1, item_key="1", input="b", output="B", **benchmark)
    put("evaluation", metric="accuracy", value=0.5, low=0.1, high=0.9, majority=0.5, items=1, **run, **benchmark)
    put("prediction", position=1, output="B", confidence=0.9, correct=True, **key("evaluation_id"), **benchmark)

    put(
        "event",
        queue="retrieval_link", item_id=chain["retrieval_link"]["link_id"], attempt=1, from_state="transforming",
        to_state="transformed", event="done", **key("worker_id"),
    )  # fmt: skip
    return chain


def add_release(connection: Connection, chain: dict[str, Row]) -> None:
    """Add a row that changed and the one that it became, which nothing was made of."""
    row = {name: value for name, value in chain["source_row"].items() if name != "seal"}
    dataset = {"dataset_id": row["dataset_id"]}
    add(connection, "source_row", **row | {"row_id": 8, "source_index": 8, "removed_at": NOW})
    add(connection, "source_row", **row | {"row_id": 9, "source_index": 9})
    chain["removed_row"] = add(connection, "removed_row", row_id=8, ingest_id=row["ingest_id"], **dataset)
    chain["changed_row"] = add(connection, "changed_row", row_id=9, previous_row_id=8, **dataset)


@contextmanager
def lineage_database(server_url: str, template_database: str) -> Iterator[tuple[Engine, dict[str, Row]]]:
    """An engine on a new database that holds the lineage, and its rows."""
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        try:
            with engine.begin() as connection:
                rows = build(connection)
            yield engine, rows
        finally:
            engine.dispose()
