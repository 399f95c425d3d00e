from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.check.duplicates import Elsewhere, Ranked, find_duplicates, find_elsewhere
from rebase_db.check.near_duplicates import find_near_duplicates
from rebase_db.check.normal import jaccard, repeat_key, shingles, words

if TYPE_CHECKING:
    import pytest

TEXTS = st.lists(st.sampled_from(["a", "b", "A", "c,"]), max_size=9).map(" ".join)


@st.composite
def populations(draw: st.DrawFn) -> list[Ranked]:
    texts = draw(st.lists(st.tuples(TEXTS, st.sampled_from(["x", "y"])), max_size=14))
    ranks = draw(st.permutations(range(len(texts))))
    # Two examples may share a rank: the lower id goes before.
    return [Ranked(number, ranks[number] // 2, text, out) for number, (text, out) in enumerate(texts)]


@given(populations())
@settings(deadline=None)
def test_exact_duplicates_are_those_of_brute_force(examples: list[Ranked]) -> None:
    found = find_duplicates(examples)
    assert found.keys() == {example.example_id for example in examples}
    for example in examples:
        better = [
            other
            for other in examples
            if other.place < example.place and repeat_key(other.input) == repeat_key(example.input)
        ]
        finding = found[example.example_id]
        assert finding.failed == bool(better)
        if better:
            verbatim = [other for other in better if other.input == example.input]
            pair = [other for other in verbatim if other.output == example.output]
            assert (finding.evidence["how"] == "verbatim") == bool(verbatim)
            if verbatim:
                assert finding.evidence["same_output"] == bool(pair)
            assert finding.other_example_id in {other.example_id for other in better}


@given(populations(), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
@settings(deadline=None)
def test_near_duplicates_are_those_of_brute_force(examples: list[Ranked], similarity: float) -> None:
    found = find_near_duplicates(examples, similarity)
    sets = {example.example_id: shingles(words(example.input)) for example in examples}
    for example in examples:
        alike = {
            other.example_id: jaccard(sets[example.example_id], sets[other.example_id])
            for other in examples
            if other.place < example.place
        }
        alike = {number: score for number, score in alike.items() if score >= similarity}
        finding = found[example.example_id]
        assert finding.failed == bool(alike)
        assert finding.score == max(alike.values(), default=0.0)
        if alike:
            assert finding.other_example_id is not None
            assert alike[finding.other_example_id] == finding.score


@given(populations(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_they_come_in_does_not_matter(examples: list[Ranked], chance: random.Random) -> None:
    shuffled = chance.sample(examples, len(examples))
    assert find_duplicates(shuffled) == find_duplicates(examples)
    assert find_near_duplicates(shuffled, 0.5) == find_near_duplicates(examples, 0.5)


def test_nothing_comes_of_nothing() -> None:
    assert find_duplicates([]) == {}
    assert find_near_duplicates([], 0.8) == {}


def test_texts_without_words_are_near_nothing() -> None:
    found = find_near_duplicates([Ranked(1, 1, "?!", "x"), Ranked(2, 2, "?!", "x")], 0.8)
    assert not found[2].failed
    assert find_duplicates([Ranked(1, 1, "?!", "x"), Ranked(2, 2, "?!", "x")])[2].failed


def test_one_changed_word_in_thirty_is_near_and_in_twenty_is_not() -> None:
    def pair(length: int) -> list[Ranked]:
        text = [f"w{number}" for number in range(length)]
        changed = [*text[:10], "other", *text[11:]]
        return [Ranked(1, 1, " ".join(text), "x"), Ranked(2, 2, " ".join(changed), "x")]

    assert find_near_duplicates(pair(30), 0.8)[2].failed
    assert not find_near_duplicates(pair(20), 0.8)[2].failed


def test_many_examples_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    texts = [" ".join(chance.choices("abcdefgh", k=30)) for _ in range(60)]
    examples = [
        Ranked(number, number, texts[number % 60] + (" z" if number >= 60 else ""), "x") for number in range(120)
    ]
    whole = find_near_duplicates(examples, 0.8)
    monkeypatch.setattr("rebase_db.check.similar_sets._CHUNK", 3)
    assert find_near_duplicates(examples, 0.8) == whole
    assert all(whole[number].failed for number in range(60, 120))


def test_no_near_pair_of_longer_texts_is_missed() -> None:
    # Copies of a few texts with more and more words changed lie on both sides of every threshold.
    chance = random.Random(7)  # noqa: S311 - no secret
    examples = []
    for number in range(150):
        text = [f"t{number % 5}w{place}" for place in range(60)]
        for _ in range(chance.randint(0, 8)):
            text[chance.randrange(60)] = f"x{chance.randrange(20)}"
        examples.append(Ranked(number, number, " ".join(text), "x"))
    sets = [shingles(words(example.input)) for example in examples]
    for similarity in (0.6, 0.8, 0.95):
        found = find_near_duplicates(examples, similarity)
        best = [
            max((jaccard(one, sets[other]) for other in range(place)), default=0.0) for place, one in enumerate(sets)
        ]
        expected = [score if score >= similarity else 0.0 for score in best]
        assert [found[number].score for number in range(150)] == expected
        assert 0 < sum(score > 0 for score in expected) < 150


def test_the_same_input_in_another_task() -> None:
    others = [Elsewhere("other", 7, repeat_key("One two?")), Elsewhere("third", 8, repeat_key("one two"))]
    found = find_elsewhere([Ranked(1, 1, "one TWO", "x"), Ranked(2, 2, "one three", "x")], others)
    assert found[1].failed
    assert found[1].other_example_id == 7
    assert found[1].evidence["task"] == "other"
    assert not found[2].failed
