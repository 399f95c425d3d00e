"""Examples that repeat each other, over several passes: who stays, whatever comes first."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.check.ground import OFF, REJECT, Ground, new_ground

if TYPE_CHECKING:
    from sqlalchemy import Engine

SHORT = {"length": {"action": "reject", "min_input": 12}}
"""Keeps `It meows.` out, and not `It meows ...` with more dots."""
NEAR = {"near_duplicate": {"action": "reject", "similarity": 0.5}, "length": OFF}
WORDS = tuple(str.split("the cat sat on a mat and saw how its kitten ran after some red ball of wool"))


def test_the_better_ranked_stays(ground: Ground) -> None:
    worse = ground.put(7, "It meows.")
    better = ground.put(3, "it meows")
    checked = ground.check()
    assert checked.decided.kept_out == 1
    assert ground.states(better, worse) == ["transformed", "rejected"]
    assert ground.results(worse, "duplicate") == [("fail", better)]
    assert ground.evidence(worse, "duplicate")["same_output"] is True


def test_one_that_comes_later_and_is_better_ranked_takes_the_place(ground: Ground) -> None:
    worse = ground.put(7, "It meows.", state="distilled")
    ground.check()
    better = ground.put(3, "It meows.")
    ground.check()
    assert ground.states(better, worse) == ["transformed", "rejected"]
    assert ground.results(worse, "duplicate") == [("pass", None), ("fail", better)]
    assert ground.events(worse) == [("fail_check", "distilled", "rejected")]


def test_one_that_is_kept_out_knocks_out_no_copies(ground: Ground) -> None:
    """And when it is let in again, its copies go."""
    better = ground.put(1, "It meows.")
    worse = ground.put(2, "It meows . .   . .")
    ground.check(SHORT)
    assert ground.states(better, worse) == ["rejected", "transformed"]
    ground.check({"length": OFF})
    assert ground.states(better, worse) == ["transformed", "rejected"]
    ground.check(SHORT)
    assert ground.states(better, worse) == ["rejected", "transformed"]
    results = ground.count("check_result")
    ground.check(SHORT)
    assert ground.count("check_result") == results


def test_a_copy_of_a_copy_goes_with_the_first(ground: Ground) -> None:
    first, second, third = (ground.put(rank, "It meows." + "   ." * rank) for rank in (1, 2, 3))
    ground.check({"length": OFF})
    assert ground.states() == ["transformed", "rejected", "rejected"]
    ground.check({"length": {"action": "reject", "min_input": 15}})
    assert ground.states(first, second, third) == ["rejected", "transformed", "rejected"]
    assert ground.results(third, "duplicate")[-1] == ("fail", second)


@pytest.mark.parametrize("how", ["displaced", "tried again", "answered badly", "waits"])
def test_one_that_goes_frees_its_copies(ground: Ground, how: str) -> None:
    better, worse = ground.put(1, "It meows."), ground.put(2, "It meows.")
    ground.check()
    assert ground.states(worse) == ["rejected"]
    if how == "displaced":
        ground.change(better, displaced_by=ground.retrieval_id)
    elif how == "tried again":
        ground.put_again(better, "It moos.")
    elif how == "answered badly":
        ground.answer_badly(better)
    else:
        ground.change(better, state="retrieved", finished_at=None)
    ground.check()
    assert ground.states(worse) == ["transformed"]
    assert [verdict for verdict, _ in ground.results(worse, "duplicate")] == ["fail", "pass"]


def test_a_new_ranking_turns_pairs_round(ground: Ground) -> None:
    examples = [ground.put(rank, "It meows.") for rank in (1, 2, 3)]
    ground.check()
    assert ground.states() == ["transformed", "rejected", "rejected"]
    for example, rank in zip(examples, (3, 1, 2), strict=True):
        ground.change(example, rank=rank)
    ground.check()
    assert ground.states() == ["rejected", "transformed", "rejected"]
    results = ground.count("check_result")
    ground.check()
    assert ground.count("check_result") == results


@pytest.mark.parametrize(("action", "verdict"), [("warn", "warn"), ("reject", "fail")])
def test_one_that_is_let_in_finds_those_that_came_meanwhile(ground: Ground, action: str, verdict: str) -> None:
    near = {"near_duplicate": {"action": action, "similarity": 0.6}, "length": OFF}
    without_long = near | {"length": {"action": "reject", "max_output": 3}}
    first, between = ground.put(1, " ".join(WORDS[:12])), ground.put(2, " ".join(WORDS[1:13]), "tomcat")
    ground.check(near)
    assert ground.results(between, "near_duplicate") == [(verdict, first)]
    ground.check(without_long)
    last = ground.put(3, " ".join(WORDS[3:15]))
    ground.check(without_long)
    assert ground.results(last, "near_duplicate") == [("pass", None)], "it is like the one between, which is out"
    ground.check(near)
    assert ground.results(last, "near_duplicate") == [("pass", None), (verdict, between)]
    counts = ground.count("check_result"), ground.count("event")
    ground.check(near)
    assert (ground.count("check_result"), ground.count("event")) == counts


def test_near_duplicates_warn_unless_told_otherwise(ground: Ground) -> None:
    better = ground.put(1, "The cat sat on the mat and it purred all day long.")
    worse = ground.put(2, "The cat sat on the mat and it purred all day.")
    ground.check()
    assert ground.states() == ["transformed", "transformed"]
    assert ground.results(worse, "near_duplicate") == [("warn", better)]
    ground.check(NEAR)
    assert ground.states(better, worse) == ["transformed", "rejected"]
    assert ground.results(worse, "near_duplicate") == [("warn", better), ("fail", better)]


def test_examples_of_other_tasks(ground: Ground) -> None:
    """Of the lineage's task, whose one example is `a`."""
    letters = ground.chain["example"]["example_id"]
    mine = ground.put(1, " A ")
    ground.check()
    assert ground.results(mine, "duplicate_elsewhere") == [("warn", letters)]
    assert ground.evidence(mine, "duplicate_elsewhere")["task"] == "letters"
    ground.check({"duplicate_elsewhere": REJECT})
    assert ground.states(mine) == ["rejected"]


def test_what_another_task_keeps_out_is_not_repeated(ground: Ground) -> None:
    other = new_ground(ground.engine, "more-animals", ground.chain)
    other.put(1, "It meows.", state="rejected")
    mine = ground.put(1, "It meows.")
    ground.check()
    assert ground.results(mine, "duplicate_elsewhere") == [("pass", None)]


def _texts(chance: random.Random) -> list[tuple[int, str]]:
    """Ranked inputs, many of them alike: sentences, and the same with a word less, or other signs."""
    sentences = [" ".join(chance.sample(WORDS, 9)) for _ in range(4)]
    inputs = []
    for _ in range(14):
        words = chance.choice(sentences).split()
        del words[chance.randrange(6, 9) :]
        inputs.append(" ".join(words) + chance.choice(["", ".", "!", " ?"]))
    ranks = chance.sample(range(1, 100), len(inputs))
    return list(zip(ranks, inputs, strict=True))


def _end(ground: Ground) -> dict[int, tuple[str, list[tuple[str, str]]]]:
    query = """
        SELECT DISTINCT ON (link.rank, definition.name) link.rank, link.state, definition.name, result.verdict
        FROM retrieval_link AS link JOIN example USING (link_id) JOIN check_result AS result USING (example_id)
        JOIN check_definition AS definition USING (check_id)
        WHERE link.task_version_id = :version AND definition.name IN ('duplicate', 'near_duplicate')
        ORDER BY link.rank, definition.name, result.check_result_id DESC"""
    found: dict[int, tuple[str, list[tuple[str, str]]]] = {}
    for rank, state, name, verdict in ground.rows(query, version=ground.lane[0]):
        found.setdefault(rank, (state, []))[1].append((name, verdict))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("checks", [{"length": OFF}, NEAR, {"length": {"action": "reject", "min_input": 30}}])
def test_the_order_of_arrival_does_not_matter(engine: Engine, seed: int, checks: dict[str, Any]) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    texts = _texts(chance)
    whole = new_ground(engine, "whole")
    with engine.begin() as connection:
        for rank, text in texts:
            whole.put_on(connection, rank, text)
    whole.check(checks)
    expected = _end(whole)
    assert {state for state, _ in expected.values()} == {"transformed", "rejected"}
    parts = new_ground(engine, "parts", whole.chain)
    chance.shuffle(texts)
    while texts:
        with engine.begin() as connection:
            for rank, text in texts[:4]:
                parts.put_on(connection, rank, text)
        del texts[:4]
        parts.check(checks)
    assert _end(parts) == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("checks", [{}, NEAR])
def test_nor_does_what_was_decided_before(engine: Engine, seed: int, checks: dict[str, Any]) -> None:
    """Settings that went back and forth, and rows that were ranked anew, leave no trace."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    inputs = [text for _, text in _texts(chance)]
    moved = new_ground(engine, "moved")
    with engine.begin() as connection:
        examples = [moved.put_on(connection, rank, text) for rank, text in enumerate(inputs, 1)]
    for least in (35, 1, 30, 25):
        ranks = chance.sample(range(1, 100), len(examples))
        for example, rank in zip(examples, ranks, strict=True):
            moved.change(example, rank=rank)
        moved.check(checks | {"length": {"action": "reject", "min_input": least}})
    straight = new_ground(engine, "straight", moved.chain)
    with engine.begin() as connection:
        for rank, text in zip(ranks, inputs, strict=True):
            straight.put_on(connection, rank, text)
    straight.check(checks | {"length": {"action": "reject", "min_input": 25}})
    assert dict(_ranked_states(moved)) == dict(_ranked_states(straight))


def _ranked_states(ground: Ground) -> list[tuple[int, str]]:
    query = "SELECT rank, state FROM retrieval_link WHERE task_version_id = :version"
    return [tuple(row) for row in ground.rows(query, version=ground.lane[0])]
