from __future__ import annotations

import random

import pytest

from rebase_db.audit.align import PRIOR_ORDER
from rebase_db.audit.evidence import Evidence, features
from rebase_db.audit.place import LIKELY, place
from tests.audit.bazaar import words

ROWS = 120
DROPPED = (40, 41, 90)


def rows(chance: random.Random) -> list[list[str]]:
    return [[words(chance, 8), "positive"] for _ in range(ROWS)]


def outputs(chance: random.Random, made_from: list[list[str]]) -> list[list[str]]:
    """Each keeps three words of its row, every fourth none."""
    return [
        [f"premise {words(chance, 4) if number % 4 == 1 else ' '.join(row[0].split()[:3])} hypothesis"]
        for number, row in enumerate(made_from)
    ]


def kept(count: int = ROWS) -> list[int]:
    return [row for row in range(count) if row not in DROPPED]


def test_dropped_outputs_are_found_and_silent_ones_placed_between_others() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    all_rows = rows(chance)
    placed = place(outputs(chance, [all_rows[row] for row in kept()]), all_rows, ordered=True)
    assert placed.order is not None
    assert placed.order > 0.99
    wrong = [
        (output, row, guesses[0].row if guesses else None)
        for output, (row, guesses) in enumerate(zip(kept(), placed.guesses, strict=True))
        if not guesses or guesses[0].row != row
    ]
    # Nobody can say on which side of a missing row a silent output lies.
    assert all(min(abs(row - dropped) for dropped in DROPPED) <= 2 for _, row, _ in wrong)
    assert len(wrong) <= 2
    methods = [guesses[0].method for guesses in placed.guesses]
    assert {methods[number] for number in range(0, len(methods), 4)} == {"text"}
    assert {methods[number] for number in range(1, len(methods) - 4, 4)} == {"order"}
    silent = placed.guesses[21][0]
    assert silent.evidence["shared"] == []
    assert silent.evidence["before"]["position"] == 21
    assert silent.evidence["after"]["position"] == 23
    assert all(0 < guess.confidence < 1 for guesses in placed.guesses for guess in guesses)
    assert all(sum(guess.confidence for guess in guesses) <= 1.0001 for guesses in placed.guesses)


def test_mirrors_are_told_apart_by_order_alone() -> None:
    chance = random.Random(2)  # noqa: S311 - no secret
    doubled = [row for row in rows(chance)[:60] for _ in range(2)]
    made_from = kept(len(doubled))
    texts = [[f"premise {doubled[row][0]}"] for row in made_from]
    placed = place(texts, doubled, ordered=True)
    right = sum(guesses[0].row == row for row, guesses in zip(made_from, placed.guesses, strict=True))
    # After each loss of one of a pair it may have been the one or the other.
    assert right >= len(made_from) - 4
    torn = placed.guesses[made_from.index(91)]
    assert {guess.row for guess in torn[:2]} == {90, 91}
    assert all(0.2 < guess.confidence < 0.8 for guess in torn[:2])


def test_outputs_in_no_order_are_placed_by_their_text() -> None:
    chance = random.Random(3)  # noqa: S311 - no secret
    all_rows = rows(chance)
    shuffled = list(range(ROWS))
    chance.shuffle(shuffled)
    placed = place(outputs(chance, [all_rows[row] for row in shuffled]), all_rows, ordered=True)
    assert placed.order is not None
    assert placed.order < 0.01
    for number, (row, guesses) in enumerate(zip(shuffled, placed.guesses, strict=True)):
        if number % 4 == 1:
            assert all(guess.confidence < 0.01 for guess in guesses)
        else:
            assert (guesses[0].row, guesses[0].method) == (row, "text")
            assert guesses[0].confidence > LIKELY


@pytest.mark.parametrize("ordered", [True, False])
def test_outputs_of_other_rows_are_not_placed(ordered: bool) -> None:
    chance = random.Random(4)  # noqa: S311 - no secret
    all_rows, others = rows(chance), rows(chance)
    placed = place(outputs(chance, others), all_rows, ordered=ordered)
    assert all(guess.confidence <= PRIOR_ORDER for guesses in placed.guesses for guess in guesses)


def test_order_without_any_text_is_never_likely() -> None:
    placed = place([["premise"]] * 50, [["row"]] * 50, ordered=True)
    guesses = [guess for each in placed.guesses for guess in each]
    assert {guess.method for guess in guesses} <= {"position"}
    assert all(guess.confidence <= PRIOR_ORDER for guess in guesses)


def test_nothing_to_align() -> None:
    assert place([], [["row"]], ordered=True).guesses == []
    assert place([["an output"]], [], ordered=True).guesses == [[]]
    one = place([["an output"]], [["an output"]], ordered=True).guesses
    # One of one says nothing: no word is rarer than another.
    assert all(guess.method == "position" and guess.confidence <= PRIOR_ORDER for guess in one[0])


@pytest.mark.parametrize("count", range(1, 7))
def test_a_few_outputs_are_not_placed_wrongly(count: int) -> None:
    texts = rows(random.Random(6))[:count]  # noqa: S311 - no secret
    for made_from in (range(count), range(count)[::-1], [0], [*range(count)] * 2):
        placed = place([[texts[row][0]] for row in made_from], texts, ordered=True)
        likely = [(row, each[0]) for row, each in zip(made_from, placed.guesses, strict=True) if each]
        assert all(guess.row == row or guess.confidence < LIKELY for row, guess in likely)


def test_words_of_the_form_weigh_nothing() -> None:
    names = ("anna", "berlin", "1984", "zebra", "oslo", "lima", "quartz", "fig")
    texts = [features([f"Premise: {word} Hypothesis: {word}"]) for word in names]
    evidence = Evidence.between(texts, [features(["premise hypothesis"]), *texts, *[features(["x"])] * 20])
    assert "premise" not in evidence.weights
    assert evidence.levels()[0].argmax() == 1
    assert evidence.shared(0, 0) == []


def test_names_and_numbers_survive_a_translation() -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    names = [words(chance, 1) for _ in range(60)]
    originals = [[f"ソファの{name}は{number * 37}円です"] for number, name in enumerate(names)]
    translated = [[f"The sofa {name} costs {number * 37} yen"] for number, name in enumerate(names)]
    placed = place(translated[:20] + translated[22:], originals, ordered=True)
    assert [guesses[0].row for guesses in placed.guesses] == [*range(20), *range(22, 60)]
