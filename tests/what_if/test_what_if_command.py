"""`rebase what-if`: what it says, what it touches, what it refuses, and what --apply leaves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from rebase_db.control import pause
from rebase_db.errors import RebaseError, TaskError, UnknownNameError
from rebase_db.task.load import load_task
from rebase_db.task.store import add_task, find_task_file
from rebase_db.verify.run import Tally, verify

if TYPE_CHECKING:
    from pathlib import Path

    from tests.what_if.conftest import Shop

TRIAGE = "triage"
RANKED = """
SELECT dataset.name, link.row_id, link.rank
FROM retrieval_link AS link
JOIN dataset USING (dataset_id)
JOIN task_version USING (task_version_id)
JOIN task USING (task_id)
WHERE task.name = :task AND link.displaced_by IS NULL AND link.retracted_at IS NULL
ORDER BY link.rank
"""


def lies(shop: Shop) -> list[str]:
    """What `rebase verify` says; of what this database lies about from the start (stand-ins' files), too."""
    return [str(lie) for lie in verify(shop.engine, Tally())]


def test_a_smaller_ranking_is_the_head_of_the_present_one(shop: Shop) -> None:
    present = shop.rows(RANKED, task=TRIAGE)
    found = shop.said(TRIAGE, "--top-n", "3")
    assert (found["staying"], found["entering"], found["leaving"]) == (3, 0, 3)
    assert [row["present_rank"] for row in found["rows"]] == [4, 5, 6]
    assert [row["dataset"] for row in found["rows"]] == [name for name, _, _ in present[3:]]
    assert found["then"]["rows"] == 3
    assert found["settings"] == {"top_n": 3}
    assert found["applied"] is None
    # In the set: what of these three is accepted.
    kept = "SELECT count(*) FROM retrieval_link WHERE rank <= 4 AND rank > 1 AND state IN ('transformed', 'distilled')"
    assert found["then"]["examples"] == shop.rows(f"{kept} AND task_version_id = 1")[0][0]
    assert sum(found["then"]["labels"].values()) == found["then"]["examples"]


def test_the_present_set_is_the_one_that_would_be_frozen(shop: Shop) -> None:
    found = shop.said(TRIAGE)
    frozen = shop.run("freeze", TRIAGE).stdout.strip()
    assert shop.rows("SELECT size FROM training_set WHERE name = :name", name=frozen) == [
        (found["present"]["examples"],)
    ]
    # One row was withdrawn since it was ranked: its place goes to the next.
    assert (found["staying"], found["entering"], found["leaving"]) == (6, 1, 0)
    assert found["present"]["examples"] <= found["then"]["examples"]


def test_it_reads_no_vector_writes_nothing_and_asks_no_model(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    name = shop.engine.url.database
    with shop.engine.begin() as connection:
        for table in ("embedding", "task_vector", "encoder", "embed_chunk"):
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {table}_out_of_reach"))
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    shop.engine.dispose()

    def nobody(*_: object) -> Any:
        raise AssertionError("a model was asked for")

    monkeypatch.setattr("workers.pipeline.encoder_identity_of", nobody)
    monkeypatch.setattr("rebase_db.embed.encoder.load_encoder", nobody)
    monkeypatch.setattr("rebase_db.transform.teacher.make_teacher", nobody)
    for task in (TRIAGE, "urgency"):
        shop.said(task, "--top-n", "2", "--output-weight", "3", "--max-share", "0.5", "--exclude-licence", "CC0-1.0")
        shop.said(task, "--check", "near_duplicate.similarity=0.3", "--scoring", "max-rank", "--mirrors", "all")
        assert shop.rows("SELECT count(*) > 0 FROM lineage.what_if(:task, top_n => 2)", task=task) == [(True,)]


def test_it_asks_the_database_as_often_for_many_rows_as_for_few(shop: Shop) -> None:
    counts = []
    for top_n in ("4", "100"):
        statements: list[str] = []

        def count(*args: Any, into: list[str] = statements) -> None:
            into.append(args[2])

        event.listen(shop.engine, "before_cursor_execute", count)
        shop.said(TRIAGE, "--top-n", top_n)
        event.remove(shop.engine, "before_cursor_execute", count)
        counts.append(len(statements))
    # Some questions are only put where an example is not checked yet.
    assert counts[0] <= counts[1] <= counts[0] + 4


def test_rows_that_enter_are_counted_by_what_is_there_of_them(shop: Shop) -> None:
    shop.run("what-if", TRIAGE, "--exclude-dataset", "chats", "--apply")
    found = shop.said(TRIAGE, "--include-dataset", "ch*", "--top-n", "100")
    entrants = found["entrants"]
    of_chats = [row for row in found["rows"] if row["rank"] is not None and row["dataset"] == "chats"]
    assert len(of_chats) == 4, "the withdrawn one competes no more"
    assert entrants["accepted"] == 4, "displaced rows keep their examples"
    assert entrants["accepted"] + entrants["kept_out"] + entrants["rejected"] + entrants["to_ask"] == found["entering"]
    assert (entrants["prompt_tokens"], entrants["cost"]) == (0, "0"), "rules cost nothing"
    assert found["settings"]["top_n"] == 100
    assert "exclude_datasets" not in found["settings"]


def test_what_calls_would_take_goes_by_those_that_were_made(shop: Shop) -> None:
    with_calls = shop.said("urgency", "--include-dataset", "recipes")
    entrants = with_calls["entrants"]
    mean, cost = shop.rows(
        "SELECT avg(prompt_tokens), avg(cost) FROM generation JOIN retrieval_link USING (link_id)"
        " JOIN task_version USING (task_version_id) JOIN task USING (task_id)"
        " WHERE task.name = 'urgency' AND outcome <> 'error' AND reused_from IS NULL"
    )[0]
    assert entrants["to_ask"] == with_calls["entering"] > 0
    assert entrants["prompt_tokens"] == round(mean * entrants["to_ask"])
    assert float(entrants["cost"]) == pytest.approx(float(cost * entrants["to_ask"]))


def test_it_says_it_at_80_columns(shop: Shop) -> None:
    result = shop.run("what-if", TRIAGE, "--max-share", "0.3", "--output-weight", "2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["now", "then"]
    assert any(line.startswith("score at the cut") for line in lines)
    assert re.search(r"^\d+ rows enter, \d+ leave, \d+ stay\.$", result.stdout, re.MULTILINE)
    assert ["dataset", "now", "then", "enter", "leave"] in [line.split() for line in lines]
    assert ["licence", "now", "then", "enter", "leave"] in [line.split() for line in lines]
    assert (
        "retrieve:\n  weights:\n    input: 1.0\n    output: 2.0\n    dataset: 1.0\n  max_share: 0.3\n" in result.stderr
    )


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        (["--input-weight", "0", "--output-weight", "0", "--dataset-weight", "0"], "all zero", "more"),
        (["--input-weight", "-1"], "cannot weigh -1", "from 0 to 1000"),
        (["--input-weight", "nan"], "cannot weigh nan", "from 0 to 1000"),
        (["--max-share", "0"], "share of 0 is none", "above 0"),
        (["--max-share", "1.2"], "share of 1.2 is none", "above 0"),
        (["--scoring", "max-rank", "--input-weight", "2"], "max-rank uses no weights", "average-score"),
        (["--check", "near_duplicate"], "sets nothing of a check", "near_duplicate.similarity=0.7"),
        (["--check", "near_duplicate.similarity=2"], "near_duplicate.similarity", ""),
        (["--check", "near_dupe.similarity=0.7"], "no check 'near_dupe'", "near_duplicate"),
        (["--check", "near_duplicate.simlarity=0.7"], "no setting 'simlarity'", "similarity"),
        (["--check", "judge.points=4"], "has no judge", "Add one"),
        (["--check", "language.languages=[en"], "no value that language.languages can have", "task file"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(shop: Shop, options: list[str], words: str, hint: str) -> None:
    result = shop.run("what-if", TRIAGE, *options)
    assert isinstance(result.exception, TaskError)
    assert words in result.exception.message
    assert hint in result.exception.hint


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ([TRIAGE, "--exclude-dataset", "tikets"], "no dataset 'tikets'", "tickets"),
        ([TRIAGE, "--include-dataset", "no-such*"], "no dataset 'no-such*'", ""),
        ([TRIAGE, "--exclude-licence", "cc-by-5.0"], "licence or duty 'cc-by-5.0'", "cc-by-4.0"),
        (["triag"], "no task 'triag'", "triage"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(shop: Shop, options: list[str], words: str, hint: str) -> None:
    result = shop.run("what-if", *options)
    assert isinstance(result.exception, UnknownNameError)
    assert words in result.exception.message
    assert hint in result.exception.hint


def test_a_task_without_a_ranking_is_told_so(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    path.write_text("name: new\ninstruction: Say it.\nexamples: [{input: a, output: b}]\n", encoding="utf-8")
    with shop.engine.begin() as connection:
        add_task(connection, load_task(path))
    result = shop.run("what-if", "new")
    assert isinstance(result.exception, RebaseError)
    assert "has no ranking yet" in result.exception.message


def test_apply_makes_it_the_ranking(shop: Shop) -> None:
    found = shop.said(TRIAGE)
    assert found["unscored"] == 4, "rows of another task's dataset, loaded since"
    assert shop.run("retrieve", TRIAGE).exit_code == 0
    assert shop.said(TRIAGE)["unscored"] == 0
    before_all = lies(shop)
    options = ["--output-weight", "3", "--max-share", "0.4", "--top-n", "5", "--exclude-licence", "CC0-1.0"]
    before = {row[:2] for row in shop.rows(RANKED, task=TRIAGE)}
    calls = shop.rows("SELECT count(*) FROM generation")
    told = shop.said(TRIAGE, *options)
    result = shop.run("what-if", TRIAGE, *options, "--apply")
    assert result.exit_code == 0, result.output
    after = {row[:2] for row in shop.rows(RANKED, task=TRIAGE)}
    assert (len(after & before), len(after - before), len(before - after)) == (
        told["staying"], told["entering"], told["leaving"],
    )  # fmt: skip
    assert max(sum(name == each for each, _ in after) for name, _ in after) <= 2
    assert "tickets-copy" not in {name for name, _ in after}
    newest = "SELECT top_n, weights, max_share FROM retrieval ORDER BY retrieval_id DESC LIMIT 1"
    assert shop.rows(newest) == [(5, [1.0, 3.0, 1.0], 0.4)]
    assert "The ranking is that now: " in result.stderr
    assert "exclude_licences:\n  - CC0-1.0\n" in result.stderr
    assert shop.rows("SELECT count(*) FROM generation") == calls
    # Asked again it is what there is, and nothing is computed a second time.
    again = shop.said(TRIAGE, *options, "--apply")
    assert (again["entering"], again["leaving"]) == (0, 0)
    assert shop.rows(newest) == [(5, [1.0, 3.0, 1.0], 0.4)]
    retrievals = shop.rows("SELECT count(*) FROM retrieval")
    assert shop.said(TRIAGE)["entering"] == 0
    assert shop.rows("SELECT count(*) FROM retrieval") == retrievals
    assert lies(shop) == before_all


def test_a_ranking_by_weights_and_shares_that_was_left_is_no_lie(shop: Shop) -> None:
    before = lies(shop)
    for options in (["--input-weight", "5", "--max-share", "0.5"], ["--input-weight", "1", "--max-share", "1"]):
        assert shop.run("what-if", TRIAGE, *options, "--apply").exit_code == 0
        assert lies(shop) == before


def test_the_keys_it_names_make_it_permanent(shop: Shop, tmp_path: Path) -> None:
    options = ["--dataset-weight", "0", "--max-share", "0.5", "--top-n", "4", "--exclude-dataset", "tickets*"]
    keys = shop.said(TRIAGE, *options, "--apply")["settings"]
    ranked = shop.rows(RANKED, task=TRIAGE)
    with shop.engine.begin() as connection:
        file = find_task_file(connection, TRIAGE)
        settings = file.model_dump(mode="json", exclude_unset=True) | {"retrieve": keys}
        path = tmp_path / "task.yaml"
        path.write_text(json.dumps(settings), encoding="utf-8")
        add_task(connection, load_task(path))
    retrievals = shop.rows("SELECT count(*) FROM retrieval")
    assert shop.run("retrieve", TRIAGE).exit_code == 0
    assert shop.rows("SELECT count(*) FROM retrieval") == retrievals, "it is what there is"
    assert shop.rows(RANKED, task=TRIAGE) == ranked
    assert "task file" not in shop.run("what-if", TRIAGE).stderr


def test_another_cut_of_a_check_decides_as_the_check_would(shop: Shop) -> None:
    cut = ["near_duplicate.similarity=0.1", "near_duplicate.action=reject"]
    options = [part for each in cut for part in ("--check", each)]
    told = shop.said(TRIAGE, *options, "--top-n", "6")
    results = shop.rows("SELECT count(*) FROM check_result")
    result = shop.run("what-if", TRIAGE, *options, "--apply")
    assert isinstance(result.exception, TaskError)
    assert "near_duplicate:\n    action: reject\n    similarity: 0.1" in result.exception.hint
    assert shop.rows("SELECT count(*) FROM check_result") == results
    # So it is done, and comes to what was told.
    shop.run("what-if", TRIAGE, "--top-n", "6", "--apply")
    with shop.engine.begin() as connection:
        file = find_task_file(connection, TRIAGE).model_dump(mode="json", exclude_unset=True)
        file["checks"] = {"near_duplicate": {"similarity": 0.1, "action": "reject"}}
        connection.execute(text("UPDATE task SET settings = cast(:file AS jsonb) WHERE name = 'triage'"), {
            "file": json.dumps(file)
        })  # fmt: skip
    assert told["then"]["kept_out"].get("near_duplicate", 0) > 0
    frozen = shop.run("freeze", TRIAGE).stdout.strip()
    size = shop.rows("SELECT size FROM training_set WHERE name = :name", name=frozen)
    assert size == [(told["then"]["examples"],)]


def test_points_of_a_judge_are_cut_elsewhere_without_asking_again(shop: Shop) -> None:
    before = shop.said("urgency")
    assert before["then"]["kept_out"]["judge"] == 1
    lower = shop.said("urgency", "--check", "judge.points=3")
    assert "judge" not in lower["then"]["kept_out"]
    assert lower["then"]["examples"] == before["then"]["examples"] + 1
    assert lower["present"]["kept_out"]["judge"] == 1
    assert lower["then"]["unsaid"] == {}


def test_a_paused_task_is_answered_but_not_changed(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        pause(connection, TRIAGE)
    assert shop.said(TRIAGE, "--top-n", "2")["then"]["rows"] == 2
    result = shop.run("what-if", TRIAGE, "--top-n", "2", "--apply")
    assert isinstance(result.exception, RebaseError)
    assert "paused" in result.exception.message
