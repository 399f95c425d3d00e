"""`check_examples`: what is written, what is written again, and what becomes of links."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.check.example import ExampleChecker
from rebase_db.check.run import LOCK
from rebase_db.database.engine import engine_for
from tests.check.ground import OFF, Ground, Statements, add_benchmark, task_file

if TYPE_CHECKING:
    from rebase_db.check.run import Checked

LONG = "The heron stands on one leg in the shallow water and waits for a fish until the evening comes."
BARE = {"label": OFF, "language": OFF, "length": OFF}


def test_each_example_gets_one_result_of_each_check(ground: Ground) -> None:
    examples = [ground.put(1, "It meows."), ground.put(2, "It moos.", state="distilled")]
    before = ground.count("check_result")
    checked = ground.check()
    single = {each.name for each in ExampleChecker(task_file("animals")).definitions}
    compared = {"duplicate", "near_duplicate", "duplicate_elsewhere", "contaminated_example", "contaminated_source"}
    assert set(checked.verdicts) == single | compared
    assert checked.examples == 2
    for example in examples:
        for name in checked.verdicts:
            assert len(ground.results(example, name)) == 1, name
    assert ground.count("check_result") - before == 2 * len(checked.verdicts)
    assert ground.states() == ["transformed", "distilled"]


def test_a_second_pass_writes_nothing(ground: Ground) -> None:
    for rank, input_ in enumerate(["It meows.", "It moos.", "It meows!", ground.file.examples[0].input], 1):
        ground.put(rank, input_)
    first = ground.check()
    assert ground.states() == ["transformed", "transformed", "rejected", "rejected"]
    results, events = ground.count("check_result"), ground.count("event")
    with Statements(ground.engine) as statements:
        second = ground.check()
    assert (ground.count("check_result"), ground.count("event")) == (results, events)
    assert set(statements.by_word) == {"SELECT"}
    assert second.verdicts == first.verdicts
    assert (second.decided.kept_out, second.decided.let_in) == (0, 0)


def test_statements_do_not_grow_with_the_examples(ground: Ground) -> None:
    ground.put(1, LONG)
    ground.check()  # registers what is checked
    counted = []
    for size in (2, 40):
        for rank in range(size):
            ground.put(100 * size + rank, f"{LONG} {size} {rank} times")
        with Statements(ground.engine) as statements:
            ground.check()
        counted.append(statements.by_word)
    assert counted[0] == counted[1]


def test_a_moved_threshold_decides_anew(ground: Ground) -> None:
    example = ground.put(1, "It meows.")
    strict = {"length": {"action": "reject", "min_input": 20}}
    first = ground.check(strict)
    assert (first.decided.kept_out, ground.states(example)) == (1, ["rejected"])
    assert ground.rows("SELECT error FROM retrieval_link WHERE rank = 1 AND state = 'rejected'") == [
        ("length: the example failed this check",)
    ]
    second = ground.check({"length": {"action": "reject", "min_input": 5}})
    assert (second.decided.let_in, ground.states(example)) == (1, ["transformed"])
    third = ground.check({"length": {"action": "warn", "min_input": 20}})
    assert third.decided.let_in == third.decided.kept_out == 0
    assert third.verdicts["length"] == {"warn": 1}
    assert [verdict for verdict, _ in ground.results(example, "length")] == ["fail", "pass", "warn"]
    assert len(ground.results(example, "language")) == 1, "whose settings stayed as they were"
    assert ground.events(example) == [
        ("fail_check", "transformed", "rejected"),
        ("pass_check", "rejected", "transformed"),
    ]
    assert ground.rows("SELECT error FROM retrieval_link WHERE rank = 1 AND state = 'transformed'") == [(None,)]


def test_going_back_to_an_older_definition_is_a_new_result(ground: Ground) -> None:
    example = ground.put(1, "It meows.")
    settings = [{"length": {"action": "reject", "min_input": least}} for least in (20, 5, 20)]
    for each in settings:
        ground.check(each)
    assert [verdict for verdict, _ in ground.results(example, "length")] == ["fail", "pass", "fail"]
    assert ground.states(example) == ["rejected"]
    query = "SELECT count(*) FROM check_definition WHERE name = 'length'"
    assert ground.rows(query) == [(2,)], "the third is the first again"


def test_a_check_that_is_off_does_not_count(ground: Ground) -> None:
    example = ground.put(1, "It meows.")
    ground.check({"length": {"action": "reject", "min_input": 20}})
    assert ground.states(example) == ["rejected"]
    checked = ground.check({"length": OFF})
    assert ground.states(example) == ["transformed"]
    assert "length" not in checked.verdicts
    assert ground.results(example, "length") == [("fail", None)], "what it said stays"


def test_what_two_checks_keep_out_one_cannot_let_in(ground: Ground) -> None:
    example = ground.put(1, ground.file.examples[0].input)
    ground.check({"length": {"action": "reject", "min_input": 60}})
    assert ground.states(example) == ["rejected"]
    ground.check({"length": OFF})
    assert ground.states(example) == ["rejected"], "it is the worked example still"
    ground.check({"length": OFF, "copied_example": OFF})
    assert ground.states(example) == ["transformed"]


def test_a_link_says_what_keeps_its_example_out_now(ground: Ground) -> None:
    """Not what did so first; and a reason that changes is no event, for the state stays."""
    example = ground.put(1, ground.file.examples[0].input)
    query = "SELECT error FROM retrieval_link WHERE link_id = :link_id"
    said = []
    for checks in ({}, {"copied_example": OFF, "length": {"action": "reject", "min_input": 60}}, {"length": OFF}):
        ground.check(checks)
        said += [row[0] for row in ground.rows(query, link_id=ground.links[example])]
    assert said == [f"{name}: the example failed this check" for name in ("copied_example", "length", "copied_example")]
    assert ground.events(example) == [("fail_check", "transformed", "rejected")]


def test_only_the_last_attempts_example_counts(ground: Ground) -> None:
    first = ground.put(1, "It meows.")
    ground.check()
    second = ground.put_again(first, "It purrs.")
    results = ground.count("check_result")
    checked = ground.check({"length": {"action": "warn", "min_input": 20}})
    assert checked.examples == 1
    assert len(ground.results(second, "copied_source")) == 1
    assert [verdict for verdict, _ in ground.results(first, "length")] == ["pass"], "of the pass before"
    assert ground.count("check_result") == results + len(checked.verdicts)


def test_displaced_links_are_left_alone(ground: Ground) -> None:
    example = ground.put(1, "It meows.")
    ground.change(example, displaced_by=ground.retrieval_id)
    before = ground.count("check_result")
    assert ground.check({"length": {"action": "reject", "min_input": 20}}).examples == 0
    assert ground.count("check_result") == before
    assert ground.states(example) == ["transformed"]


def test_a_link_whose_last_answer_is_no_example_stays_rejected(ground: Ground) -> None:
    example = ground.put(1, "It meows.")
    ground.check()
    ground.answer_badly(example)
    assert ground.check().examples == 0
    assert ground.states(example) == ["rejected"]


def test_other_lanes_are_left_alone(ground: Ground) -> None:
    letters = ground.chain["example"]["example_id"]
    query = "SELECT count(*) FROM check_result WHERE example_id = :example_id"
    before = ground.rows(query, example_id=letters)
    ground.put(1, "It meows.")
    ground.check()
    assert ground.rows(query, example_id=letters) == before


def test_benchmarks_are_found_in_example_and_source_apart(ground: Ground) -> None:
    add_benchmark(ground.engine, "birds", LONG)
    in_example = ground.put(1, f"Listen. {LONG}")
    in_source = ground.put(2, "It stands on one leg.", source={"letter": f"About birds: {LONG}"})
    in_neither = ground.put(3, "It moos.")
    checked = ground.check()
    assert ground.states() == ["rejected", "rejected", "transformed"]
    assert ground.results(in_example, "contaminated_example") == [("fail", None)]
    assert ground.results(in_example, "contaminated_source") == [("pass", None)]
    assert ground.results(in_source, "contaminated_example") == [("pass", None)]
    assert ground.results(in_source, "contaminated_source") == [("fail", None)]
    assert ground.evidence(in_source, "contaminated_source")["item"] == "birds-1"
    assert ground.results(in_neither, "contaminated_source") == [("pass", None)]
    assert checked.verdicts["contaminated_example"] == {"fail": 1, "pass": 2}


def test_a_new_benchmark_is_looked_for_in_all(ground: Ground) -> None:
    example = ground.put(1, f"Listen. {LONG}")
    ground.check()
    assert ground.states(example) == ["transformed"]
    add_benchmark(ground.engine, "birds", LONG)
    ground.check()
    assert ground.results(example, "contaminated_example") == [("pass", None), ("fail", None)]
    assert ground.states(example) == ["rejected"]
    assert len(ground.results(example, "copied_source")) == 1, "nothing else was looked for again"


def test_a_budget_that_was_full_has_room_when_examples_are_kept_out(ground: Ground) -> None:
    ground.put(1, "It meows.")
    ground.rows(
        "INSERT INTO budget (task_id, max_examples, exhausted_at) VALUES (:task_id, 1, clock_timestamp())",
        task_id=ground.task_id,
    )
    query = "SELECT exhausted_at IS NULL FROM budget WHERE task_id = :task_id"
    ground.check()
    assert ground.rows(query, task_id=ground.task_id) == [(False,)]
    ground.check({"length": {"action": "reject", "min_input": 20}})
    assert ground.rows(query, task_id=ground.task_id) == [(True,)]


def test_two_at_once_do_not_write_twice(ground: Ground, database_url: str) -> None:
    for rank in range(1, 31):
        ground.put(rank, f"It meows {(rank + 1) // 2} times.")
    before = ground.count("check_result")

    def check_all() -> Checked:
        engine = engine_for(database_url)
        mine = Ground(engine, ground.chain, ground.worker_id, ground.file, ground.lane, 0, 0)
        try:
            return mine.check()
        finally:
            engine.dispose()

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: check_all(), range(2))
    assert one.verdicts == two.verdicts
    assert one.decided.kept_out + two.decided.kept_out == 15
    assert ground.count("check_result") - before == 30 * len(one.verdicts)


def test_who_is_told_to_stop_waits_for_nobody(ground: Ground) -> None:
    ground.put(1, "It meows.")
    with ground.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock, :version)"), {"lock": LOCK, "version": ground.lane[0]})
        stopping = threading.Event()
        stopping.set()
        assert ground.check(stopping=stopping).examples == 0
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
    assert ground.check().examples == 1
