"""After an erasure no word is left in the database; hashes and lineage are, and nothing trips over what is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from rebase_db import queue
from rebase_db.check.example import Result
from rebase_db.check.store import write_results
from rebase_db.check.verdict import CheckDefinition, Finding, Verdict
from rebase_db.control import retry
from rebase_db.embed.store import ChunkTexts, read_chunk, write_vectors
from rebase_db.errors import RetractionError
from rebase_db.hashing import text_hash
from rebase_db.outcomes import Done
from rebase_db.queue import Claim
from rebase_db.retract import erase as erasing
from rebase_db.retract.erase import erase, rewrite_tables
from rebase_db.retract.report import Erasure
from rebase_db.schema import Base
from rebase_db.schema.seal import SEALED, seal_expression
from rebase_db.transform.store import requeue_for
from rebase_db.transform.stored import stored_replies
from tests.docs.seeded import CALLS, WIDTH, Scripted
from tests.retract.test_retracting import lane_of
from tests.schema.chain import add

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from rebase_db.retract.report import Report
    from rebase_db.transform.provider import Reply, Request
    from tests.retract.conftest import Shop

WORD = "after next"
"""In no other row of the shop than calls:2, and in nothing that is made of others."""
COLUMNS = """
    SELECT table_name, column_name, data_type
    FROM information_schema.columns
    JOIN pg_tables ON tablename = table_name AND schemaname = table_schema
    WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'ARRAY', 'character varying', 'bytea')"""
FILES = """
    SELECT relname, pg_relation_filepath(oid) FROM pg_class
    WHERE relkind IN ('r', 't') AND (oid >= 16384 OR relname = 'pg_statistic')"""
SEARCH = 'SELECT count(*) FROM "{}" WHERE {} ILIKE :word'
IN_FILE = "SELECT position(CAST(:word AS bytea) IN pg_read_binary_file(:path))"


def where_it_is(shop: Shop, word: str = WORD) -> list[str]:
    """Columns that hold a word."""
    found = []
    for table, column, kind in shop.rows(COLUMNS):
        value = f"encode({column}, 'escape')" if kind == "bytea" else f'CAST("{column}" AS text)'
        if shop.one(SEARCH.format(table, value), word=f"%{word}%"):
            found.append(f"{table}.{column}")
    return sorted(found)


def files_with(shop: Shop, word: str = WORD) -> list[str]:
    """Tables whose files hold a word, whether or not in a row that anybody sees."""
    with shop.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
    return sorted(name for name, path in shop.rows(FILES) if shop.one(IN_FILE, word=word.encode(), path=path))


def erase_now(shop: Shop, number: int = 1) -> Report:
    with shop.engine.begin() as connection:
        return erase(connection, number)


def seals_that_lie(shop: Shop) -> list[str]:
    tables = [Base.metadata.tables[name] for name in SEALED]
    wrong = "SELECT count(*) FROM {} WHERE seal <> {}"
    return [table.name for table in tables if shop.one(wrong.format(table.name, seal_expression(table)))]


@pytest.fixture
def quoted(shop: Shop) -> Shop:
    """The shop, with the word also where checks, errors and events quote the row, and in an example made of its one."""
    of_calls = (
        "SELECT link_id FROM retrieval_link JOIN dataset USING (dataset_id) WHERE name = 'calls' AND row_id = :row"
    )
    link, elsewhere = shop.one(of_calls, row=3), shop.one(of_calls, row=1)
    example = shop.one("SELECT example_id FROM example WHERE link_id = :link", link=link)
    other = shop.one("SELECT example_id FROM example WHERE link_id = :link", link=elsewhere)
    some_check = shop.one("SELECT min(check_id) FROM check_definition")
    with shop.engine.begin() as connection:
        check = {"check_id": some_check, "verdict": "warn", "score": 1}
        add(connection, "check_result", example_id=example, evidence={"text": "is it after next"}, **check)
        add(connection, "check_result", example_id=other, other_example_id=example, evidence={"text": WORD}, **check)
        call = {"prompt_hash": text_hash("p"), "raw_answer": WORD, "latency_seconds": 0.1, "outcome": "parsed"}
        keys = {"teacher_id": 1, "prompt_id": 1, "worker_id": 1, "attempt": 9, "link_id": elsewhere}
        made = add(connection, "generation", reading="strict", **call, **keys)
        derived = add(connection, "example", input="the one after next", output="now", content_hash=text_hash("c"),
                      generation_id=made["generation_id"], link_id=elsewhere)  # fmt: skip
        add(connection, "example_parent", example_id=derived["example_id"], parent_id=example)
        said = {"word": "timeout: after next", "link": link}
        connection.execute(text("UPDATE retrieval_link SET error = :word WHERE link_id = :link"), said)
        event = {"queue": "retrieval_link", "attempt": 1, "from_state": "a", "to_state": "b", "event": "fail"}
        add(connection, "event", item_id=link, detail=said["word"], **event)
        add(connection, "event", item_id=elsewhere, detail=WORD, **event | {"attempt": 9})
        connection.execute(text("ANALYZE"))  # the planner keeps values too
    return shop


def test_an_erasure_leaves_no_word_and_every_hash(quoted: Shop) -> None:
    held = {
        "check_result.evidence", "event.detail", "example.input", "generation.raw_answer", "retrieval_link.error",
        "source_row.content", "text.text",
    }  # fmt: skip
    assert set(where_it_is(quoted)) == held
    before = quoted.rows("SELECT dataset_id, row_id, content_hash FROM source_row ORDER BY 1, 2")
    texts = quoted.rows("SELECT dataset_id, text_id, sha256 FROM text ORDER BY 1, 2")
    hashes = quoted.rows("SELECT example_id, content_hash FROM example ORDER BY 1")
    shown = quoted.retract("row", "calls:2")
    assert set(where_it_is(quoted)) == held, "retracting erases nothing"
    report = erase_now(quoted)
    assert report.to_erase == shown.to_erase
    # Three calls: the first reply did not come in time, and one made the derived example.
    assert report.to_erase == Erasure(rows=1, texts=1, texts_kept=0, vectors=1, calls=3, examples=2, judgements=1)
    assert where_it_is(quoted) == []
    # Updated rows leave their old versions behind.
    assert {"source_row", "text", "example", "pg_statistic"} <= set(files_with(quoted))
    assert rewrite_tables(quoted.engine, 1).complete
    assert files_with(quoted) == []
    assert seals_that_lie(quoted) == []
    assert quoted.rows("SELECT dataset_id, row_id, content_hash FROM source_row ORDER BY 1, 2") == before
    assert quoted.rows("SELECT dataset_id, text_id, sha256 FROM text ORDER BY 1, 2") == texts
    assert quoted.rows("SELECT example_id, content_hash FROM example ORDER BY 1") == hashes
    digest = text_hash("when is the lift looked after next").hex()
    assert quoted.rows("SELECT content FROM source_row WHERE erased_by = 1") == [({"call": digest},)]
    assert quoted.rows("SELECT outcome, reason FROM judgement WHERE erased_by = 1") == [("judged", None)]
    assert quoted.one("SELECT reason FROM generation WHERE erased_by = 1 AND outcome = 'error'") == "erased"
    assert quoted.one("SELECT error FROM retrieval_link WHERE retracted_at IS NOT NULL") == "timeout"
    # What is left is what the others have.
    assert quoted.one("SELECT count(*) FROM example WHERE input LIKE '%stuck%'") == 2
    assert erase_now(quoted).to_erase == Erasure(0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(RetractionError, match="stays: its rows were erased"):
        quoted.undo(1)


def test_nothing_brings_an_erased_text_back(shop: Shop, tmp_path: Path) -> None:
    shop.retract("row", "calls:2")
    erase_now(shop)
    again = shop.load(tmp_path / "calls.jsonl", CALLS + '{"call": "the lift smells"}\n')
    assert (again.rows_added, again.rows_unchanged, again.rejected) == (1, 4, [])
    later = '{"call": "when is the lift looked after next"}\n{"call": "the lift sings"}\n'
    loaded = shop.load(tmp_path / "calls.jsonl", later, split="later")
    assert loaded.rows_added == 1
    assert [(row.source_index, row.column) for row in loaded.rejected] == [(0, "call")]
    assert shop.one("SELECT reason FROM ingest_rejection WHERE dataset_id ="
                    " (SELECT dataset_id FROM dataset WHERE name = 'calls')").startswith("holds a text")  # fmt: skip
    with shop.steps("urgency") as steps:
        steps.embed()
        steps.retrieve(steps.stored())
        steps.check(steps.stored())
    assert where_it_is(shop) == []
    assert shop.one("SELECT count(*) FROM text LEFT JOIN embedding USING (dataset_id, text_id)"
                    " WHERE (text.text IS NULL) <> (embedding.vector IS NULL)") == 0  # fmt: skip


def test_shared_texts_and_the_description_stay_until_the_dataset_goes(shop: Shop) -> None:
    shop.retract("row", "chats:default/later:0")
    report = erase_now(shop)
    assert (report.to_erase.texts, report.to_erase.texts_kept) == (1, 1)
    assert shop.one("SELECT count(*) FROM text WHERE text = 'delivery'") == 1
    shop.retract("dataset", "chats")
    report = erase_now(shop, 2)
    assert (report.to_erase.rows, report.to_erase.texts_kept) == (4, 0)
    names = "SELECT count(*) FROM text JOIN dataset USING (dataset_id) WHERE name = 'chats' AND text IS NOT NULL"
    assert shop.one(names) == 0
    assert shop.one("SELECT count(*) FROM text WHERE erased_by = 1") == 1
    assert where_it_is(shop, "Chats with a shop") == where_it_is(shop, "my neighbour") == []
    with shop.steps() as steps:
        steps.retrieve(steps.stored())
    assert not [place for place in shop.ranking() if place[0] == "chats"]


def test_an_answer_on_its_way_is_refused_and_an_erased_one_not_used_again(shop: Shop) -> None:
    link = "SELECT link_id FROM retrieval_link JOIN dataset USING (dataset_id) WHERE name = 'calls' AND row_id = 3"
    link_id = shop.one(link)
    with shop.steps("urgency") as steps:
        me = steps.lease.worker_id
        shop.rows("UPDATE retrieval_link SET state = 'transforming', finished_at = NULL, worker_id = :me"
                  " WHERE link_id = :link", me=me, link=link_id)  # fmt: skip
        attempt = shop.one("SELECT attempt FROM retrieval_link WHERE link_id = :link", link=link_id)
        shop.retract("row", "calls:2")
        erase_now(shop)
        with shop.engine.begin() as connection:
            assert queue.settle(connection, queue.TRANSFORM, me, [(Claim(link_id, attempt, last=False), Done())]) == []
    assert shop.one("SELECT state FROM retrieval_link WHERE link_id = :link", link=link_id) == "cancelled"
    with shop.engine.begin() as connection:
        assert retry(connection, None, ["transform"]) == {"transform": 0}
        assert requeue_for(connection, *lane_of(connection, "urgency"), 0, 0) == len(shop.ranking("urgency"))
    assert shop.one("SELECT state FROM retrieval_link WHERE link_id = :link", link=link_id) == "cancelled"
    used = "SELECT prompt_hash, teacher_id FROM generation WHERE link_id = :link AND outcome = 'parsed'"
    ((digest, teacher_id),) = shop.rows(used, link=link_id)
    same = SimpleNamespace(prompt_hash=digest, link_id=1)
    with shop.engine.connect() as connection:
        assert stored_replies(connection, teacher_id, [same]) == {}  # type: ignore[list-item]


def test_late_vectors_and_verdicts_hold_nothing_of_what_was_erased_meanwhile(quoted: Shop) -> None:
    example = quoted.one("SELECT max(example_id) FROM example WHERE input LIKE '%looked after next%'")
    chunk = quoted.one("SELECT embed_chunk_id FROM embed_chunk JOIN dataset USING (dataset_id) WHERE name = 'calls'")
    claim = Claim(chunk, 1, last=False)
    quoted.retract("row", "calls:2")
    erase_now(quoted)
    definition = CheckDefinition("length", {})
    finding = Finding(failed=True, score=1.0, evidence={"text": WORD})
    with quoted.engine.begin() as connection:
        dataset_id = read_chunk(connection, claim).dataset_id
        text_id = connection.execute(text("SELECT text_id FROM text WHERE erased_by = 1")).scalar_one()
        late = ChunkTexts(claim, dataset_id, 1, [text_id], ["when is the lift looked after next"])
        write_vectors(connection, late, np.full((1, WIDTH), WIDTH**-0.5, np.float32))
        result = Result(definition, Verdict.WARN, finding)
        write_results(connection, {definition.content_hash: 1}, {example: [result]})
    assert where_it_is(quoted) == []
    assert quoted.one("SELECT count(*) FROM embedding JOIN text USING (dataset_id, text_id) WHERE text IS NULL") == 0


class Interrupted(Scripted):
    """A judge that quotes what it judges; while it thinks, something else happens."""

    identity: ClassVar[dict[str, Any]] = {**Scripted.identity, "model": "another"}

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._in_time = True
        self._meanwhile = meanwhile

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Iterator[Reply]:
        replies = list(super().ask(requests, schema, name))
        self._meanwhile()
        yield from replies

    def _judged(self, example: Mapping[str, str]) -> dict[str, Any]:
        return {"reason": f"Is {example['input']} a call for help?", "points": 3}


def test_a_judge_that_answers_later_says_nothing_of_an_erased_example(shop: Shop) -> None:
    def meanwhile() -> None:
        if not shop.retracted():
            shop.retract("row", "calls:2")
            erase_now(shop)

    with shop.steps("urgency") as steps:
        judge = steps.file.checks.judge
        assert judge is not None
        judge = judge.model_copy(update={"model": judge.model.model_copy(update={"model": "another"})})
        checks = steps.file.checks.model_copy(update={"judge": judge})
        steps.file = steps.file.model_copy(update={"checks": checks})
        vars(steps.models).update(provider=lambda _: Interrupted(meanwhile))
        steps.check(steps.stored())
    said = "SELECT outcome, points, raw_answer, reason FROM judgement JOIN teacher USING (teacher_id)"
    of = f"{said} JOIN example USING (example_id) WHERE model = 'another' AND (input = '') = :erased"
    assert shop.rows(of, erased=True) == [("judged", 3, None, None)]
    assert all(reason.startswith("Is the lift") for *_, reason in shop.rows(of, erased=False))
    assert where_it_is(shop) == []


def test_who_still_sees_the_old_rows_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "WAIT_SECONDS", 0.0)
    with shop.engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        reader.execute(text("SELECT count(*) FROM task"))
        shop.retract("row", "calls:2")
        erase_now(shop)
        held = rewrite_tables(shop.engine, 1)
        assert not held.complete
        assert len(held.held_up_by) == 1
        assert files_with(shop) != []
    assert rewrite_tables(shop.engine, 1).complete
    assert files_with(shop) == []


def test_tables_that_are_not_this_users_count_as_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "WAIT_SECONDS", 0.0)
    shop.retract("row", "calls:2")
    erase_now(shop)
    # The server says no more than a warning to who may read a table, but not vacuum it.
    reader = create_engine(shop.url, connect_args={"options": "-c role=pg_read_all_data"})
    found = rewrite_tables(reader, 1)
    reader.dispose()
    assert (found.complete, found.tables, "pg_statistic" in found.left) == (False, [], True)
