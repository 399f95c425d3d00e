"""A new ranking is merged into the links that are there: what leaves, what stays, what comes back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.load.sources import fetch
from tests.retrieve.corpus import Corpus, expected_links, links, mark_done, smooth_vector

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from rebase_db.retrieve.run import Request


@dataclass(frozen=True)
class Whole:
    """What a link is beside its place: what no later ranking may change."""

    link_id: int
    state: str
    entered_by: int
    parts: tuple[float, ...]
    displaced_by: int | None


def all_links(engine: Engine, version: int) -> dict[tuple[int, int], Whole]:
    rows = fetch(
        engine,
        "SELECT dataset_id, row_id, link_id, state, entered_by, input_score, output_score, dataset_score,"
        " input_column_id, output_column_id, displaced_by FROM retrieval_link WHERE task_version_id = :version",
        version=version,
    )
    return {row[:2]: Whole(row[2], row[3], row[4], row[5:10], row[10]) for row in rows}


def test_rankings_displace_keep_and_bring_back_as_sets_do(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    first_seen: dict[tuple[int, int], tuple[int, int]] = {}
    present: set[tuple[int, int]] = set()
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"top_n": 12}, {}),
        ({"top_n": 5}, {}),
        ({"top_n": 12, "scoring": "max-rank"}, {}),
        ({"top_n": 12, "scoring": "max-rank", "exclude_datasets": ["first", "plain"]}, {"excluded": {1, 5}}),
        ({"top_n": 30, "scoring": "average-rank", "mirrors": "all"}, {"drop_mirrors": False}),
        ({"top_n": 12}, {}),
    ]
    for options, differing in runs:
        retrieval_id = corpus.retrieve(version, **options)
        like = {name: value for name, value in options.items() if name in {"top_n", "scoring"}} | differing
        ranked = corpus.ranked(version, **like)
        wanted = {row.key for row, _ in ranked.chosen}
        counts = fetch(
            corpus.engine,
            "SELECT rows_entered, rows_kept, rows_displaced FROM retrieval WHERE retrieval_id = :id",
            id=retrieval_id,
        )
        assert counts == [(len(wanted - first_seen.keys()), len(wanted & first_seen.keys()), len(present - wanted))]
        found = all_links(corpus.engine, version)
        for key in wanted - first_seen.keys():
            first_seen[key] = found[key].link_id, retrieval_id
        assert links(corpus.engine, version) == expected_links(ranked)
        assert {key: (link.link_id, link.entered_by) for key, link in found.items()} == first_seen
        assert {key for key, link in found.items() if link.displaced_by is None} == wanted
        assert {key for key, link in found.items() if link.displaced_by == retrieval_id} == present - wanted
        present = wanted
    assert len(first_seen) > 30


def test_states_survive_displacement(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    corpus.retrieve(version, top_n=8)
    with corpus.engine.begin() as connection:
        connection.execute(text("UPDATE retrieval_link SET state = 'rejected', finished_at = now() WHERE rank = 3"))
        connection.execute(
            text("UPDATE retrieval_link SET state = 'failed', error = 'e', finished_at = now() WHERE rank = 7")
        )
    before = all_links(corpus.engine, version)
    kept_states = {key: link.state for key, link in before.items()}
    assert sorted(kept_states.values()) == ["failed", "rejected", *["retrieved"] * 6]
    displacing = corpus.retrieve(version, top_n=2)
    found = all_links(corpus.engine, version)
    assert {key: link.state for key, link in found.items()} == kept_states
    assert sum(link.displaced_by == displacing for link in found.values()) == 6
    corpus.retrieve(version, top_n=9)
    after = all_links(corpus.engine, version)
    assert {key: after[key] for key in before} == before
    ((entered,),) = fetch(corpus.engine, "SELECT count(*) FROM retrieval_link WHERE state = 'retrieved' AND rank = 9")
    assert entered == 1


def test_tasks_and_encoders_keep_apart(corpus: Corpus) -> None:
    one, two = corpus.add_task("one"), corpus.add_task("two")
    corpus.retrieve(one)
    expected = links(corpus.engine, one), all_links(corpus.engine, one)
    corpus.retrieve(two, top_n=3)
    corpus.retrieve(two, top_n=2)
    assert (links(corpus.engine, one), all_links(corpus.engine, one)) == expected
    assert len(links(corpus.engine, two)) == 2
    other = Corpus(corpus.engine, smooth_vector)
    other.embed()
    other.retrieve(one, top_n=1)
    rows = fetch(corpus.engine, "SELECT encoder_id, count(*) FROM retrieval_link WHERE displaced_by IS NULL GROUP BY 1")
    assert dict(rows) == {corpus.encoder_id: 10 + 2, other.encoder_id: 1}
    assert fetch(corpus.engine, "SELECT encoder_id, count(*) FROM row_score GROUP BY 1 ORDER BY 1") == [
        (corpus.encoder_id, 10),
        (other.encoder_id, 5),
    ]


def test_the_same_request_again_is_the_one_that_is_there(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    options: dict[str, Any] = {"top_n": 5, "exclude_datasets": ["plain", "holes"]}
    first = corpus.ask(version, **options)
    assert corpus.ask(version, **options) == first  # while it waits
    corpus.compute(first)
    before = all_links(corpus.engine, version)
    assert corpus.ask(version, **options) == first
    assert corpus.ask(version, top_n=5, exclude_datasets=["hol?s", "plain", "no-such"]) == first
    changes: list[dict[str, Any]] = [
        {"top_n": 6}, {"scoring": "max-rank"}, {"mirrors": "all"}, {"exclude_datasets": ["plain"]}, {},
    ]  # fmt: skip
    asked = [corpus.retrieve(version, **(options | change)) for change in changes]
    assert len({first, *asked}) == 6  # the last one, too: the ranking had changed in between
    after = all_links(corpus.engine, version)
    assert {key: after[key] for key in before} == before


def test_a_grown_corpus_is_retrieved_anew(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    first = corpus.retrieve(version)
    holes = ((None, None), ("only a", None), (None, "answer 2"))
    corpus.load("holes", [{"a": a, "b": b} for a, b in holes], "Holes.")  # nothing is new
    assert corpus.ask(version) == first
    new = corpus.load("new", [{"a": "task input 0", "b": "task output 0"}], "Find task.")
    second = corpus.ask(version)
    assert second != first
    corpus.embed()
    corpus.compute(second)
    assert links(corpus.engine, version)[0].key[0] == new
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version))
    assert corpus.ask(version) == second
    finished = "INSERT INTO ingest (dataset_id, ingest_id, code_version, finished_at) VALUES (:new, 2, '', now())"
    with corpus.engine.begin() as connection:
        connection.execute(text(finished), {"new": new})
    assert corpus.ask(version) not in {first, second}


def test_a_failed_request_is_asked_for_anew(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    first = corpus.ask(version)
    with corpus.engine.begin() as connection:
        connection.execute(text("UPDATE retrieval SET state = 'failed', error = 'e', finished_at = now()"))
    assert corpus.ask(version) > first


def test_two_retrievals_of_a_task_at_once_take_turns(corpus: Corpus) -> None:
    version = corpus.add_task("task")
    first, second = corpus.ask(version, top_n=12), corpus.ask(version, top_n=4)
    writing = threading.Event()

    def wait_for_the_other(connection: Connection, request: Request, counts: dict[str, Any]) -> None:
        writing.set()
        until_one_waits(corpus.engine)
        mark_done(connection, request, counts)

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(corpus.compute, first, finish=wait_for_the_other)
        assert writing.wait(30)
        quick = threads.submit(corpus.compute, second)
        slow.result()
        quick.result()
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version, top_n=4))
    assert fetch(corpus.engine, "SELECT DISTINCT retrieval_id FROM row_score") == [(second,)]
    found = all_links(corpus.engine, version)
    assert {link.entered_by for link in found.values()} == {first}
    assert sum(link.displaced_by == second for link in found.values()) == 8


def test_a_run_that_cannot_be_finished_writes_nothing(corpus: Corpus) -> None:
    versions = [corpus.add_task(name) for name in ("one", "two", "three")]
    asked = [corpus.ask(version) for version in versions]

    def refuse_the_second(connection: Connection, request: Request, counts: dict[str, Any]) -> None:
        if request.retrieval_id == asked[1]:
            raise RuntimeError("went to another worker")
        mark_done(connection, request, counts)

    with pytest.raises(RuntimeError, match="went to another worker"):
        corpus.compute(*asked, finish=refuse_the_second)
    assert [len(links(corpus.engine, version)) for version in versions] == [10, 0, 0]
    assert fetch(corpus.engine, "SELECT task_version_id, count(*) FROM row_score GROUP BY 1 ORDER BY 1") == [
        (versions[0], 5),
    ]


def test_a_retrieval_that_ends_after_a_later_one_leaves_the_ranking_alone(corpus: Corpus) -> None:
    version = corpus.add_task("one")
    late, newest = corpus.ask(version, top_n=2), corpus.ask(version, top_n=4)
    corpus.compute(newest)
    before = all_links(corpus.engine, version)
    corpus.compute(late)
    assert all_links(corpus.engine, version) == before
    assert fetch(corpus.engine, "SELECT DISTINCT retrieval_id FROM row_score") == [(newest,)]
    counts = "SELECT state, rows_entered, rows_displaced FROM retrieval WHERE retrieval_id = :late"
    assert fetch(corpus.engine, counts, late=late) == [("done", 0, 0)]


def until_one_waits(engine: Engine) -> None:
    pause = threading.Event()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(1000):
        if fetch(engine, waiting) != [(0,)]:
            return
        pause.wait(0.01)
    raise AssertionError("nobody waited")
