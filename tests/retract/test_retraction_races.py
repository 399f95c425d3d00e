"""Retractions and what others write at the same moment: each sees the other, or stands in its report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from rebase_db.distill.runs import Base, begin_run, request_run
from rebase_db.distill.training_set import find_training_set, freeze
from rebase_db.errors import SourceError, TrainingError
from rebase_db.hashing import text_hash
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.retract import retraction
from rebase_db.retrieve.run import compute_retrievals, read_requests, request_retrieval
from rebase_db.verify.rankings import check_rankings
from tests.docs.seeded import WordCounter
from tests.retract.conftest import request
from tests.retract.test_retracting import lane_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.retract.conftest import Shop


def test_a_retrieval_that_scored_before_brings_nothing_back(shop: Shop) -> None:
    before = shop.ranking()
    options = {"scoring": "average-score", "mirrors": "all", "exclude_datasets": []}
    with shop.engine.begin() as connection:
        lane = lane_of(connection, "triage")
        asked = request_retrieval(connection, *lane, top_n=8, **options)  # type: ignore[arg-type]
        requests = read_requests(connection, [asked])
    (scored,) = compute_retrievals(shop.engine, requests, WordCounter)  # type: ignore[arg-type]
    shop.retract("dataset", "tickets")
    with shop.engine.begin() as connection:
        (values,) = scored.write(connection, [asked]).values()
    assert values["retractions_seen"] == 0
    assert values["rows_entered"] + values["rows_kept"] == 8  # type: ignore[operator]
    columns = ", ".join(f"{name} = :{name}" for name in values)
    shop.rows(f"UPDATE retrieval SET state = 'done', finished_at = now(), {columns}"  # noqa: S608
              " WHERE retrieval_id = :asked", asked=asked, **values)  # fmt: skip
    assert [place for place in before if place[0] == "tickets"]
    assert len(shop.ranking()) == 8
    assert [place for place in shop.ranking() if place[0] == "tickets"] == []
    with shop.engine.begin() as connection:
        assert request_retrieval(connection, *lane, top_n=8, **options) != asked  # type: ignore[arg-type]


def test_a_retrieval_that_began_while_one_was_being_made_leaves_its_rows_out_and_verifies(shop: Shop) -> None:
    with shop.steps() as steps, ThreadPoolExecutor(1) as pool:
        task = steps.stored()
        with shop.engine.begin() as connection:
            retraction.retract(connection, request("dataset", "tickets"))
            retrieving = pool.submit(steps.retrieve, task)  # scores rows that are not retracted yet for others
            shop.wait_for_a_lock()
        retrieving.result()
    assert shop.one("SELECT retractions_seen FROM retrieval ORDER BY retrieval_id DESC LIMIT 1") == 0
    assert [place for place in shop.ranking() if place[0] == "tickets"] == []
    with shop.engine.connect() as connection:
        assert list(check_rankings(connection)) == []


def freezes(connection: Connection) -> None:
    freeze(connection, *lane_of(connection, "triage"), "triage", name="raced")


def asks_to_train(connection: Connection) -> None:
    set_id = find_training_set(connection, "triage-second").training_set_id
    base = Base("small-base", "local", text_hash("small-base"))
    request_run(connection, set_id, student="classifier", base=base, hyperparameters={}, seed=9)


@pytest.mark.parametrize("write", [freezes, asks_to_train])
def test_what_is_being_written_is_waited_for_and_reported(shop: Shop, write: Callable[[Connection], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with shop.engine.begin() as connection:
            write(connection)
            retracting = pool.submit(shop.retract, "dataset", "tickets")
            shop.wait_for_a_lock()
            assert not retracting.done()
        report = retracting.result()
    found = {each.name for each in report.sets} | {each.state for each in report.runs}
    assert {"raced", "waiting"} & found


@pytest.mark.parametrize("write", [freezes, asks_to_train])
def test_who_writes_meanwhile_waits_and_sees_it(shop: Shop, write: Callable[[Connection], None]) -> None:
    def attempt() -> None:
        with shop.engine.begin() as connection:
            write(connection)

    with ThreadPoolExecutor(1) as pool:
        with shop.engine.begin() as connection:
            retraction.retract(connection, request("dataset", "tickets"))
            writing = pool.submit(attempt)
            shop.wait_for_a_lock()
            assert not writing.done()
        if write is asks_to_train:
            with pytest.raises(TrainingError, match="retracted"):
                writing.result()
            return
        writing.result()
    assert shop.rows("""
        SELECT FROM training_set JOIN training_set_member USING (training_set_id) JOIN example USING (example_id)
        JOIN retrieval_link USING (link_id)
        WHERE training_set.name = 'raced' AND retracted_at IS NOT NULL""") == []  # fmt: skip
    assert shop.one("SELECT size FROM training_set WHERE name = 'raced'") > 0


def test_a_run_that_is_begun_is_reported_as_running(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        asks_to_train(connection)
    shop.rows("UPDATE training_run SET state = 'running', worker_id = 1, attempt = 1 WHERE state = 'waiting'")
    run_id = shop.one("SELECT training_run_id FROM training_run WHERE state = 'running'")
    with ThreadPoolExecutor(1) as pool:
        with shop.engine.begin() as connection:
            assert len(begin_run(connection, run_id).examples) == 6
            retracting = pool.submit(shop.retract, "row", "chats:default/later:1")
            shop.wait_for_a_lock()
        assert (run_id, "running") in [(each.run, each.state) for each in retracting.result().runs]
    with shop.engine.begin() as connection, pytest.raises(TrainingError, match="1 of its 6"):
        begin_run(connection, run_id)


@pytest.mark.parametrize(("kind", "said"), [("dataset", "tickets"), ("licence", "CC-BY-4.0")])
def test_a_load_that_reads_while_its_dataset_is_withdrawn_is_refused(
    shop: Shop, tmp_path: Path, kind: str, said: str
) -> None:
    name = "tickets" if kind == "dataset" else "fresh"
    path = tmp_path / f"{name}.jsonl"
    path.write_text('{"text": "a new one", "team": "shipping"}\n')
    (source,) = open_sources([str(path)], licence="CC-BY-4.0", split="later")
    rows = shop.one("SELECT count(*) FROM source_row")

    def meanwhile(_: int) -> None:
        shop.retract(kind, said)

    with pytest.raises(SourceError, match="withdrawn by retraction 1"):
        load_dataset(shop.engine, source, on_rows=meanwhile)
    assert shop.one("SELECT count(*) FROM source_row") == rows
