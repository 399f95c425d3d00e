from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.check.normal import jaccard, ngram_hashes, plain_words, repeat_key, shingles, word_hashes, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CAT\u2019s  hat, (really)!", ["the", "cat", "s", "hat", "really"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("猫が好き ok", ["猫", "が", "好", "き", "ok"]),
        ("\uff21\uff22\uff23\u3000\uff11\uff12", ["abc", "12"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("snake_case", ["snake", "case"]),
        ("... !!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert plain_words(text) == expected


def test_thai_has_a_word_for_each_character() -> None:
    assert len(plain_words("สวัสดี")) == 6


def test_signs_are_words_where_they_mean_something() -> None:
    assert words("2 * (-3) = x") == ["2", "*", "(", "-", "3", ")", "=", "x"]
    assert words("a well-known fact - so: (A) yes (B) no") == [
        "a",
        "well",
        "known",
        "fact",
        "so",
        "a",
        "yes",
        "b",
        "no",
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What is it?", "  what is IT "),
        ("Options:(A) red(B) blue", "Options:\n(A) red\n(B) blue"),
        ("it draws aOptions", "it draws a\nOptions"),
        ("“Quoted”", '"quoted"'),
    ],
)
def test_repeats_share_a_key(left: str, right: str) -> None:
    assert repeat_key(left) == repeat_key(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2 * (3 - 4)", "2 - (3 * 4)"),
        ("not ( True ) and False", "not ( True and False )"),
        ("take 1 2 steps", "take 12 steps"),
        ("5 - 3", "5 3"),
        ("?!", "!!"),
    ],
)
def test_what_differs_in_meaning_has_another_key(left: str, right: str) -> None:
    assert repeat_key(left) != repeat_key(right)


def test_word_hashes_do_not_change_between_machines() -> None:
    # Python's own hash() differs from process to process.
    assert word_hashes(["word"]).tolist() == [10776770685243991114]


def test_ngrams_of_a_short_text() -> None:
    assert len(ngram_hashes(word_hashes(["a", "b"]), 3)) == 0
    assert len(ngram_hashes(word_hashes(["a", "b", "c"]), 3)) == 1
    assert len(shingles(["a", "b"])) == 1
    assert len(shingles([])) == 0


def test_repeated_triples_count_as_often_as_they_are_there() -> None:
    assert jaccard(shingles(["no"] * 4), shingles(["no"] * 6)) == 2 / 4


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
@settings(deadline=None)
def test_jaccard_is_that_of_counted_triples(left: list[str], right: list[str]) -> None:
    def triples(parts: list[str]) -> set[tuple[tuple[str, ...], int]]:
        grams = [tuple(parts[place : place + 3]) for place in range(len(parts) - 2)] or [tuple(parts)] * bool(parts)
        return {(gram, grams[:place].count(gram)) for place, gram in enumerate(grams)}

    one, two = triples(left), triples(right)
    expected = len(one & two) / len(one | two) if one | two else 0.0
    assert jaccard(shingles(left), shingles(right)) == pytest.approx(expected)


@given(st.text())
@settings(deadline=None)
def test_any_text_can_be_taken_apart(text: str) -> None:
    grams = shingles(words(text))
    assert np.array_equal(grams, np.unique(grams))
    assert repeat_key(text) == repeat_key(text.strip())
