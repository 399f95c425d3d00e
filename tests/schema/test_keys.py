"""Keys that make a wrong lineage impossible: each part hangs on exactly the part it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.schema.chain import WIDTH, Row, add, add_text, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

Chain = dict[str, Row]


def again(chain: Chain, table: str, /, *identities: str, **change: Any) -> Row:
    """The values of a row of the lineage, without its identities and created_at, changed."""
    left_out = {*identities, "created_at"}
    return {name: value for name, value in chain[table].items() if name not in left_out} | change


@pytest.fixture
def second(connection: Connection, chain: Chain) -> Chain:
    """A second row, link, retrieval, encoder, task version, generation and benchmark, each right in itself."""
    made: Chain = {}

    def put(table: str, *identities: str, **change: Any) -> Row:
        made[table] = add(connection, table, **again(chain, table, *identities, **change))
        return made[table]

    put("source_row", row_id=2, source_index=1)
    put("cell", row_id=2)
    put("encoder", "encoder_id", name="wider", width=WIDTH + 1)
    put("task_version", "task_version_id", version=2, content_hash=digest("second"))
    put("retrieval", "retrieval_id", encoder_id=made["encoder"]["encoder_id"])
    link = put("retrieval_link", "link_id", row_id=2, rank=2)
    generation = put("generation", "generation_id", link_id=link["link_id"])
    put("example", "example_id", generation_id=generation["generation_id"], link_id=link["link_id"])
    put("generation", "generation_id", link_id=link["link_id"], attempt=2)  # of which there is no example
    benchmark = put("benchmark", "benchmark_id", content_hash=digest("second"))
    put("benchmark_item", benchmark_id=benchmark["benchmark_id"], position=2, item_key="2")
    return made


def wrong_lineages(chain: Chain, second: Chain) -> Iterator[tuple[str, str, Row, str]]:
    """What is tried, the table, the row, and the constraint that refuses it."""
    link = "retrieval_link"

    def row(table: str, *identities: str, **change: Any) -> tuple[str, Row]:
        return table, again(chain, table, *identities, **change)

    reuse = {"reused_from": chain["generation"]["generation_id"], "requests": 0, "raw_answer": None, "attempt": 2}
    yield (
        "an answer used again for another prompt",
        *row("generation", "generation_id", **reuse, prompt_hash=digest("another prompt")),
        "generation_teacher_id_prompt_hash_reused_from_fkey",
    )
    yield (
        "a verdict that rests on a judgement of another example",
        *row("check_result", "check_result_id", example_id=second["example"]["example_id"]),
        "check_result_judgement_id_example_id_fkey",
    )
    yield (
        "an example of another link than its generation's",
        *row(
            "example", "example_id", generation_id=second["generation"]["generation_id"], link_id=chain[link]["link_id"]
        ),
        "example_generation_id_link_id_fkey",
    )
    other = {"benchmark_id": second["benchmark"]["benchmark_id"], "position": 2}
    yield "a prediction of another benchmark", *row("prediction", **other), "prediction_evaluation_id_benchmark_id_fkey"
    yield (
        "a prediction of no item of its benchmark",
        *row("prediction", position=2),
        "prediction_benchmark_id_position_fkey",
    )
    yield (
        "a vector of another width than its encoder's",
        *row("embedding", encoder_id=second["encoder"]["encoder_id"]),
        "embedding_encoder_id_width_fkey",
    )
    yield "a vector of no text", *row("embedding", text_id=2), "embedding_dataset_id_text_id_fkey"
    by = second["retrieval"]["retrieval_id"]
    yield (
        "a link entered by another encoder's retrieval",
        *row(link, "link_id", row_id=1, entered_by=by, task_version_id=second["task_version"]["task_version_id"]),
        f"{link}_entered_by_task_version_id_encoder_id_fkey",
    )
    yield (
        "a link to a cell that its row does not have",
        *row(link, "link_id", row_id=2, input_column_id=9, encoder_id=second["encoder"]["encoder_id"], entered_by=by),
        f"{link}_dataset_id_row_id_input_column_id_fkey",
    )
    yield (
        "scores of another task version's retrieval",
        *row("row_score", task_version_id=second["task_version"]["task_version_id"]),
        "row_score_retrieval_id_task_version_id_encoder_id_fkey",
    )
    yield (
        "a row of a load that did not read its split",
        *row("source_row", row_id=3, source_index=3, ingest_id=2),
        "source_row_dataset_id_ingest_id_split_id_fkey",
    )
    yield (
        "a chunk beyond the last text",
        *row("embed_chunk", "embed_chunk_id", encoder_id=second["encoder"]["encoder_id"], last_text_id=2),
        "embed_chunk_dataset_id_last_text_id_fkey",
    )


def test_a_wrong_lineage_is_refused(connection: Connection, chain: Chain, second: Chain) -> None:
    for what, table, row, constraint in wrong_lineages(chain, second):
        with pytest.raises(IntegrityError) as caught, connection.begin_nested():
            add(connection, table, **row)
        assert isinstance(caught.value.orig, ForeignKeyViolation), what
        assert caught.value.orig.diag.constraint_name == constraint, what


def test_a_displaced_link_names_a_retrieval_of_its_own_task_and_encoder(
    connection: Connection, chain: Chain, second: Chain
) -> None:
    displace = text("UPDATE retrieval_link SET displaced_by = :by WHERE link_id = :link")
    link = chain["retrieval_link"]["link_id"]
    connection.execute(displace, {"by": chain["retrieval"]["retrieval_id"], "link": link})
    with pytest.raises(IntegrityError, match="displaced_by"):
        connection.execute(displace, {"by": second["retrieval"]["retrieval_id"], "link": link})


@pytest.mark.parametrize(
    ("table", "identities", "change"),
    [
        ("generation", ["generation_id"], {}),  # nothing is paid twice unseen
        ("example", ["example_id"], {}),
        ("text", [], {"text_id": 2}),
        ("source_row", [], {"row_id": 2}),
        ("retrieval_link", ["link_id"], {}),
        ("training_set_member", [], {"position": 2}),
        ("training_run", ["training_run_id"], {}),
        ("embed_chunk", ["embed_chunk_id"], {}),
    ],
)
def test_what_is_there_once_stays_there_once(
    connection: Connection, chain: Chain, table: str, identities: list[str], change: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError) as caught:
        add(connection, table, **again(chain, table, *identities, **change))
    assert isinstance(caught.value.orig, UniqueViolation)


def test_a_dataset_cannot_be_committed_without_the_text_of_its_description(connection: Connection) -> None:
    connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    described, bare = (
        add(connection, "dataset", name=name, uri="u", description_text_id=1, description_given=False)["dataset_id"]
        for name in ("described", "bare")
    )
    add_text(connection, described, 1, "Described.")
    add_text(connection, bare, 2, "This is not the first text.")
    with pytest.raises(IntegrityError, match=rf"\({bare}, 1\) is not present"):
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
