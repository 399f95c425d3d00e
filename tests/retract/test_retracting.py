"""What leaves with a retraction, what comes back when it is taken back, and what its report says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from rebase_db import queue
from rebase_db.audit.subject import find_subject
from rebase_db.check.current import current_examples, examples_elsewhere
from rebase_db.distill.runs import Base, request_run
from rebase_db.distill.successor import freeze_successor
from rebase_db.distill.training_set import find_training_set, freeze
from rebase_db.errors import RetractionError, SourceError, TrainingError, UnknownNameError
from rebase_db.hashing import text_hash
from rebase_db.lanes import ready_lanes
from rebase_db.outcomes import Done
from rebase_db.retract.report import Mirrors, Published, Spent, TaskLoss, report_on
from rebase_db.retract.retraction import list_retractions
from rebase_db.schema import TrainingSetMember
from tests.schema.chain import add
from workers.stages.distill import DistillStage
from workers.stages.retrieve import RetrieveStage

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.retract.conftest import Shop

ALL_TICKETS = [("tickets", row) for row in (1, 2, 3, 4)]
EVERYTHING = "SELECT sum(hashtextextended(t::text, 0)) FROM {} AS t"


def lane_of(connection: Connection, task: str) -> tuple[int, int]:
    query = text("SELECT task_version_id, encoder_id FROM live_ranking WHERE task = :task")
    version, encoder = connection.execute(query, {"task": task}).one()
    return version, encoder


def fingerprint(shop: Shop) -> dict[str, Any]:
    """All that tables hold."""
    tables = [name for (name,) in shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return {name: shop.one(EVERYTHING.format(name)) for name in sorted(tables)}


def test_the_report_names_all_that_a_dataset_reached_and_a_preview_says_the_same(shop: Shop) -> None:
    before = fingerprint(shop)
    shown = shop.preview("dataset", "tickets")
    assert fingerprint(shop) == before
    report = shop.retract("dataset", "tickets")
    assert report.record.created_at is not None
    assert replace(report, record=replace(report.record, retraction=None, created_at=None)) == shown
    with shop.engine.connect() as connection:
        assert report_on(connection, 1) == report
    assert [(each.dataset, each.rows, each.rows_there, each.whole) for each in report.datasets] == [
        ("tickets", 4, 4, True)
    ]
    assert [(each.name, each.examples, each.size, each.successor, each.command) for each in report.sets] == [
        ("triage-first", 3, 5, None, "rebase freeze --successor-of triage-first"),
        ("triage-second", 1, 6, None, "rebase freeze --successor-of triage-second"),
    ]
    first, second = report.runs
    assert (first.run, first.state, first.examples, first.share) == (1, "done", 3, 0.6)
    assert first.scores == [{"benchmark": "held-out", "metric": "accuracy", "value": 0.5}]
    assert str(first.artifact_path).endswith("first")
    assert (second.run, second.examples, second.scores) == (2, 1, [])
    assert report.mirrors_that_stay == [Mirrors("tickets-copy", "CC0-1.0", 1)]
    assert report.spent == Spent(3, 4, 0, 0, Decimal(0))
    assert [(each.task, each.accepted, each.waiting) for each in report.tasks] == [("triage", 1, 0)]


def test_what_a_model_took_and_published_data_stand_in_the_report(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        row = {"dataset_id": shop.one("SELECT dataset_id FROM dataset WHERE name = 'calls'"), "row_id": 1}
        task_id = shop.one("SELECT task_id FROM task WHERE name = 'urgency'")
        made = {"form": "rebase", "uri": "file:p", "files": {}, "code_version": "0", "task_id": task_id}
        paper = add(connection, "publication", name="paper", **made)["publication_id"]
        for position, (method, confidence) in enumerate([("stated", 1.0), ("words", 0.5), ("words", 0.25)], 1):
            example = add(
                connection, "published_example", publication_id=paper, position=position, input="i", output="o",
                content_hash=text_hash("i"),
            )["published_example_id"]  # fmt: skip
            source = {"method": method, "confidence": confidence, "evidence": {}}
            add(connection, "likely_source", published_example_id=example, **source, **row)
        add(connection, "published_rank", publication_id=paper, rank=1, row_reference={}, **row)
    report = shop.retract("licence", "CC-BY-4.0")
    assert [(each.dataset, each.rows) for each in report.datasets] == [("calls", 4), ("tickets", 4)]
    assert report.published == [Published("paper", "urgency", 1, 2, 0.5, 1)]
    calls, cost = shop.rows(
        "SELECT count(*), sum(cost) FROM (SELECT cost FROM generation JOIN retrieval_link USING (link_id)"
        " JOIN dataset USING (dataset_id) WHERE licence = 'CC-BY-4.0' UNION ALL SELECT cost FROM judgement) AS each"
    )[0]
    assert (report.spent.calls + report.spent.judgements, report.spent.cost) == (calls, cost)
    assert report.spent.tokens > 0


def test_rows_leave_rankings_examples_and_counts_and_come_back(shop: Shop) -> None:
    before = shop.ranking()
    with shop.engine.connect() as connection:
        lane = lane_of(connection, "triage")
        examples = current_examples(connection, lane)
        elsewhere = examples_elsewhere(connection, lane_of(connection, "urgency")[0])
    row, dataset = shop.retract("row", "tickets:0"), shop.retract("dataset", "tickets")
    assert shop.retracted() == ALL_TICKETS
    assert dataset.datasets[0].rows_retracted_otherwise == 1
    assert shop.ranking() == [place for place in before if place[0] != "tickets"] != before
    links = "SELECT link_id FROM retrieval_link WHERE retracted_at IS NOT NULL"
    gone = {link_id for (link_id,) in shop.rows(links)}
    with shop.engine.connect() as connection:
        assert current_examples(connection, lane) == [each for each in examples if each.link_id not in gone]
        assert len(current_examples(connection, lane)) < len(examples)
        assert len(examples_elsewhere(connection, lane_of(connection, "urgency")[0])) < len(elsewhere)
        assert sum(queue.counts(connection, queue.TRANSFORM, queue.TRANSFORM.in_lane(lane)).values()) == len(
            shop.ranking()
        )
    with shop.engine.begin() as connection:
        frozen = freeze(connection, *lane, "triage")
        members = connection.execute(
            select(TrainingSetMember.example_id).where(TrainingSetMember.training_set_id == frozen.training_set_id)
        ).scalars()
        assert set(members) == {
            each.example_id for each in examples if each.link_id not in gone and each.state != "rejected"
        }
    assert (shop.undo(2).rows_back, shop.retracted()) == (3, [("tickets", 1)])
    since = shop.one("SELECT min(retracted_at) FROM source_row")
    assert since == row.record.created_at
    assert (shop.undo(1).rows_back, shop.retracted()) == (1, [])
    assert shop.ranking() == before
    with shop.engine.connect() as connection:
        assert [(each["retraction"], each["state"], each["rows"]) for each in list_retractions(connection)] == [
            (2, "undone", 4),
            (1, "undone", 1),
        ]


def test_retracted_since_the_oldest_that_stands(shop: Shop) -> None:
    shop.retract("row", "tickets:0")
    later = shop.retract("text", "the courier never came with my parcel", mirrors=True)
    assert {each.dataset for each in later.datasets} == {"tickets", "tickets-copy"}
    assert later.record.target == text_hash("the courier never came with my parcel").hex()
    done = shop.undo(1)
    assert (done.rows_back, done.rows_still_retracted) == (0, 1)
    assert shop.rows("SELECT DISTINCT retracted_at FROM source_row WHERE retracted_at IS NOT NULL") == [
        (later.record.created_at,)
    ]


def test_mirrors_go_only_if_asked_for(shop: Shop) -> None:
    assert shop.preview("row", "row:tickets:default/train:0").rows == 1
    report = shop.retract("row", "tickets:0", mirrors=True)
    assert (report.rows, report.mirrors_that_stay) == (2, [])
    assert shop.retracted() == [("tickets", 1), ("tickets-copy", 1)]


@pytest.mark.parametrize(
    ("kind", "said", "hint"),
    [
        ("dataset", "ticket", "tickets"),
        ("row", "tickets:9", "numbered"),
        ("licence", "CC-BY", "CC-BY-4.0"),
        ("text", "nobody said this", "standard input"),
    ],
)
def test_what_is_not_there_is_not_retracted(shop: Shop, kind: str, said: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as refused:
        shop.retract(kind, said)
    assert hint in refused.value.hint


def test_nothing_is_retracted_or_taken_back_twice(shop: Shop, tmp_path: Path) -> None:
    shop.retract("text", "billing")
    with pytest.raises(RetractionError, match="by retraction 1 of") as refused:
        shop.preview("text", "billing")
    assert "retract show 1" in refused.value.hint
    shop.load(tmp_path / "more.jsonl", '{"topic": "billing"}\n')
    assert shop.retract("text", "billing").rows == 3, "there are further rows by now"
    shop.undo(1)
    with pytest.raises(RetractionError, match="taken back on"):
        shop.undo(1)
    with pytest.raises(UnknownNameError, match="There is no retraction 7"):
        shop.undo(7)


def test_waiting_links_are_not_claimed_and_one_in_hand_keeps_its_answer(shop: Shop) -> None:
    waiting = (
        "UPDATE retrieval_link SET state = 'retrieved', finished_at = NULL, error = NULL WHERE link_id = ANY(:ids)"
    )
    mine = [link_id for (link_id,) in shop.rows("SELECT link_id FROM retrieval_link JOIN dataset USING (dataset_id)"
                                                " WHERE name = 'calls' ORDER BY link_id")]  # fmt: skip
    shop.rows(waiting, ids=mine)
    with shop.steps("urgency") as steps:
        lane = (steps.stored().task_version_id, steps.encoder_id)
        me = steps.lease.worker_id
        with shop.engine.begin() as connection:
            (held,) = queue.claim(connection, queue.TRANSFORM, me, 1, lane)
        report = shop.retract("dataset", "calls")
        assert report.tasks == [TaskLoss("urgency", 4, 0, 3, 1)]
        with shop.engine.begin() as connection:
            assert ready_lanes(connection, queue.TRANSFORM) == []
            assert queue.claim(connection, queue.TRANSFORM, me, 10) == []
            assert queue.settle(connection, queue.TRANSFORM, me, [(held, Done())]) == [held]
            assert current_examples(connection, lane) == []
        shop.undo(1)
        with shop.engine.begin() as connection:
            assert len(queue.claim(connection, queue.TRANSFORM, me, 10, lane)) == 3


def test_a_task_that_loses_examples_is_open_again(shop: Shop) -> None:
    shop.rows("UPDATE budget SET exhausted_at = now()")
    shop.retract("dataset", "recipes")
    assert shop.one("SELECT exhausted_at IS NOT NULL FROM budget")
    shop.retract("row", "calls:0")
    assert shop.one("SELECT exhausted_at IS NULL FROM budget")


def test_the_next_retrieval_fills_the_places(shop: Shop, tmp_path: Path) -> None:
    with shop.steps() as steps:
        task = steps.stored()
        newest = "SELECT max(retrieval_id) FROM retrieval"
        steps.retrieve(task)  # with what was loaded since
        before, number = shop.ranking(), shop.one(newest)
        steps.retrieve(task)
        assert shop.one(newest) == number, "nothing has changed"
        ((place,),) = shop.rows(
            "SELECT name || ':' || config || '/' || split || ':' || source_index FROM source_row"
            " JOIN dataset_split USING (dataset_id, split_id) JOIN dataset USING (dataset_id)"
            " WHERE (name, row_id) = (:name, :row_id)", name=before[0][0], row_id=before[0][1],
        )  # fmt: skip
        shop.retract("row", place)
        # As many rows come as have gone: the count alone would not tell.
        shop.load(tmp_path / "more.jsonl", '{"text": "my parcel, my card, my courier", "team": "shipping"}\n')
        steps.embed()
        counts = steps.retrieve(task)
        assert counts["rows_linked"] == 7 == len(shop.ranking())
        assert before[0] not in shop.ranking()
        number = shop.one(newest)
        seen = "SELECT retractions_seen FROM retrieval WHERE retrieval_id = :number"
        assert shop.one(seen, number=number) == 1
        shop.undo(1)
        steps.retrieve(task)
        assert shop.one(seen, number=shop.one(newest)) == 2
        assert before[0] in shop.ranking()


def test_a_set_with_retracted_members_is_not_trained_on(shop: Shop) -> None:
    def ask(seed: int) -> int:
        base = Base("small-base", "local", text_hash("small-base"))
        with shop.engine.begin() as connection:
            set_id = find_training_set(connection, "triage-first").training_set_id
            return request_run(connection, set_id, student="classifier", base=base, hyperparameters={}, seed=seed)

    run_id = ask(7)
    report = shop.retract("row", "tickets:0")
    assert [(each.run, each.state) for each in report.runs] == [(1, "done"), (2, "done"), (run_id, "waiting")]
    with pytest.raises(TrainingError, match=r"1 of its 5 examples are retracted \(retraction 1: the owner objects\)"):
        ask(8)
    with shop.steps() as steps:
        stage = DistillStage(shop.engine, steps.lease, None)  # type: ignore[arg-type]
        with shop.engine.begin() as connection:
            claims = queue.claim(connection, queue.DISTILL, steps.lease.worker_id, 1, (run_id,))
        (result,) = stage.handle((run_id,), claims)
    ((_, outcome),) = result.outcomes
    assert outcome.event == "fail"
    assert "`rebase freeze --successor-of triage-first`" in outcome.error  # type: ignore[union-attr]


def test_successors_leave_out_what_is_retracted_by_then(shop: Shop) -> None:
    def members(name: str) -> list[int]:
        query = "SELECT example_id FROM training_set_member JOIN training_set USING (training_set_id)"
        return [each for (each,) in shop.rows(f"{query} WHERE name = :name ORDER BY position", name=name)]

    def successor(of: str, **options: Any) -> Any:
        with shop.engine.begin() as connection:
            return freeze_successor(connection, of, **options)

    assert successor("triage-first").frozen.name == "triage-first", "nothing is retracted"
    shop.retract("row", "tickets:0")
    made = successor("triage-first", task="triage")
    assert (made.made, made.left_out, made.frozen.size) == (True, 1, 4)
    assert members(made.frozen.name) == [1, 2, 3, 5]
    again = successor("triage-first")
    assert (again.made, again.frozen) == (False, made.frozen)
    ((follows, selection),) = shop.rows(
        "SELECT successor_of, selection FROM training_set WHERE name = :name", name=made.frozen.name
    )
    assert (follows, selection["successor_of"], selection["without"]) == (1, "triage-first", 1)
    assert selection["retractions"] == [1]
    assert sum(selection["datasets"].values()) == sum(selection["labels"].values()) == 4
    with shop.engine.connect() as connection:
        (first,) = (each for each in report_on(connection, 1).sets if each.name == "triage-first")
    assert (first.successor, first.command) == (made.frozen.name, None)
    report = shop.retract("row", "tickets:4")
    commands = {(each.name, each.command) for each in report.sets}
    command = f"rebase freeze --successor-of {made.frozen.name}"
    assert commands == {("triage-first", command), (made.frozen.name, command)}
    second = successor(made.frozen.name, name="third")
    assert (second.frozen.name, members("third")) == ("third", [1, 2, 3])
    with pytest.raises(TrainingError, match="not of 'urgency'"):
        successor("third", task="urgency")
    shop.retract("dataset", "tickets")
    report = shop.retract("dataset", "chats")
    assert {(each.name, each.left, each.command) for each in report.sets if each.task == "triage"} == {
        ("triage-first", 0, None), ("triage-second", 0, None), (made.frozen.name, 0, None), ("third", 0, None),
    }  # fmt: skip
    with pytest.raises(TrainingError, match="All 3 examples"):
        successor("third")


def test_the_command_for_a_successor_is_one_that_works(shop: Shop) -> None:
    shop.retract("dataset", "tickets")
    with shop.engine.begin() as connection:
        left = freeze_successor(connection, "triage-first").frozen
    shop.undo(1)
    # The newest that follows has nothing left, but the first has what came back.
    shown, made = shop.preview("licence", "unknown"), shop.retract("licence", "unknown")
    assert shown.sets == made.sets
    found = {each.name: (each.left, each.command) for each in made.sets}
    assert found["triage-first"] == (3, "rebase freeze --successor-of triage-first")
    assert found[left.name] == (0, None)
    shop.undo(2)
    with shop.engine.connect() as connection:
        undone = report_on(connection, 2)
    assert {(each.left == each.size, each.command) for each in undone.sets} == {(True, None)}


def test_an_audit_of_ones_own_ranking_leaves_out_what_is_retracted(shop: Shop) -> None:
    shop.retract("dataset", "tickets")
    with shop.engine.connect() as connection:
        subject = find_subject(connection, "triage", own=True)
    assert [(row.dataset, row.row[1]) for row in subject.ranking if row.row] == shop.ranking() != []


def test_an_example_made_from_a_retracted_one_is_out_as_well(shop: Shop) -> None:
    # Example 6 is of a row that stays, but was made from one of tickets.
    source = shop.one("SELECT min(example_id) FROM example JOIN retrieval_link USING (link_id)"
                      " JOIN dataset USING (dataset_id) WHERE name = 'tickets'")  # fmt: skip
    with shop.engine.begin() as connection:
        add(connection, "example_parent", example_id=6, parent_id=source)
        lane = lane_of(connection, "triage")
    report = shop.retract("dataset", "tickets")
    assert {each.name: each.examples for each in report.sets} == {"triage-first": 3, "triage-second": 2}
    with shop.engine.begin() as connection:
        frozen = freeze(connection, *lane, "triage")
        successor = freeze_successor(connection, "triage-second")
    assert (frozen.size, successor.left_out) == (4, 2)
    assert shop.rows("SELECT FROM training_set_member WHERE training_set_id > 2 AND example_id = 6") == []


def test_nothing_is_loaded_into_what_is_withdrawn(shop: Shop, tmp_path: Path) -> None:
    more = '{"text": "a new one", "team": "shipping"}\n'
    shop.retract("dataset", "tickets")
    shop.retract("licence", "CC0-1.0")
    shop.retract("licence", "unknown")
    with pytest.raises(SourceError, match=r"'blank' states no licence, and such are withdrawn by retraction 3"):
        shop.load(tmp_path / "blank.jsonl", more)
    shop.undo(3)
    with pytest.raises(SourceError, match=r"'tickets' is withdrawn by retraction 1 \(the owner objects\)"):
        shop.load(tmp_path / "tickets.jsonl", more, split="later")
    with pytest.raises(SourceError, match=r"licence 'CC0-1\.0', which is withdrawn by retraction 2"):
        shop.load(tmp_path / "fresh.jsonl", more, licence="CC0-1.0")
    assert shop.load(tmp_path / "fresh.jsonl", more).rows_added == 1
    with pytest.raises(SourceError, match=r"licence 'CC0-1\.0'"):
        shop.load(tmp_path / "fresh.jsonl", more, licence="CC0-1.0")
    assert shop.one("SELECT licence FROM dataset WHERE name = 'fresh'") is None
    shop.undo(1)
    assert shop.load(tmp_path / "tickets.jsonl", more, split="later").rows_added == 1


def test_a_withdrawn_dataset_is_not_embedded_anew_until_it_is_back(shop: Shop) -> None:
    def planned() -> int:
        chunks = "SELECT count(*) FROM embed_chunk JOIN dataset USING (dataset_id) WHERE name = 'tickets'"
        return int(shop.one(f"{chunks} AND encoder_id = :id", id=other))

    with shop.engine.begin() as connection:
        other = add(connection, "encoder", name="other", revision="1", weights_hash=text_hash("other"), width=3,
                    max_tokens=8, precision="float32")["encoder_id"]  # fmt: skip
    shop.retract("dataset", "tickets")
    stage = RetrieveStage(shop.engine, lambda _: None)  # type: ignore[arg-type, return-value]
    assert [type(each.outcomes) for each in stage.handle((other,), [])] == [list], "it plans, and waits for that"
    assert planned() == 0
    shop.undo(1)
    list(stage.handle((other,), []))
    assert planned() == 1
