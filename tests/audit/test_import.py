from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.audit.directory import recognise
from rebase_db.audit.load import import_examples, import_rebase
from rebase_db.audit.published import ExampleColumns
from rebase_db.errors import SourceError, UnknownNameError
from rebase_db.ingest.source import OnError
from tests.audit.bazaar import LOST, MUTE, TASK

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.audit.receipt import ImportReceipt
    from tests.audit.bazaar import Bazaar
    from tests.audit.conftest import Imported


def fetch(engine: Engine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def load(engine: Engine, folder: Path, name: str | None = None, on_error: OnError = OnError.FAIL) -> ImportReceipt:
    found = recognise(folder, TASK.name)
    return import_rebase(engine, found, task=TASK.name, uri=folder.as_uri(), name=name, on_error=on_error)


def copied(bazaar: Bazaar, to: Path) -> Path:
    return shutil.copytree(bazaar.folder, to / "copy")


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_the_directory_is_in_the_database(imported: Imported) -> None:
    receipt = imported.receipt
    assert (receipt.ranked, receipt.ranked_rows, receipt.unresolved, receipt.other_cells) == (60, 60, {}, 0)
    assert sorted(one.dataset for one in receipt.datasets) == ["bazaar/reviews", "mirror/reviews"]
    ranked = fetch(
        imported.engine,
        "SELECT name, source_key, score, row_reference FROM published_rank JOIN source_row USING (dataset_id, row_id)"
        " JOIN dataset USING (dataset_id) WHERE publication_id = :id ORDER BY published_rank.rank",
        id=receipt.publication_id,
    )
    assert [(name, key) for name, key, *_ in ranked] == imported.bazaar.ranked
    assert ranked[1][2:] == (
        0.99,
        {
            "dataset": "mirror/reviews",
            "config": "default",
            "row": "r0",
            "rank": 1,
            "input_column": "text",
            "output_column": "stars",
        },
    )


def test_outputs_are_linked_to_their_rows_as_guesses(imported: Imported) -> None:
    likeliest = fetch(
        imported.engine,
        "SELECT DISTINCT ON (position) position, published_rank.rank, method, confidence, evidence"
        " FROM published_example JOIN likely_source USING (published_example_id)"
        " JOIN published_rank USING (publication_id, dataset_id, row_id)"
        " WHERE publication_id = :id ORDER BY position, confidence DESC",
        id=imported.receipt.publication_id,
    )
    made_from = dict(enumerate(imported.bazaar.made_from, start=1))
    wrong = {
        position for position, rank, _, confidence, _ in likeliest if confidence > 0.9 and rank != made_from[position]
    }
    assert wrong == set()
    # The lost one of a mirrored pair may have been either.
    sure = {position for position, _, _, confidence, _ in likeliest if confidence > 0.9}
    assert len(sure) >= len(made_from) - 4
    methods = {position: method for position, _, method, _, _ in likeliest}
    assert {methods[place] for place, rank in made_from.items() if rank in MUTE} == {"order"}
    assert all(confidence < 1 for _, _, _, confidence, _ in likeliest)


def test_the_same_files_again_add_nothing(imported: Imported) -> None:
    tables = ("publication", "published_rank", "published_example", "likely_source", "ingest")
    count = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in tables)  # noqa: S608 - our own names
    before = fetch(imported.engine, count)
    receipt = load(imported.engine, imported.bazaar.folder)
    assert (receipt.known, receipt.publication) == (True, imported.receipt.publication)
    assert fetch(imported.engine, count) == before


def test_keys_without_rows_are_kept_and_used(engine: Engine, bazaar: Bazaar, tmp_path: Path) -> None:
    from rebase_db.task.store import add_task

    with engine.begin() as connection:
        add_task(connection, TASK)
    folder = copied(bazaar, tmp_path)
    shutil.rmtree(folder / "corpus" / "mirror__reviews")
    receipt = load(engine, folder)
    assert (receipt.ranked, receipt.ranked_rows, receipt.unresolved) == (60, 40, {"mirror/reviews": 20})
    # Their places are used all the same: by the cells the ranking states.
    assert receipt.order is not None
    assert receipt.order > 0.99
    kept = fetch(engine, "SELECT row_reference FROM published_rank WHERE row_id IS NULL ORDER BY rank LIMIT 1")
    assert kept[0][0].keys() == {"dataset", "config", "row", "rank", "input_sha256", "output_sha256"}
    placed = sum(receipt.placed.values())
    assert placed + receipt.unplaced == receipt.examples == 58
    assert receipt.unplaced >= 18
    # Loaded later, they are found by an import under another name.
    again = load(engine, bazaar.folder, name="again")
    assert (again.known, again.ranked_rows, len(again.datasets)) == (False, 60, 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("rank,score,dataset_id,config_id\n0,1,a,b", "no column 'row_id'"),
        ("rank,score,dataset_id,config_id,row_id\n0,1,a,b,c\n0,1,a,b,d", "row 1, column 'rank' repeats the rank 0"),
        ("rank,score,dataset_id,config_id,row_id\n0,1,a,b,c\n1,1,a,b,c", "ranks a row that row 0 ranks already"),
        ("rank,score,dataset_id,config_id,row_id\n0,high,a,b,c", "'high', which is no score"),
        ("rank,score,dataset_id,config_id,row_id\nfirst,1,a,b,c", "'first', which is no rank"),
        ("rank,score,dataset_id,config_id,row_id\n0,1,,b,c", "names no row"),
        ("rank,score,dataset_id,config_id,row_id\n2147483647,1,a,b,c", "'2147483647', which is no rank"),
        ("rank,score,dataset_id,config_id,row_id\n1,inf,a,b,c", "'inf', which is no score"),
        ("rank,score,dataset_id,config_id,row_id\n", "a header but no row"),
    ],
)
def test_faulty_rankings_are_refused(imported: Imported, tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "ranking.csv").write_text(lines, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        load(imported.engine, tmp_path, name="faulty")
    assert fetch(imported.engine, "SELECT name FROM publication WHERE name = 'faulty'") == []


def test_faulty_outputs_are_left_out_and_listed(imported: Imported, tmp_path: Path) -> None:
    write(tmp_path / "outputs.jsonl", {"input": "a", "output": "b"}, {"input": " ", "output": "c"}, {"input": "d"})
    with pytest.raises(SourceError, match=r"row 1\), column 'input' has no text|row 1, column 'input' has no text"):
        load(imported.engine, tmp_path, name="skipped")
    receipt = load(imported.engine, tmp_path, name="skipped", on_error=OnError.SKIP)
    assert (receipt.examples, receipt.order) == (1, None)
    assert [(row.source_index, row.column, row.reason) for row in receipt.rejected] == [
        (1, "input", "has no text"),
        (2, "output", "has no text"),
    ]


def test_what_is_ambiguous_or_missing_is_refused(imported: Imported, bazaar: Bazaar, tmp_path: Path) -> None:
    folder = copied(bazaar, tmp_path)
    (folder / "ranking.csv").write_text("rank\n1", encoding="utf-8")
    with pytest.raises(SourceError, match="could each be the ranking"):
        recognise(folder, TASK.name)
    with pytest.raises(SourceError, match="no ranking and there are no outputs of task 'other'") as refused:
        recognise(bazaar.folder, "other")
    assert "stalls__mood" in refused.value.hint
    with pytest.raises(SourceError, match="no such folder"):
        recognise(tmp_path / "nowhere", TASK.name)
    with pytest.raises(UnknownNameError, match="no task 'stalls/mod'") as unknown:
        import_rebase(
            imported.engine,
            recognise(bazaar.folder, TASK.name),
            task="stalls/mod",
            uri="",
            name=None,
            on_error=OnError.FAIL,
        )
    assert "stalls/mood" in unknown.value.hint
    with pytest.raises(SourceError, match="is of other files"):
        import_examples(
            imported.engine,
            write(tmp_path / "few.jsonl", {"input": "a", "output": "b"}),
            task=TASK.name,
            columns=ExampleColumns(),
            datasets=[],
            name=imported.receipt.publication,
            on_error=OnError.FAIL,
        )


def test_examples_with_stated_sources(imported: Imported, tmp_path: Path) -> None:
    file = write(
        tmp_path / "stated.jsonl",
        {"question": "one", "answer": "glad", "from": "row:bazaar/reviews:default/train:3"},
        {"question": "two", "answer": "glad", "from": "row:bazaar/reviews:4"},
        {"question": "three", "answer": "glad", "from": '{"dataset_id": "mirror/reviews", "row_id": "r7"}'},
        {"question": "four", "answer": "cross", "from": "row:bazaar/reviews:default/train:4000"},
        {"question": "five", "answer": "cross", "from": '{"dataset_id": "\\u0000", "row_id": 5}'},
        {"question": "six", "answer": "cross", "from": None},
        # More digits than Python reads as a number.
        {
            "question": "seven",
            "answer": "cross",
            "from": json.dumps({"dataset_id": "mirror/reviews", "row_id": "7" * 5000}),
        },
    )
    receipt = import_examples(
        imported.engine,
        file,
        task=TASK.name,
        columns=ExampleColumns("question", "answer", "from"),
        datasets=[],
        name=None,
        on_error=OnError.FAIL,
    )
    assert (receipt.publication, receipt.examples) == ("stalls/mood-stated", 7)
    assert (receipt.stated, receipt.unknown, receipt.unplaced) == (2, 4, 5)
    stated = fetch(
        imported.engine,
        "SELECT position, method, confidence, name, source_index, row_reference FROM published_example"
        " LEFT JOIN likely_source USING (published_example_id) LEFT JOIN source_row USING (dataset_id, row_id)"
        " LEFT JOIN dataset USING (dataset_id) WHERE publication_id = :id ORDER BY position",
        id=receipt.publication_id,
    )
    assert [row[1:5] for row in stated] == [
        ("stated", 1.0, "bazaar/reviews", 3),
        (None, None, None, None),  # the rows of this split go by keys of their own
        ("stated", 1.0, "mirror/reviews", 7),
        (None, None, None, None),
        (None, None, None, None),
        (None, None, None, None),
        (None, None, None, None),
    ]
    assert [row[5] for row in stated[3:6]] == [
        {"stated": "row:bazaar/reviews:default/train:4000"},
        {"stated": '{"dataset_id": "\\u0000", "row_id": 5}'},
        None,
    ]


def test_examples_are_looked_for_in_datasets(imported: Imported, tmp_path: Path) -> None:
    texts = imported.bazaar.texts
    made_from = ["r39", "r2", "r17", "r30"]
    file = write(
        tmp_path / "found.jsonl",
        *({"input": texts[key].replace("The stall sells", "They offer"), "output": "glad"} for key in made_from),
        {"input": "something else entirely", "output": "calm"},
    )
    arguments: dict[str, Any] = {"task": TASK.name, "columns": ExampleColumns(), "name": None, "on_error": OnError.FAIL}
    receipt = import_examples(imported.engine, file, datasets=["bazaar/reviews"], **arguments)
    assert (receipt.placed, receipt.unplaced, receipt.order) == ({"text": 4}, 1, None)
    keys = fetch(
        imported.engine,
        "SELECT source_key FROM published_example JOIN likely_source USING (published_example_id)"
        " JOIN source_row USING (dataset_id, row_id) WHERE publication_id = :id AND confidence > 0.5 ORDER BY position",
        id=receipt.publication_id,
    )
    assert [key for (key,) in keys] == made_from
    with pytest.raises(UnknownNameError, match="no dataset 'bazaar/review'"):
        import_examples(imported.engine, file, datasets=["bazaar/review"], **arguments)


def test_lost_answers_are_the_only_gaps(imported: Imported) -> None:
    assert sorted(set(range(1, 61)) - set(imported.bazaar.made_from)) == list(LOST)
