"""`why` of examples whose row was withdrawn, erased or returned, and of those made from earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from cli.lineage import _lines
from rebase_db.lineage.prompt_again import prompt_again
from rebase_db.lineage.why import why
from tests.schema.chain import NOW, add

if TYPE_CHECKING:
    from sqlalchemy import Connection


def shown(connection: Connection, example: int) -> dict[str, str]:
    """The lines of `rebase why`, by their labels; of equal ones the first."""
    lines: dict[str, str] = {}
    for label, words in _lines(why(connection, example)):
        lines.setdefault(label.strip(), words)
    return lines


def run(connection: Connection, *statements: str, **values: Any) -> None:
    for statement in statements:
        connection.execute(text(statement), values)


def test_a_retraction_is_said_with_its_reason(connection: Connection) -> None:
    lines = shown(connection, 1)

    assert lines["retracted"].startswith("by retraction 1 since ")
    assert lines["retracted"].endswith(": a test")
    assert "returned" not in lines


def test_the_cut_is_of_the_ranking_that_the_score_is_of(connection: Connection) -> None:
    def ranking() -> tuple[Any, ...]:
        found = why(connection, 1)
        return found["retrieval_id"], found["scoring"], found["top_n"], found["rows_scored"], found["cutoff_score"]

    entered = ranking()
    scope = connection.execute(text("SELECT task_version_id, encoder_id FROM retrieval")).mappings().one()
    newer = add(
        connection, "retrieval", top_n=5, scoring="average-rank", mirrors="first", state="done", rows_scored=9,
        cutoff_score=3, finished_at=NOW, attempt=1, **scope,
    )["retrieval_id"]  # fmt: skip
    assert ranking() == (newer, "average-rank", 5, 9, 3)

    # A link that the newer one left out has its place in the one before.
    run(connection, "UPDATE retrieval_link SET displaced_by = :newer", newer=newer)
    assert ranking() == entered


def test_a_retraction_that_was_undone_is_no_longer_one(connection: Connection) -> None:
    run(connection, "UPDATE retraction SET undone_at = clock_timestamp(), undo_reason = 'a mistake'")
    lines = shown(connection, 1)

    assert lines["returned"] == "from retraction 1 (a test): a mistake"
    assert "retracted" not in lines


def test_an_erased_example_keeps_its_chain(connection: Connection) -> None:
    whole = shown(connection, 1)
    run(
        connection,
        "UPDATE text SET text = NULL, erased_by = 1",
        "UPDATE source_row SET content = jsonb_build_object('letter', repeat('f', 64)), erased_by = 1",
        "UPDATE generation SET raw_answer = NULL, erased_by = 1",
        "UPDATE example SET input = '', output = '', erased_by = 1",
        "UPDATE check_result SET evidence = '{}', erased_by = 1",
    )
    found = why(connection, 1)
    lines = shown(connection, 1)

    assert (found["example_erased_by"], found["answer_erased_by"], found["row_erased_by"]) == (1, 1, 1)
    assert lines["erased"] == f"by retraction 1; its hash {found['example_hash']} stays"
    assert lines["answer"] == "erased by retraction 1"
    assert lines["letter"] == "f" * 64
    assert lines["input"] == "0.500  letter: (erased)"
    # What holds no words is as it was.
    kept = ("example", "prompt", "passed", "retrieved", "source", "from", "hash", "went to")
    assert [lines[label] for label in kept] == [whole[label] for label in kept]
    again = prompt_again(connection, found["generation_id"])
    assert (again.messages, again.agrees) == ([], False)


def test_parents_and_children_are_named_with_their_rows(connection: Connection) -> None:
    child = connection.execute(text("SELECT max(example_id) FROM example_parent")).scalar_one()

    assert shown(connection, 1)["made into"] == f"example {child} (row:letters:default/train:0): b"
    assert shown(connection, child)["made from"] == "example 1 (row:letters:default/train:0): a"


def test_a_row_that_changed_or_went_is_said_to_have(connection: Connection) -> None:
    found = why(connection, 1)
    assert (found["removed_at"], found["became"], found["previous"]) == (None, None, None)
    assert not {"removed", "changed", "was before"} & shown(connection, 1).keys()
    row = {"dataset_id": found["dataset_id"]}
    load = add(connection, "ingest", **row, ingest_id=7, match_by="content", code_version="0")
    add(connection, "ingest_split", **row, ingest_id=7, split_id=1, revision="r7")
    add(connection, "removed_row", **row, row_id=found["row_id"], ingest_id=7)
    run(
        connection,
        "UPDATE source_row SET removed_at = :at WHERE dataset_id = :dataset_id AND row_id = :row_id",
        **row,
        at=load["created_at"],
        row_id=found["row_id"],
    )
    lines = shown(connection, 1)
    assert lines["removed"].startswith(f"since {load['created_at']:%Y-%m-%d %H:%M}, load 7: its source has it no more")

    column, words = next(iter(found["content"].items()))
    add(
        connection, "source_row", **row, row_id=70, ingest_id=7, split_id=1, source_index=found["source_index"],
        content=found["content"] | {column: "other words"}, content_hash=bytes(32),
    )  # fmt: skip
    add(connection, "changed_row", **row, row_id=70, previous_row_id=found["row_id"])
    lines = shown(connection, 1)
    place = f"row:{found['dataset']}:{found['config']}/{found['split']}:{found['source_index']}"
    assert lines["changed"].endswith(f"load 7: it is {place} now")
    assert lines[column] == f"{words} → other words"
