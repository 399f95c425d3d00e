from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebase_db.transform.cut import STUB, Fitted, cut_to_fit, cutting_order, shorten_cell
from rebase_db.transform.teacher import Cut, SourceRow

WORDS = "lorem ipsum dolor sit amet " * 400  # 10,800 characters


def row(columns: dict[str, str], relevance: dict[str, float] | None = None) -> SourceRow:
    return SourceRow(1, "d", "c", columns, relevance)


class Room:
    """Counts characters of names and texts, and how often it was asked."""

    def __init__(self, characters: int) -> None:
        self.characters, self.asked, self.longest = characters, 0, 0

    def __call__(self, fitted: Fitted) -> bool:
        self.asked += 1
        if self.asked > 1:
            self.longest = max(self.longest, size(fitted))
        return size(fitted) <= self.characters


def size(fitted: Fitted) -> int:
    return sum(len(name) + len(text) for name, text in fitted.columns.items())


def cut(source: SourceRow, characters: int) -> Fitted:
    fitted = cut_to_fit(source, Room(characters))
    assert fitted is not None
    return fitted


def test_a_row_that_fits_is_counted_once_and_left_alone() -> None:
    room = Room(3 * (len(WORDS) + 1))
    fitted = cut_to_fit(row({"a": WORDS, "b": WORDS, "c": WORDS}), room)
    assert fitted == Fitted({"a": WORDS, "b": WORDS, "c": WORDS}, {})
    assert room.asked == 1


def test_only_the_least_relevant_cell_is_shortened_while_that_is_enough() -> None:
    source = row({"a": WORDS, "b": WORDS, "c": WORDS}, {"a": 0.5, "b": 0.1, "c": 0.9})
    fitted = cut(source, 25_000)
    assert list(fitted.columns) == ["a", "b", "c"]
    assert fitted.columns["a"] == fitted.columns["c"] == WORDS
    assert WORDS.startswith(fitted.columns["b"])
    assert fitted.cuts == {"b": Cut(len(fitted.columns["b"]), len(WORDS))}
    assert fitted.marked == {"b"}
    assert 25_000 - 12 <= size(fitted) <= 25_000, "a cell gives up no more than a word too much"


def test_the_next_cell_is_touched_when_the_first_is_a_stub() -> None:
    source = row({"a": WORDS, "b": WORDS, "c": WORDS}, {"a": 0.5, "b": 0.1, "c": 0.9})
    fitted = cut(source, 15_000)
    assert STUB - 12 <= len(fitted.columns["b"]) <= STUB
    assert STUB < len(fitted.columns["a"]) < len(WORDS)
    assert fitted.columns["c"] == WORDS


def test_columns_are_left_out_only_when_stubs_are_too_long() -> None:
    source = row({f"c{number}": WORDS for number in range(10)}, {f"c{number}": number / 10 for number in range(10)})
    assert len(cut(source, 10 * (STUB + 2)).columns) == 10
    fitted = cut(source, 4 * (STUB + 2))
    assert list(fitted.columns) == ["c6", "c7", "c8", "c9"]
    assert fitted.cuts["c0"] == Cut(0, len(WORDS))
    assert fitted.marked == {"c6", "c7", "c8", "c9"}
    assert set(fitted.cuts) == set(source.columns)


def test_short_cells_stay_whole_while_longer_ones_can_give() -> None:
    fitted = cut(row({"id": "7", "text": WORDS}, {"id": -0.2, "text": 0.9}), 1000)
    assert fitted.columns["id"] == "7"
    assert set(fitted.cuts) == {"text"}


def test_without_relevance_the_longest_cell_goes_first() -> None:
    assert cutting_order(row({"a": "xx", "b": "xxxx", "c": "xxx"})) == ["b", "c", "a"]
    assert cutting_order(row({"a": "xx", "b": "xx"})) == ["a", "b"]
    partly = row({"a": "xx", "b": "xxxx", "c": "x", "d": "xx"}, {"a": 0.3, "b": -0.5})
    assert cutting_order(partly) == ["d", "c", "b", "a"]


def test_a_row_whose_best_stub_is_too_long_cannot_be_had() -> None:
    source = row({"a name " * 50: "x", "b": WORDS}, {"b": 0.1})
    assert cut_to_fit(source, Room(60)) is None
    assert cut_to_fit(row({}), Room(-1)) is None
    assert cut(source, 100).columns.keys() == {"b"}


@pytest.mark.parametrize("length", [10**5, 10**6])
def test_few_counts_are_enough(length: int) -> None:
    source = row({f"c{number}": "word " * (length // 500) for number in range(100)})
    room = Room(length // 7)
    fitted = cut_to_fit(source, room)
    assert fitted is not None
    assert size(fitted) > length // 7 - 100
    assert room.asked < 30
    assert room.longest < length // 2, "after the whole row only prompts near what fits are counted"


TEXTS = st.text(max_size=300) | st.text(
    st.sampled_from("ab \n\u0301\u200d\U0001f1e9\U0001f1ea\U0001f469\u4eca"), max_size=300
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), TEXTS, max_size=5), st.integers(0, 1500), st.data())
def test_what_is_kept_is_a_beginning_and_fits(columns: dict[str, str], room: int, data: st.DataObject) -> None:
    relevance = {name: data.draw(st.floats(-1, 1)) for name in columns if data.draw(st.booleans())}
    source = row(columns, relevance)
    fitted = cut_to_fit(source, Room(room))
    assert fitted == cut_to_fit(source, Room(room))
    if fitted is None:
        return
    assert size(fitted) <= room
    assert [name for name in columns if name in fitted.columns] == list(fitted.columns)
    for name, text in columns.items():
        shown = fitted.columns.get(name, "")
        assert text.startswith(shown)
        if shown == text and name in fitted.columns:
            assert name not in fitted.cuts
        else:
            assert fitted.cuts[name] == Cut(len(shown), len(text))


def test_a_cell_ends_at_a_word_where_one_is_near() -> None:
    assert shorten_cell("one two three", 10) == "one two"
    assert shorten_cell("one two three", 7) == "one two"
    assert shorten_cell("one two  three", 8) == "one two"
    assert shorten_cell("x" * 100, 50) == "x" * 50
    assert shorten_cell("a " + "x" * 100, 60) == "a " + "x" * 58


@pytest.mark.parametrize(
    "one",
    [
        "e\u0301",
        "\u0915\u094d\u200d\u0937",
        "\U0001f469\U0001f3fd",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\U0001f3f3\ufe0f\u200d\U0001f308",
        "\U0001f1e9\U0001f1ea",
        "\r\n",
    ],
)
def test_no_character_is_cut_in_two(one: str) -> None:
    text = "x" * 50 + one * 4
    ends = {50 + len(one) * count for count in range(5)}
    for limit in range(50, len(text)):
        kept = shorten_cell(text, limit)
        assert len(kept) in ends or kept == "x" * 50
        assert len(kept) > limit - len(one) - 1 or not one.strip()


def test_a_letter_with_endless_marks_does_not_take_the_text_with_it() -> None:
    text = "x" * 500 + "\u0301" * 5000
    assert unicodedata.category(text[-1]) == "Mn"
    assert len(shorten_cell(text, 3000)) > 2900
