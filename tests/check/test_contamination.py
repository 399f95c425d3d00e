from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.check.contamination import BenchmarkItem, GramIndex

PASSAGE = (
    "The old lighthouse keeper climbed the two hundred steps every evening to light the great lamp before the first "
    "ships came round the cape."
)
ITEMS = [
    BenchmarkItem("reading", "r/1", f"Question: Who lit the lamp? Context: {PASSAGE}", "the keeper"),
    BenchmarkItem("reading", "r/2", "Question: What is a cape?", "land that reaches far out into the sea"),
    BenchmarkItem("sums", "s/1", "( 3 + 4 ) * ( 5 - 2 ) + 6 =", "27"),
    BenchmarkItem("sums", "s/2", "1 + 1 =", "2"),
    BenchmarkItem("japanese", "j/1", "リストの中に出てくる単語の数を数えて辞書に入れる", "Counter(words)"),
]
INDEX = GramIndex(ITEMS)


def test_a_part_of_a_passage_is_found() -> None:
    finding = INDEX.find(
        "He said: THE old lighthouse-keeper climbed the two hundred steps every evening, to light the lamp."
    )
    assert finding.failed
    assert finding.evidence["benchmark"] == "reading"
    assert finding.evidence["item"] == "r/1"
    assert 0 < finding.score < 0.5
    assert finding.evidence["overlap"] == round(finding.score, 4)
    assert finding.evidence["text"] == (
        "the old lighthouse keeper climbed the two hundred steps every evening to light"
    )


def test_twelve_words_are_not_enough() -> None:
    assert not INDEX.find("the old lighthouse keeper climbed the two hundred steps every evening to rest").failed


def test_a_whole_item_is_found_with_its_full_share() -> None:
    finding = INDEX.find(f"{PASSAGE} Question: Who lit the lamp? Context: {PASSAGE}")
    assert finding.score == 1.0


def test_a_threshold_on_the_share() -> None:
    text = "the old lighthouse keeper climbed the two hundred steps every evening to light it"
    share = INDEX.find(text).score
    assert INDEX.find(text, share).failed
    finding = INDEX.find(text, share + 0.01)
    assert not finding.failed
    assert finding.score == share


def test_an_item_in_japanese() -> None:
    finding = INDEX.find("まず、リストの中に出てくる単語の数を数えて辞書に入れる関数を書く。")
    assert finding.evidence["item"] == "j/1"


def test_short_items_count_when_whole_and_not_too_short() -> None:
    assert INDEX.find("work out (3 + 4) * (5 - 2) + 6 = ?").evidence["item"] == "s/1"
    assert not INDEX.find("work out (3 - 4) * (5 - 2) + 6 = ?").failed  # another sum
    assert not INDEX.find("work out (3 + 4) * (5 - 2)").failed
    assert not INDEX.find("we know that 1 + 1 = 2").failed
    assert INDEX.find("a cape is land that reaches far out into the sea, they say").evidence["item"] == "r/2"


def test_the_short_answer_of_a_long_question_is_no_item() -> None:
    index = GramIndex([BenchmarkItem("reading", "r", PASSAGE, "from the first day to the last")])
    assert not index.find("It lasted from the first day to the last.").failed


def form(count: int) -> list[BenchmarkItem]:
    chance = random.Random(1)  # noqa: S311 - no secret
    words = [f"w{number}" for number in range(5000)]
    frame = "Which of the following is a humorous edit of this artist or movie name if any of them is"
    return [
        BenchmarkItem("edits", f"e/{n}", f"{frame} {' '.join(chance.sample(words, 20))}", "x") for n in range(count)
    ]


def test_the_form_of_a_benchmark_is_not_its_content() -> None:
    items = form(60)
    index = GramIndex(items)
    assert not index.find(
        "Which of the following is a humorous edit of this artist or movie name if any is funny?"
    ).failed
    assert index.find(items[7].input).evidence["item"] == "e/7"
    assert index.find("he wrote: " + " ".join(items[7].input.split()[-16:])).evidence["item"] == "e/7"
    # The same words are content where few items have them.
    assert GramIndex(items[:20]).find("A quiz: " + items[30].input).failed


def test_an_item_that_is_all_form_is_found_as_a_whole() -> None:
    steps = "If you follow these instructions do you return to the starting point ? Turn left. Turn left. Take 1 step."
    items = [BenchmarkItem("walks", f"n/{number}", f"{steps} Take {number} steps.", "No") for number in range(60)]
    index = GramIndex(items)
    assert index.find(f"{steps} take 5 steps").evidence["item"] == "n/5"
    assert not index.find(f"{steps} Take 99 steps.").failed


def test_texts_by_name() -> None:
    finding = INDEX.find_in({"title": "A story", "body": f"It is told that {PASSAGE}"})
    assert finding.evidence["field"] == "body"
    assert not INDEX.find_in({"title": "A story"}).failed
    assert not INDEX.find_in({}).failed


def test_an_empty_index_finds_nothing() -> None:
    assert not GramIndex([]).find(PASSAGE).failed
    assert len(GramIndex([])) == 0
    with pytest.raises(ValueError, match="at least 1"):
        GramIndex([], words=0)


def test_hits_are_read_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    # Hashes that are all the same make every n-gram a hit.
    monkeypatch.setattr(
        "rebase_db.check.contamination.ngram_hashes",
        lambda hashes, n: np.zeros(max(0, len(hashes) - n + 1), dtype=np.uint64),
    )
    index = GramIndex([BenchmarkItem("reading", "r/1", "a b c d e f g h i j k l m", "x")])
    assert index.find("a b c d e f g h i j k l m").failed
    assert not index.find("n o p q r s t u v w x y z").failed


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), max_size=4), st.lists(st.sampled_from("abc")))
@settings(deadline=None)
def test_the_share_is_that_of_brute_force(items: list[list[str]], text: list[str]) -> None:
    def grams(parts: list[str]) -> set[tuple[str, ...]]:
        return {tuple(parts[place : place + 3]) for place in range(len(parts) - 2)}

    index = GramIndex(
        [BenchmarkItem("b", str(number), " ".join(parts), "") for number, parts in enumerate(items)], words=3
    )
    shares = [len(grams(parts) & grams(text)) / len(grams(parts)) for parts in items if grams(parts)]
    finding = index.find(" ".join(text))
    assert finding.score == pytest.approx(max(shares, default=0.0))
    assert finding.failed == any(shares)
