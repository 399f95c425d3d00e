"""A corpus that grows, shrinks and gets rows back: only rows without a score are scored, and rankings are as anew."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import text

from rebase_db.embed.plan import plan_chunks
from rebase_db.lease import Lease
from rebase_db.retract.retraction import Request, retract, undo
from rebase_db.retrieve import corpus as module
from rebase_db.retrieve import score
from rebase_db.retrieve.receipt import read_receipt
from rebase_db.retrieve.run import compute_retrievals, read_requests
from rebase_db.verify.chains import check_retrievals
from rebase_db.verify.rankings import check_rankings
from tests.load.sources import fetch
from tests.retrieve.corpus import Corpus, expected_links, links, mark_done
from workers.runner import drain
from workers.stages.embed import EmbedStage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder
    from rebase_db.retrieve.corpus import DatasetCells, Keys

SCORINGS = ("average-score", "average-rank", "max-rank")
STEPS = 14
SCORED = """\
SELECT dataset_id, unnest(row_ids), unnest(input_scores), unnest(output_scores), dataset_score, unnest(input_columns),
    unnest(output_columns)
FROM row_score WHERE task_version_id = :version ORDER BY 1, 2"""


class Reading:
    """Counts what scoring reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        self.vectors = 0
        self.texts: list[int] = []
        self.descriptions = 0

        read_cells, read_vectors, descriptions = module.read_cells, module.read_vectors, module.description_vectors

        def cells(*of: Any) -> Iterator[DatasetCells]:
            for found in read_cells(*of):
                self.rows += len(found.row_ids)
                yield found

        def vectors(*of: Any) -> Iterator[tuple[Keys, Any]]:
            for keys, found in read_vectors(*of):
                self.vectors += len(keys)
                self.texts += keys.tolist()
                yield keys, found

        def described(*of: Any) -> dict[int, Any]:
            found = descriptions(*of)
            self.descriptions += len(found)
            return found

        monkeypatch.setattr(score, "read_cells", cells)
        monkeypatch.setattr(score, "read_vectors", vectors)
        monkeypatch.setattr(score, "description_vectors", described)

    def taken(self) -> tuple[int, int, int]:
        """Rows, vectors of cells and vectors of descriptions since it was last asked."""
        found = self.rows, self.vectors, self.descriptions
        self.rows = self.vectors = self.descriptions = 0
        return found


def rows_of(name: str, first: int, last: int) -> list[dict[str, str | None]]:
    """Rows that have texts of their own, and one that all have."""
    return [{"a": f"{name} {number}", "b": f"{name} too {number}", "c": "same"} for number in range(first, last)]


def remove(engine: Engine, dataset_id: int, row_id: int) -> None:
    """What a load does with a row that its source has no more."""
    row = {"dataset_id": dataset_id, "row_id": row_id}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ingest (dataset_id, ingest_id, code_version, finished_at) SELECT :dataset_id,"
                " max(ingest_id) + 1, '', now() FROM ingest WHERE dataset_id = :dataset_id"
            ),
            row,
        )
        connection.execute(
            text(
                "INSERT INTO removed_row (dataset_id, row_id, ingest_id) SELECT :dataset_id, :row_id, max(ingest_id)"
                " FROM ingest WHERE dataset_id = :dataset_id"
            ),
            row,
        )
        connection.execute(
            text("UPDATE source_row SET removed_at = now() WHERE (dataset_id, row_id) = (:dataset_id, :row_id)"), row
        )


def lies(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [str(lie) for check in (check_retrievals, check_rankings) for lie in check(connection)]


@pytest.mark.parametrize("seed", range(5))
def test_any_history_ends_as_one_that_was_scored_anew(corpus: Corpus, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    engine = corpus.engine
    versions = [corpus.add_task("task"), corpus.add_task("other")]
    standing: list[int] = []
    loaded = 0
    did: set[str] = set()

    def load() -> None:
        nonlocal loaded
        loaded += 1
        texts = [f"question {chance.randrange(11)}" if chance.random() < 0.5 else f"new {loaded} {n}" for n in range(6)]
        corpus.load(f"more {loaded}", [{"question": one, "answer": f"answer {chance.randrange(3)}"} for one in texts])

    def take_out() -> None:
        live = "SELECT dataset_id, row_id FROM source_row WHERE removed_at IS NULL ORDER BY 1, 2"
        remove(engine, *chance.choice(fetch(engine, live)))

    def withdraw() -> None:
        row = "SELECT name || ':' || source_index FROM source_row JOIN dataset USING (dataset_id)"
        said = chance.choice(fetch(engine, f"{row} WHERE retracted_at IS NULL ORDER BY 1"))[0]
        dataset = said.partition(":")[0]
        kind = ("dataset", dataset) if chance.random() < 0.4 else ("row", said)
        with engine.begin() as connection:
            retract(connection, Request(*kind, "a reason", "me"))
        standing.append(fetch(engine, "SELECT max(retraction_id) FROM retraction")[0][0])

    def give_back() -> None:
        if standing:
            number = standing.pop(chance.randrange(len(standing)))
            with engine.begin() as connection:
                undo(connection, number, "a mistake")

    for _ in range(STEPS):
        step = chance.choice([load, take_out, withdraw, give_back])
        did.add(step.__name__)
        step()
        corpus.embed()
        version = chance.choice(versions)
        options: dict[str, Any] = {"top_n": chance.choice([4, 12, 100]), "scoring": chance.choice(SCORINGS)}
        drop_mirrors = chance.random() < 0.5
        corpus.retrieve(version, mirrors="first" if drop_mirrors else "all", **options)
        assert links(engine, version) == expected_links(corpus.ranked(version, drop_mirrors=drop_mirrors, **options))
        scored = [
            (*row.key, row.input_score, row.output_score, row.dataset_score, row.input_column, row.output_column)
            for row in sorted(corpus.scored(version), key=lambda row: row.key)
        ]
        assert fetch(engine, SCORED, version=version) == scored
    assert len(did) >= 3
    assert lies(engine) == []


def test_only_new_rows_are_read_and_only_new_texts_embedded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(engine)
    stage = EmbedStage(engine, lambda _: corpus)  # type: ignore[arg-type,return-value]

    def embed() -> int:
        with engine.begin() as connection:
            plan_chunks(connection, corpus.encoder_id)
        with Lease(engine) as lease:
            drain(engine, lease, stage, [(corpus.encoder_id,)])
        found = sum(map(len, corpus.encoded))
        corpus.encoded.clear()
        return found

    large, small = rows_of("large", 0, 200), rows_of("small", 0, 10)
    corpus.load("large", large, "Large.")
    corpus.load("small", small, "Small.")
    assert embed() == 2 * 210 + 2 + 2  # and in each dataset the text that all rows have, and the description
    versions = [corpus.add_task(name) for name in ("one", "two", "three")]
    reading = Reading(monkeypatch)
    corpus.compute(*(corpus.ask(version, mirrors="all") for version in versions))
    corpus.encoded.clear()  # of the tasks
    whole = reading.taken()
    assert whole == (210, 2 * 210 + 2, 2)

    # One in a hundred more: of these rows the new texts are embedded, and only they are read, for all tasks together.
    corpus.load("small", [*small, *rows_of("small", 10, 12)], "Small.")
    assert embed() == 4
    asked = [corpus.ask(version, mirrors="all") for version in versions]
    corpus.compute(*asked)
    few = reading.taken()
    assert few == (2, 2 * 2 + 1, 1)  # the text that all have is read again, not embedded
    assert all(part <= 0.03 * every for part, every in zip(few[:2], whole[:2], strict=True))
    numbers = "SELECT retrieval_id, sum(ranked), sum(scored) FROM retrieval_dataset GROUP BY 1 ORDER BY 1 DESC LIMIT 3"
    assert fetch(engine, numbers) == [(number, 212, 2) for number in reversed(asked)]
    # What did not change was not written again.
    stamps = "SELECT dataset_id, array_agg(DISTINCT retrieval_id) FROM row_score GROUP BY 1 ORDER BY 1"
    assert fetch(engine, stamps) == [(1, [number - 3 for number in asked]), (2, asked)]

    # Asked otherwise, the stored scores will do.
    for options in ({"top_n": 50}, {"scoring": "max-rank"}, {"exclude_datasets": ["large"]}, {"mirrors": "first"}):
        corpus.retrieve(versions[0], **options)
    assert reading.taken() == (0, 0, 0)
    assert embed() == 0
    assert links(engine, versions[0]) == expected_links(corpus.ranked(versions[0]))

    # A row that was retracted has no score while it is; when it returns it is scored again, and it alone.
    with engine.begin() as connection:
        retract(connection, Request("row", "large:7", "a reason", "me"))
    corpus.retrieve(versions[0])
    assert reading.taken() == (0, 0, 0)
    with engine.begin() as connection:
        undo(connection, 1, "a mistake")
    corpus.retrieve(versions[0])
    assert reading.taken() == (1, 3, 1)
    assert lies(engine) == []


def test_a_receipt_says_what_became_of_the_rows_of_each_dataset(corpus: Corpus) -> None:
    engine, version = corpus.engine, corpus.add_task("task")
    seen: set[tuple[int, int]] = set()
    before: set[tuple[int, int]] = set()
    cutoff = None
    scored: set[tuple[int, int]] = set()
    returned_once = 0
    asked: list[dict[str, Any]] = [{"top_n": 20}, {"top_n": 5}, {"top_n": 20}, {"exclude_datasets": ["first"]}, {}]
    for number, options in enumerate(asked):
        if number >= 2:
            corpus.load(f"more {number}", rows_of(f"task input {number}", 0, 4))
            corpus.embed()
        if number == 4:
            remove(engine, *min(before))
        retrieval_id = corpus.retrieve(version, **options)
        now = {link.key for link in links(engine, version)}
        alive = {row.key for row in corpus.scored(version)}
        with engine.connect() as connection:
            receipt = read_receipt(connection, retrieval_id)
        names = {name: key for key, name in fetch(engine, "SELECT dataset_id, name FROM dataset")}
        excluded = set() if number != 3 else {names["first"]}
        expected = {
            "ranked": {key for key in alive if key[0] not in excluded},
            "scored": alive - scored,
            "entered": now - seen,
            "returned": (now & seen) - before,
            "kept": now & before,
            "displaced": before - now,
        }
        for one in receipt["datasets"]:
            of = names[one["dataset"]]
            assert {name: sum(key[0] == of for key in keys) for name, keys in expected.items()} == {
                name: one[name] for name in expected
            }
        for name, keys in expected.items():
            assert sum(one[name] for one in receipt["datasets"]) == len(keys)
        assert receipt["rows_scored"] == len(alive)
        assert receipt["rows_scored_anew"] == len(expected["scored"])
        assert receipt["rows_returned"] == len(expected["returned"])
        assert receipt["previous_cutoff_score"] == cutoff
        returned_once += len(expected["returned"])
        seen, before, scored, cutoff = seen | now, now, alive, receipt["cutoff_score"]
    assert returned_once
    assert lies(engine) == []


def test_what_another_retrieval_stored_meanwhile_is_replaced_and_scored_again(corpus: Corpus) -> None:
    """One that scored before a load writes after one that scored after it, but was asked for before."""
    version = corpus.add_task("task")
    corpus.retrieve(version, top_n=8)
    as_it_was = corpus.ranked(version, top_n=6)
    quick, slow = corpus.ask(version, top_n=12), corpus.ask(version, top_n=6)
    with corpus.engine.connect() as connection:
        requests = read_requests(connection, [slow])
    (scored,) = compute_retrievals(corpus.engine, requests, lambda: cast("Encoder", corpus))
    corpus.load("late", rows_of("task input", 0, 3))
    corpus.embed()
    corpus.compute(quick)
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version, top_n=12))
    with corpus.engine.begin() as connection:
        mark_done(connection, requests[0], scored.write(connection, [slow])[slow])
    assert links(corpus.engine, version) == expected_links(as_it_was)
    assert lies(corpus.engine) == []
    assert corpus.retrieve(version, top_n=6) > slow
    assert links(corpus.engine, version) == expected_links(corpus.ranked(version, top_n=6))
    assert lies(corpus.engine) == []
