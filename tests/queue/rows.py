"""Claimable rows for tests: any number of ready ones in each queue, hung on the lineage of tests/schema/chain.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, null, select, text, update

from rebase_db import queue
from rebase_db.outcomes import Done
from rebase_db.schema import Event
from rebase_db.schema.seal import SEALED
from tests.schema.chain import NOW, add, digest

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

    from rebase_db.queue import Claim, Lane, Queue
    from tests.schema.chain import Row

_ADD_READY = {
    "embed_chunk": """
        WITH number AS (SELECT generate_series(2, :count + 1) AS n),
        texts AS (
            INSERT INTO text (dataset_id, text_id, sha256, text)
            SELECT :dataset_id, n, sha256(convert_to('text ' || n, 'UTF8')), 'text ' || n FROM number
        )
        INSERT INTO embed_chunk (encoder_id, dataset_id, first_text_id, last_text_id, state)
        SELECT :encoder_id, :dataset_id, n, n, 'waiting' FROM number ORDER BY n""",
    "retrieval": """
        INSERT INTO retrieval (task_version_id, encoder_id, top_n, scoring, mirrors, state)
        SELECT :task_version_id, :encoder_id, n, 'max-rank', 'all', 'waiting'
        FROM generate_series(2, :count + 1) AS n""",
    # Ranks run against ids, so that claiming by rank shows. Contents differ: of equal ones a teacher is asked once.
    "retrieval_link": """
        WITH number AS (SELECT generate_series(2, :count + 1) AS n),
        rows AS (
            INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, content, content_hash)
            SELECT
                :dataset_id, n, 1, 1, n, jsonb_build_object('letter', 'row ' || n),
                sha256(CAST(CAST(n AS text) AS bytea))
            FROM number
        ),
        cells AS (INSERT INTO cell (dataset_id, row_id, column_id, text_id) SELECT :dataset_id, n, 1, 1 FROM number)
        INSERT INTO retrieval_link (
            task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score,
            output_score, dataset_score, score, rank, entered_by, state
        )
        SELECT
            :task_version_id, :encoder_id, :dataset_id, n, 1, 1, 0, 0, 0, 0, :count + 3 - n, :retrieval_id, 'retrieved'
        FROM number ORDER BY n""",
    "training_run": """
        INSERT INTO training_run (
            training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version,
            run_key, state
        )
        SELECT
            :training_set_id, 'classifier', 'b', '1', sha256('b'), '{}', n, '0',
            sha256(CAST(CAST(n AS text) AS bytea)), 'waiting'
        FROM generate_series(2, :count + 1) AS n""",
}

DONE: dict[str, dict[str, Any]] = {
    "retrieval": {"rows_scored": 0},
    "training_run": {
        "artifact_path": "there",
        "artifact_hash": digest("artifact"),
        "environment": {"libraries": {"torch": "2"}},
    },
}
"""What else a done row of a queue must have, by the queue's name."""

LOCK_WAITERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
"""How many sessions of this database wait for a lock right now."""


def skip_keys(connection: Connection) -> None:
    """Have nothing checked that is written in this transaction: keys are known to be right. Seals are still made."""
    for table in SEALED:
        connection.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_seal"))
    connection.execute(text("SET LOCAL session_replication_role = replica"))


def add_ready(connection: Connection, chain: dict[str, Row], of: Queue, count: int) -> list[int]:
    """Add rows that are ready to be claimed; their ids, in order. Once a database and queue."""
    keys = {
        name: chain[table][name]
        for table, name in (
            ("dataset", "dataset_id"),
            ("encoder", "encoder_id"),
            ("task_version", "task_version_id"),
            ("retrieval", "retrieval_id"),
            ("training_set", "training_set_id"),
        )
    }
    connection.execute(text(_ADD_READY[of.name]), {"count": count, **keys})
    ready = select(of.key).where(of.in_state(of.machine.ready)).order_by(of.key)
    return list(connection.execute(ready).scalars())


def add_worker(connection: Connection, **values: Any) -> int:
    """The id of a new worker: alive, but without the lock that a `Lease` holds."""
    return int(add(connection, "worker", **{"host": "here", "pid": 1, "code_version": "0"} | values)["worker_id"])


def put_in_state(connection: Connection, of: Queue, item_id: int, state: str, worker_id: int) -> None:
    """Make a row look as if it had come to `state` in its first attempt, held by `worker_id` if it is worked on."""
    reached: dict[str, Any] = {
        "state": state,
        "attempt": 0 if state == of.machine.ready else 1,
        "worker_id": worker_id if state == of.machine.working else None,
        "finished_at": NOW if state in of.machine.finished else None,
        "error": "it broke" if state == "failed" else None,
        "ready_at": NOW,
    }
    reached |= {name: value if state == "done" else null() for name, value in DONE.get(of.name, {}).items()}
    # Back to where the row was before what came of it was written, once and for all.
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(update(of.table).where(of.key == item_id).values(reached))
    connection.execute(text("SET LOCAL session_replication_role = origin"))


def read(connection: Connection, of: Queue, item_id: int) -> Row:
    """A row of a queue as stored."""
    return dict(connection.execute(select(of.table).where(of.key == item_id)).mappings().one())


def states(connection: Connection, of: Queue, ids: list[int]) -> set[str]:
    """The states that rows are in."""
    return set(connection.execute(select(of.table.c.state).where(of.key.in_(ids))).scalars())


def events(connection: Connection, of: Queue, item_id: int) -> list[tuple[str, str, str, int, int | None, str | None]]:
    """What happened to a row: event, state before and after, attempt, worker, detail."""
    rows = connection.execute(
        select(Event.event, Event.from_state, Event.to_state, Event.attempt, Event.worker_id, Event.detail)
        .where(Event.queue == of.name, Event.item_id == item_id)
        .order_by(Event.event_id)
    )
    return list(rows.all())


def last_event_id(connection: Connection) -> int:
    return connection.execute(select(func.coalesce(func.max(Event.event_id), 0))).scalar_one()


def done(connection: Connection, of: Queue, worker_id: int, claims: list[Claim]) -> list[Claim]:
    """Settle claims as done, with whatever their table asks of a done row; those that were still the worker's."""
    return queue.settle(connection, of, worker_id, [(claim, Done()) for claim in claims], DONE.get(of.name))


def clock(connection: Connection) -> dt.datetime:
    """The database's time."""
    now: dt.datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def make_ready(connection: Connection, of: Queue) -> None:
    """End the wait of rows that wait for their next attempt, so that no test waits for time."""
    ready = of.in_state(of.machine.ready)
    connection.execute(update(of.table).where(ready, of.table.c.ready_at > NOW).values(ready_at=NOW))


def lanes_of(connection: Connection, of: Queue) -> list[Lane]:
    """Every lane that a queue has rows of, whatever their state."""
    return [tuple(row) for row in connection.execute(select(*of.lane).distinct().order_by(*of.lane))]


def add_task(connection: Connection, name: str) -> int:
    """The id of the first version of a new task."""
    task = add(connection, "task", name=name, settings={})
    return add_version(connection, task["task_id"], 1)


def add_version(connection: Connection, task_id: int, version: int) -> int:
    """The id of a new version of a task."""
    values = {"instruction": "?", "retrieval_instruction": "?", "examples": [], "retrieval_examples": []}
    made = add(
        connection, "task_version", task_id=task_id, version=version, reasoning=False, notes="",
        content_hash=digest((task_id, version)), **values,
    )  # fmt: skip
    return int(made["task_version_id"])


def add_encoder(connection: Connection, name: str) -> int:
    """The id of a new encoder."""
    made = add(
        connection, "encoder", name=name, revision="1", weights_hash=digest(name), width=3, max_tokens=8,
        precision="float32",
    )  # fmt: skip
    return int(made["encoder_id"])


def add_retrieval(connection: Connection, task_version_id: int, encoder_id: int, **values: Any) -> int:
    """The id of a new retrieval, finished unless `values` say otherwise."""
    finished = {"state": "done", "rows_scored": 1, "finished_at": NOW, "attempt": 1}
    made = add(
        connection, "retrieval", task_version_id=task_version_id, encoder_id=encoder_id, top_n=1, scoring="max-rank",
        mirrors="all", **(values or finished),
    )  # fmt: skip
    return int(made["retrieval_id"])


def copy_links(connection: Connection, task_version_id: int, encoder_id: int, retrieval_id: int) -> int:
    """Add the ready links of other tasks to a task as well; their number."""
    copied = text(
        "INSERT INTO retrieval_link (task_version_id, encoder_id, dataset_id, row_id, input_column_id,"
        " output_column_id, input_score, output_score, dataset_score, score, rank, entered_by, state)"
        " SELECT DISTINCT ON (dataset_id, row_id) :task_version_id, :encoder_id, dataset_id, row_id, input_column_id,"
        " output_column_id, 0, 0, 0, 0, rank, :retrieval_id, 'retrieved'"
        " FROM retrieval_link WHERE state = 'retrieved'"
    )
    keys = {"task_version_id": task_version_id, "encoder_id": encoder_id, "retrieval_id": retrieval_id}
    return connection.execute(copied, keys).rowcount
