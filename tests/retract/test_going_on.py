"""Which run a student may go on from, and that one that did has learned from both sets wherever it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.distill.parent import find_parent, new_examples, weights_of
from rebase_db.distill.runs import Base, begin_run, request_run
from rebase_db.distill.student import artifact_hash
from rebase_db.errors import TrainingError, UnknownNameError
from rebase_db.hashing import text_hash
from rebase_db.lineage.impact import impact
from rebase_db.lineage.scope import scope_of
from rebase_db.lineage.trace import trace
from rebase_db.lineage.why import why
from rebase_db.reference import find
from rebase_db.verify.run import Tally, verify

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retract.conftest import Shop

BASE = Base("small-base", "local", text_hash("small-base"))
FIRST, SECOND = 1, 2
"""The shop's two sets, and the runs on them: the second set has not all of the first."""


def go_on(shop: Shop, training_set: int = SECOND, parent: int = FIRST, **options: Any) -> int:
    with shop.engine.begin() as connection:
        return request_run(
            connection,
            training_set,
            student="classifier",
            base=BASE,
            hyperparameters={"epochs": 1},
            seed=1,
            parent=find_parent(connection, parent),
            **options,
        )


def members(shop: Shop, *sets: int) -> set[int]:
    query = "SELECT example_id FROM training_set_member WHERE training_set_id = ANY(:sets)"
    return {example for (example,) in shop.rows(query, sets=list(sets))}


def test_the_same_asked_for_twice_is_one_run_and_no_other(shop: Shop) -> None:
    runs = [go_on(shop), go_on(shop), go_on(shop, trained_on="all")]
    assert runs[0] == runs[1] != runs[2]
    assert SECOND not in runs, "the run from the base model is another one"
    assert shop.rows("SELECT parent_run_id, hyperparameters FROM training_run WHERE parent_run_id IS NOT NULL") == [
        (FIRST, {"epochs": 1, "trained_on": "new"}),
        (FIRST, {"epochs": 1, "trained_on": "all"}),
    ]
    # Its key is recomputed with its parent, and those of other runs as ever.
    assert not [lie for lie in verify(shop.engine, Tally(), files=False) if lie.record == "training_run"]


def test_it_learns_what_is_new_or_all(shop: Shop) -> None:
    first, second = members(shop, FIRST), members(shop, SECOND)
    for trained_on, expected in (("new", second - first), ("all", second)):
        run = go_on(shop, trained_on=trained_on)
        with shop.engine.begin() as connection:
            begun = begin_run(connection, run)
        assert {example.example_id for example in begun.examples} == expected != set()
        assert begun.parent is not None
        assert begun.labels == ["billing", "delivery"]


def test_what_it_has_learned_is_counted_everywhere(shop: Shop) -> None:
    run = go_on(shop)
    union = members(shop, FIRST, SECOND)
    only_before = min(members(shop, FIRST) - members(shop, SECOND))
    learned = shop.rows("SELECT example_id FROM lineage.run_member WHERE training_run_id = :run", run=run)
    assert sorted(number for (number,) in learned) == sorted(union)
    ((dataset_id, row_id, row),) = shop.rows(
        "SELECT dataset_id, row_id, dataset || ':' || config || '/' || split || ':' || source_index"
        " FROM lineage.example WHERE example_id = :example",
        example=only_before,
    )
    with shop.engine.connect() as connection:
        touched = impact(connection, scope_of(connection, find(connection, f"row:{row}")))
        assert [
            (one.training_run_id, one.examples, one.size) for one in touched.runs if one.training_run_id == run
        ] == [(run, 1, len(union))]
        up = trace(connection, find(connection, f"run:{run}"), ["up"], most=100, most_records=1000)
        assert f"example:{only_before}" in {record.reference for record in up.records()}
        went = [(place["training_run_id"], place["learned_by"]) for place in why(connection, only_before)["went"]]
        assert (run, FIRST) in went
    assert f"run:{run}" in {
        reference
        for (reference,) in shop.rows("SELECT reference FROM lineage.reached_by(:d, :r)", d=dataset_id, r=row_id)
    }
    report = shop.preview("row", row)
    assert [(one.run, one.examples, one.size, one.parent) for one in report.runs if one.run == run] == [
        (run, 1, len(union), FIRST)
    ]


def test_none_goes_on_from_what_is_retracted(shop: Shop) -> None:
    waiting = go_on(shop)
    ((row,),) = shop.rows(
        "SELECT dataset || ':' || config || '/' || split || ':' || source_index FROM lineage.example"
        " WHERE example_id = :example",
        example=min(members(shop, FIRST) - members(shop, SECOND)),
    )
    shop.retract("row", row)
    refused = r"Run 1 cannot be gone on from: .*'triage-first'.* 1 are retracted \(retraction 1: the owner objects\)"
    with pytest.raises(TrainingError, match=refused):
        go_on(shop, trained_on="all")
    with shop.engine.begin() as connection, pytest.raises(TrainingError, match=refused):
        begin_run(connection, waiting)


def test_a_run_that_does_not_fit_is_refused(shop: Shop) -> None:
    with shop.engine.begin() as connection, pytest.raises(UnknownNameError, match="no run 99"):
        find_parent(connection, 99)
    waiting = go_on(shop)
    with shop.engine.begin() as connection, pytest.raises(TrainingError, match="is waiting and has no weights"):
        find_parent(connection, waiting)
    with pytest.raises(TrainingError, match="has learned from all examples"):
        go_on(shop, training_set=FIRST)
    # Another version of the task, with another label.
    shop.rows(
        "INSERT INTO task_version (task_id, version, instruction, retrieval_instruction, examples, retrieval_examples,"
        " labels, reasoning, notes, content_hash) SELECT task_id, 9, instruction, retrieval_instruction, examples,"
        " retrieval_examples, '[\"billing\", \"praise\"]', reasoning, notes, sha256('9') FROM task_version LIMIT 1"
    )
    shop.rows(
        "INSERT INTO training_set (task_version_id, name, size, selection, manifest_hash)"
        " SELECT max(task_version_id), 'other', 1, '{}', sha256('o') FROM task_version"
    )
    shop.rows("INSERT INTO training_set_member SELECT max(training_set_id), 1, 1 FROM training_set")
    other = shop.one("SELECT max(training_set_id) FROM training_set")
    with pytest.raises(TrainingError, match=r"knows other labels .*: billing, delivery there, billing, praise here"):
        go_on(shop, training_set=other)


def test_weights_are_read_only_if_they_are_those(shop: Shop, tmp_path: Path) -> None:
    with shop.engine.connect() as connection:
        parent = find_parent(connection, FIRST)
    with pytest.raises(TrainingError, match="are not those that were trained"):
        weights_of(parent)  # the shop's hash is made up
    assert weights_of(replace(parent, artifact_hash=artifact_hash(tmp_path), artifact_path=str(tmp_path))) == tmp_path
    with pytest.raises(TrainingError, match="are not there"):
        weights_of(replace(parent, artifact_path=str(tmp_path / "gone")))


def test_what_is_new_is_read_in_order(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        found = [example.example_id for example in new_examples(connection, SECOND, FIRST)]
        placed = text("SELECT example_id FROM training_set_member WHERE training_set_id = 2 ORDER BY position")
        order = list(connection.execute(placed).scalars())
    assert found == [example for example in order if example in set(found)]
