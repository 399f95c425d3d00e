"""A newer release: rows are matched, and what was added, changed, removed or stayed is on record; history stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.errors import SourceError
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.match import match_by
from rebase_db.ingest.open import open_sources
from rebase_db.ingest.source import LeftOutColumn, RejectedRow
from rebase_db.retract.erase import erase
from rebase_db.retract.retraction import Request, retract, undo
from rebase_db.verify.run import Tally, verify
from tests.docs.seeded import WORD_COUNTER
from tests.load.sources import Row, counts, dataset_of, fetch, split_of, stored_texts
from tests.load.test_load_growth import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.ingest.receipt import Receipt

A: list[Row] = [{"a": f"text {n}", "b": str(n % 3)} for n in range(8)]


def load(engine: Engine, rows: Sequence[Row], *, match: str | None = None, **options: Any) -> Receipt:
    return load_dataset(engine, dataset_of("d", split_of(rows, **options)), match=match)


def numbers(receipt: Receipt) -> tuple[int, int, int, int]:
    return receipt.rows_added, receipt.rows_changed, receipt.rows_removed, receipt.rows_unchanged


def live(engine: Engine, name: str = "d") -> list[Row]:
    """The rows that stand, by their content, in no order."""
    query = (
        "SELECT content FROM source_row JOIN dataset USING (dataset_id) WHERE name = :name AND removed_at IS NULL"
        " ORDER BY content::text"
    )
    return [content for (content,) in fetch(engine, query, name=name)]


def ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(name, row[name]) for name in sorted(row, key=lambda name: (len(name), name))])


def lies(engine: Engine) -> list[str]:
    return [str(lie) for lie in verify(engine, Tally())]


CHANGED = """
SELECT before.content, after.content
FROM changed_row
JOIN source_row AS after USING (dataset_id, row_id)
JOIN source_row AS before ON before.dataset_id = after.dataset_id AND before.row_id = previous_row_id
ORDER BY 1, 2
"""


def test_by_content_rows_are_found_wherever_they_stand(engine: Engine) -> None:
    load(engine, A)
    mended: Row = {"a": "text 4", "b": "mended"}
    # Two came first, one changed where it stood, the last went.
    receipt = load(engine, [{"a": "n", "b": "0"}, A[1], A[0], A[2], mended, A[3], A[5], A[6]])
    assert (numbers(receipt), receipt.match_by) == ((1, 1, 1, 6), "content")
    assert receipt.texts_added == 2
    assert live(engine) == ordered([{"a": "n", "b": "0"}, *A[:4], mended, A[5], A[6]])
    assert fetch(engine, CHANGED) == [(A[4], mended)]
    assert fetch(engine, "SELECT content, removed_row.ingest_id FROM removed_row"
        " JOIN source_row USING (dataset_id, row_id) ORDER BY row_id") == [(A[4], 2), (A[7], 2)]  # fmt: skip
    assert fetch(engine, "SELECT match_by FROM ingest ORDER BY ingest_id") == [(None,), ("content",)]
    assert fetch(engine, "SELECT rows_added, rows_changed, rows_removed, rows_unchanged FROM lineage.load"
        " ORDER BY ingest_id") == [(8, 0, 0, 0), (1, 1, 1, 6)]  # fmt: skip
    assert lies(engine) == []


def test_equal_rows_are_counted_and_a_copy_more_is_a_new_row(engine: Engine) -> None:
    load(engine, [A[0], A[0], A[1]])
    receipt = load(engine, [A[1], A[0], A[0], A[0], A[1]])
    assert (numbers(receipt), receipt.texts_added, receipt.cells_added) == ((2, 0, 0, 3), 0, 4)
    assert live(engine) == ordered([A[0], A[0], A[0], A[1], A[1]])
    receipt = load(engine, [A[1], A[0]])
    assert numbers(receipt) == (0, 0, 3, 2)
    assert live(engine) == ordered([A[0], A[1]])
    assert lies(engine) == []


def test_by_key_a_row_is_the_one_with_its_key(engine: Engine) -> None:
    load(engine, A[:4], keys=["p", "q", "r", "s"])
    moved: Row = {"a": "text 0", "b": "other"}
    # s comes first, p changed, r went, and its very words come back under another key.
    receipt = load(engine, [A[3], moved, A[1], A[2]], keys=["s", "p", "q", "new"])
    assert (numbers(receipt), receipt.match_by) == ((1, 1, 1, 2), "key:__row_id")
    assert fetch(engine, CHANGED) == [(A[0], moved)]
    assert fetch(engine, "SELECT source_key, removed_at IS NULL FROM source_row ORDER BY row_id") == [
        ("p", False), ("q", True), ("r", False), ("s", True), ("p", True), ("new", True),
    ]  # fmt: skip
    assert lies(engine) == []


def test_by_a_column(engine: Engine) -> None:
    load(engine, A)
    receipt = load(engine, [{"a": "text 3", "b": "new"}, A[5]], match=match_by("key=a"))
    assert (numbers(receipt), receipt.match_by) == ((0, 1, 6, 1), "key:a")
    assert fetch(engine, CHANGED) == [(A[3], {"a": "text 3", "b": "new"})]
    assert lies(engine) == []


def test_by_index(engine: Engine) -> None:
    load(engine, A[:4])
    receipt = load(engine, [A[1], A[0], A[2]], match=match_by("index"))
    assert (numbers(receipt), receipt.match_by) == ((0, 2, 1, 1), "index")
    assert fetch(engine, CHANGED) == [(A[0], A[1]), (A[1], A[0])]
    assert lies(engine) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["p", "q", None, "s"], ["p", "q", "r", "s"]),
        (["p", "p", "r", "s"], ["p", "q", "r", "s"]),
        (["p", "q", "r", "s"], ["p", "q", None, "s"]),
        (["p", "q", "r", "s"], ["p", "q", "s", "s"]),
    ],
)
def test_keys_that_do_not_tell_rows_apart(engine: Engine, before: list[str | None], after: list[str | None]) -> None:
    load(engine, A[:4], keys=before)
    there = counts(engine)
    with pytest.raises(SourceError, match=r"row 2 has no key|rows \d and \d have the same key") as refused:
        load(engine, [*A[1:4], A[0]], keys=after, match=match_by("key"))
    assert "--match content" in refused.value.hint
    assert counts(engine) == there
    receipt = load(engine, [*A[1:4], A[5]], keys=after)  # by default by content then
    assert (numbers(receipt), receipt.match_by) == ((1, 0, 1, 3), "content")
    assert lies(engine) == []


def test_a_key_that_cannot_be_used_is_refused_with_what_to_do(engine: Engine) -> None:
    load(engine, A)
    there = counts(engine)
    for match, says in (
        ("key=c", "row 0 has no 'c'"),
        ("key=b", "rows 0 and 6 have the same 'b'"),
    ):
        with pytest.raises(SourceError, match=says):
            load(engine, A[1:], match=match_by(match))
    with pytest.raises(SourceError, match="there is no column 'a'"):
        load(engine, [{"c": "x"}], match=match_by("key=a"))
    with pytest.raises(SourceError, match="row 1 has no 'a'"):
        load(engine, [A[0], {"b": "x"}], match=match_by("key=a"))
    for said in ("keys", "key=", "id", ""):
        with pytest.raises(SourceError, match="cannot be matched by"):
            match_by(said)
    assert counts(engine) == there
    load(engine, [A[7], *A[:7]])
    load(engine, [{"a": "first", "b": "0"}, A[7], *A[:7]])
    with pytest.raises(SourceError, match="there are two rows 0, of several loads"):
        load(engine, A, match=match_by("index"))


def test_another_source_of_the_same_name_is_refused_unless_somebody_says_how_it_matches(engine: Engine) -> None:
    load(engine, A[:2])
    # What many rows have, such as a label, is no sign.
    strangers: list[Row] = [{"a": "other 0", "b": "0"}, {"a": "other 1", "b": "1"}]
    load_dataset(engine, dataset_of("e", split_of([*A, *A])))
    with pytest.raises(SourceError, match="looks like another source"):
        load_dataset(engine, dataset_of("e", split_of(strangers)))
    with pytest.raises(SourceError, match=r"not one row of it is in dataset 'd' \(default/train\)") as refused:
        load(engine, A[4:6])
    assert "--name" in refused.value.hint
    assert "--match" in refused.value.hint
    assert live(engine) == A[:2]
    assert numbers(load(engine, A[4:6], match="content")) == (0, 2, 0, 0)
    assert lies(engine) == []


def test_there_and_back_again(engine: Engine) -> None:
    b: list[Row] = [*A[:6], {"a": "text 6", "b": "new"}]
    assert numbers(load(engine, A)) == (8, 0, 0, 0)
    assert numbers(load(engine, b)) == (0, 1, 1, 6)
    assert numbers(load(engine, A)) == (1, 1, 0, 6)
    assert live(engine) == ordered(A)
    before = counts(engine)
    receipt = load(engine, A)
    assert (numbers(receipt), receipt.splits) == ((0, 0, 0, 8), 0)  # not even read
    assert counts(engine) == before
    assert numbers(load(engine, b)) == (0, 1, 1, 6)
    assert live(engine) == ordered(b)
    # Each stands for the one before it; texts are there once.
    assert len(fetch(engine, CHANGED)) == 3
    assert len(stored_texts(engine, "d")) == 1 + 8 + 4
    assert lies(engine) == []


def test_other_splits_stay(engine: Engine) -> None:
    load_dataset(engine, dataset_of("d", split_of(A), split_of(A[:3], "default", "test")))
    receipt = load_dataset(engine, dataset_of("d", split_of(A[:2], "default", "test"), split_of(A, "more")))
    assert numbers(receipt) == (8, 0, 1, 2)
    assert len(live(engine)) == 8 + 2 + 8
    assert lies(engine) == []


def test_a_sample_removes_nothing(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", A)

    def read(rows: list[Row], max_rows: int | None, match: str | None = None) -> Receipt:
        write(path, rows)
        (source,) = open_sources([str(path)], max_rows=max_rows)
        return load_dataset(engine, source, max_rows=max_rows, match=match)

    read(A, None)
    mended: list[Row] = [{"a": row["a"], "b": "mended"} if place in {2, 4} else row for place, row in enumerate(A)]
    receipt = read(mended, 4)  # 0, 2, 4, 6
    assert (numbers(receipt), receipt.rows_unseen) == ((2, 0, 0, 2), 6)
    assert len(live(engine)) == 10
    with pytest.raises(SourceError, match="there are two rows 2, of several loads"):
        read([*mended[:7], {"a": "text 7", "b": "x"}], 4, "key:a")
    assert lies(engine) == []
    receipt = read(mended, 99)  # all of it
    assert (numbers(receipt), receipt.rows_unseen) == ((0, 0, 2, 8), 0)
    assert live(engine) == ordered(mended)
    assert lies(engine) == []


def test_by_key_a_sample_sees_what_changed(engine: Engine) -> None:
    load(engine, A)
    sample = split_of([A[0], {**A[2], "b": "x"}], index=[0, 2])
    receipt = load_dataset(engine, dataset_of("d", sample), max_rows=2, match="key:a")
    assert (numbers(receipt), receipt.rows_unseen) == ((0, 1, 0, 1), 6)
    assert len(live(engine)) == 8
    assert lies(engine) == []


def test_a_row_that_cannot_be_read_any_more_is_removed(engine: Engine) -> None:
    load(engine, A[:3])
    torn = RejectedRow("test:", 1, 2, None, "is torn")
    receipt = load(engine, [A[0], A[2]], index=[0, 2], rejected=[torn])
    assert (numbers(receipt), receipt.rejected) == ((0, 0, 1, 2), [torn])
    before = counts(engine)
    assert numbers(load(engine, [A[0], A[2]], index=[0, 2], rejected=[torn])) == (0, 0, 0, 2)
    assert counts(engine) == before
    assert lies(engine) == []


def test_columns_that_come_go_or_change_are_reported_and_kept(engine: Engine) -> None:
    left_out = [LeftOutColumn("photo", "binary")]
    load_dataset(engine, dataset_of("d", split_of([{"a": "x", "b": "y"}, {"a": "z", "b": "y"}], left_out=left_out)))
    receipt = load(engine, [{"a": "x", "b": "y"}, {"a": "z", "c": "1", "b": "y"}])
    assert [str(change) for change in receipt.changed_columns] == [
        "column 'photo' vanished (it was left out: binary)",
        "column 'c' appeared (string)",
    ]
    assert numbers(receipt) == (0, 1, 0, 1)
    # A column that goes or comes takes the cells of all rows along, and no row is the same.
    receipt = load(engine, [{"a": "x"}, {"a": "z"}])
    assert [str(change) for change in receipt.changed_columns] == [
        "column 'b' vanished (it was string)",
        "column 'c' vanished (it was string)",
    ]
    assert numbers(receipt) == (0, 2, 0, 0)
    receipt = load(engine, [{"a": "x", "n": "1"}, {"a": "z", "n": "2"}])
    assert [str(change) for change in receipt.changed_columns] == ["column 'n' appeared (string)"]
    assert numbers(receipt) == (0, 2, 0, 0)
    assert lies(engine) == []
    assert fetch(engine, "SELECT ingest_id, array_agg(name ORDER BY position) FROM ingest_column"
        " JOIN dataset_column USING (dataset_id, column_id) WHERE ingest_id < 3 GROUP BY 1 ORDER BY 1") == [
        (1, ["a", "b", "photo"]), (2, ["a", "b", "c"]),
    ]  # fmt: skip


def test_another_type_of_the_same_texts_is_on_record(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    kinds = []
    for value in ('"1"', "1"):
        path.write_text(f'{{"a": {value}}}\n')
        (source,) = open_sources([str(path)])
        receipt = load_dataset(engine, source)
        kinds.append([str(change) for change in receipt.changed_columns])
    assert kinds == [[], ["column 'a' was string, is int"]]
    assert numbers(receipt) == (0, 0, 0, 1)
    assert counts(engine)["ingest"] == 2
    assert lies(engine) == []


def test_only_new_texts_are_to_be_embedded(engine: Engine) -> None:
    load(engine, A)
    with engine.begin() as connection:
        encoder_id = register_encoder(connection, WORD_COUNTER)
        plan_chunks(connection, encoder_id)
    load(engine, [*A[1:7], {"a": "text 0", "b": "two words"}, A[7], A[3]])
    with engine.begin() as connection:
        plan_chunks(connection, encoder_id)
    planned = fetch(engine, "SELECT first_text_id, last_text_id FROM embed_chunk ORDER BY 1")
    texts = stored_texts(engine, "d")
    (*_, (first, last)) = planned
    assert texts[first - 1 : last] == ["two words"]
    assert sum(last - first + 1 for first, last in planned) == len(texts) == len(set(texts))


def test_a_retraction_covers_what_a_row_becomes_and_its_return(engine: Engine) -> None:
    load(engine, A)
    with engine.begin() as connection:
        retract(connection, Request("row", "d:2", "a person asked", "me"))
        retract(connection, Request("text", "text 4", "a person asked", "me"))
    mended: list[Row] = [{**row, "b": "mended"} if place in {2, 3} else row for place, row in enumerate(A)]
    receipt = load(engine, [row for row in mended if row["a"] != "text 4"], match="key:a")
    assert (numbers(receipt), receipt.rows_retracted) == ((0, 2, 1, 5), 1)
    assert lies(engine) == []
    receipt = load(engine, [*mended, {"a": "new", "b": "0"}])
    assert (numbers(receipt), receipt.rows_retracted) == ((2, 0, 0, 7), 1)
    query = "SELECT content ->> 'a' FROM source_row WHERE retracted_at IS NOT NULL AND removed_at IS NULL ORDER BY 1"
    assert fetch(engine, query) == [("text 2",), ("text 4",)]
    assert lies(engine) == []
    with engine.begin() as connection:
        assert undo(connection, 1, "a mistake").rows_back == 2
    assert fetch(engine, query) == [("text 4",)]
    with engine.begin() as connection:
        erase(connection, 2)
    assert lies(engine) == []
    # What is erased stays known where it stands, and another copy of it is left out.
    receipt = load(engine, [*mended, {"a": "new", "b": "0"}, A[4]])
    assert (numbers(receipt), len(receipt.rejected)) == ((0, 0, 0, 9), 1)
    receipt = load(engine, [*mended[:4], {"a": "text 4", "b": "other"}, *mended[5:], {"a": "new", "b": "0"}])
    assert (numbers(receipt), [row.source_index for row in receipt.rejected]) == ((0, 0, 1, 8), [4])
    assert lies(engine) == []


def test_a_load_that_is_killed_leaves_no_trace(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", A)
    environment = {**os.environ, "REBASE_DATABASE_URL": engine.url.render_as_string(hide_password=False)}

    def ingest(fault: str = "") -> int:
        given = environment | ({"REBASE_FAULT": fault} if fault else {})
        command = [sys.executable, "-m", "cli.main", "ingest", str(path), "--json"]
        return subprocess.run(command, env=given, capture_output=True, check=False, timeout=120).returncode

    assert ingest() == 0
    before = counts(engine), fetch(engine, "SELECT count(*) FROM removed_row")
    write(path, [*A[1:5], {"a": "text 0", "b": "mended"}])
    for fault in ("ingest.rows_copied", "ingest.before_commit"):
        assert ingest(fault) == -9
        assert (counts(engine), fetch(engine, "SELECT count(*) FROM removed_row")) == before
    assert ingest() == 0
    assert live(engine) == ordered([*A[1:5], {"a": "text 0", "b": "mended"}])
    assert Counter(fetch(engine, "SELECT removed_at IS NULL FROM source_row")) == {(True,): 5, (False,): 4}
    assert lies(engine) == []
