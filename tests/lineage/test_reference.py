"""What a reference means, and what is said where it means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from rebase_db.errors import UnknownNameError
from rebase_db.reference import FORMS, NUMBERED, Reference, find, parse
from tests.schema.chain import add, digest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

WRITTEN = {
    "dataset": "dataset:letters",
    "licence": "licence:MIT",
    "load": "load:letters:1",
    "row": "row:letters:default/train:0",
    "set": "set:letters-1",
    "task": "task:letters",
    "publication": "publication:p",
    **{kind: f"{kind}:1" for kind in NUMBERED},
}


@pytest.mark.parametrize("kind", FORMS)
def test_each_kind_is_found_and_named_as_it_was_written(connection: Connection, kind: str) -> None:
    node = find(connection, WRITTEN[kind])

    assert str(node.reference) == WRITTEN[kind]
    assert node.key == {"licence": "MIT", "load": "1/1", "row": "1/1"}.get(kind, "1")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("17", "example:NUMBER"),
        ("example", "Write example:NUMBER."),
        ("exmaple:1", "Did you mean example?"),
        ("example:1e3", "'1e3' is not"),
        ("example:99", "numbered from 1 to 2"),
        (f"example:{2**64}", "numbered from 1 to 2"),
        (f"example:{'9' * 5000}", "is not"),
        ("set:\udcff", "no UTF-8"),
        ("run:2", "There is only 1."),
        ("run:99999999999", "There is only 1."),
        ("row:letters:default/train:99999999999", "There is only 0."),
        ("dataset:leters", "Did you mean letters?"),
        ("set:letters", "Did you mean letters-1?"),
        ("licence:mitt", "Known: MIT"),
        ("row:letters:default/train", "does not end in a number"),
        ("row:letters:default/test:0", "Did you mean default/train?"),
        ("row:leters:default/train:0", "Did you mean letters?"),
        ("row:leters:0", "Did you mean letters?"),
        ("row:0", "names no dataset. Write row:DATASET"),
        ("row:letters:default/train:5", "There is only 0."),
        ("load:letters:7", "There is only 1."),
    ],
)
def test_what_cannot_be_found_is_explained(connection: Connection, written: str, says: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find(connection, written)

    assert says in f"{caught.value.message} {caught.value.hint}"


def test_a_kind_that_is_not_meant_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'run' in 'run:1' is not meant here") as caught:
        parse("run:1", ("dataset", "row"))

    assert caught.value.hint == "Write dataset:NAME, row:DATASET:CONFIG/SPLIT:INDEX[@LOAD]."
    assert parse("license:MIT") == Reference("licence", "MIT")


def test_a_row_needs_its_split_only_where_there_are_several(connection: Connection, chain: dict[str, Row]) -> None:
    assert find(connection, "row:letters:0") == find(connection, "row:letters:default/train:0")

    dataset = chain["dataset"]["dataset_id"]
    add(connection, "dataset_split", dataset_id=dataset, split_id=2, config="default", split="test", uri="file:t")
    with pytest.raises(UnknownNameError) as caught:
        find(connection, "row:letters:0")
    assert "row:letters:default/train:0, row:letters:default/test:0" in caught.value.hint


def test_names_may_hold_colons_and_slashes(connection: Connection) -> None:
    connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    name = "org/set:a/b"
    made = add(connection, "dataset", name=name, uri="u", description_text_id=1, description_given=False)
    dataset = {"dataset_id": made["dataset_id"]}
    add(connection, "dataset_split", split_id=1, config="a", split="b", uri="u", **dataset)
    add(connection, "ingest", ingest_id=1, code_version="0", **dataset)
    add(connection, "ingest_split", ingest_id=1, split_id=1, revision="r", **dataset)
    add(
        connection, "source_row",
        row_id=1, ingest_id=1, split_id=1, source_index=4, content={}, content_hash=digest("x"), **dataset,
    )  # fmt: skip

    for written in (f"row:{name}:4", f"row:{name}:a/b:4"):
        assert str(find(connection, written).reference) == f"row:{name}:a/b:4"
    assert find(connection, "licence:unknown").key == "unknown"
