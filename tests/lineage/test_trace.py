"""Up and down from every kind of record, against a walk over foreign keys in Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from typer.testing import CliRunner

from cli.main import app
from rebase_db.errors import UnknownNameError
from rebase_db.lineage import graph
from rebase_db.lineage.trace import Trace, trace
from rebase_db.reference import FORMS, find
from rebase_db.schema import Base
from rebase_db.schema.lineage.edges import EDGES, KEYS
from rebase_db.schema.provenance import MUTABLE
from rebase_db.sql import named
from tests.lineage.graph_of_keys import Key, KeyGraph
from tests.schema.chain import NOW, add, digest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

NO_EDGE = {
    "budget", "cell", "check_definition", "check_result", "dataset_column", "dataset_split", "embed_chunk", "embedding",
    "event", "ingest_rejection", "ingest_split", "metric", "prediction", "benchmark_item",
    "reservation", "retrieval_exclusion", "retrieval_mirror", "ingest_column", "task_vector", "text",
    "worker", "removed_row", "retrieval_dataset", "training_set_mix",
}  # fmt: skip
"""Tables that say more of a record, or of work, but make no way from one record to another."""
ONLY_ENDS = {"benchmark", "encoder", "prompt", "retraction", "task", "teacher"}
"""Tables that others refer to and that refer to none themselves."""


@pytest.fixture
def grown(connection: Connection, chain: dict[str, Row]) -> Connection:
    """The lineage with more than one of everything that may be many."""
    connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    put = Put(connection, chain)
    dataset = put("dataset", name="numbers", licence=None)
    put("text", dataset_id=dataset, text_id=1)
    put("dataset_split", dataset_id=dataset)
    put("dataset_column", dataset_id=dataset)
    for load in (1, 2):
        put("ingest", dataset_id=dataset, ingest_id=load)
        put("ingest_split", dataset_id=dataset, ingest_id=load, rows_added=2)
        for row in (2 * load - 1, 2 * load):
            place = {"dataset_id": dataset, "row_id": row}
            put("source_row", **place, ingest_id=load, source_index=row, content_hash=digest(row))
            put("cell", **place, text_id=1)
            link = put("retrieval_link", **place, rank=row + 1)
            asked = chain["generation"]["generation_id"] if row == 2 else None
            answer: Row = {"raw_answer": None, "requests": 0} if asked else {}
            if row == 4:
                answer = {"outcome": "rejected", "reason": "not_json: no object", "reading": None}
            prompt_hash = chain["generation"]["prompt_hash"] if asked else digest(("prompt", row))
            call = put("generation", link_id=link, reused_from=asked, prompt_hash=prompt_hash, **answer)
            if row < 4:
                put("example", generation_id=call, link_id=link, content_hash=digest(("example", row)))
    connection.execute(text("UPDATE retrieval SET rows_entered = 5"))
    oldest, newest = (
        connection.execute(text(f"SELECT {which}(example_id) FROM example")).scalar_one()  # noqa: S608
        for which in ("min", "max")
    )
    put("example_parent", example_id=newest, parent_id=newest - 1)
    second = put(
        "training_set", name="letters-2", size=3, successor_of=chain["training_set"]["training_set_id"],
        manifest_hash=digest("second"),
    )  # fmt: skip
    for position, example in enumerate((oldest, newest - 1, newest), 1):
        put("training_set_member", training_set_id=second, position=position, example_id=example)
    connection.execute(text(named("record_mixes")), {"training_set_id": second})
    run = put("training_run", training_set_id=second, run_key=digest("second run"), state="waiting", finished_at=None,
              artifact_path=None, artifact_hash=None, environment=None, attempt=0)  # fmt: skip
    put("evaluation", training_run_id=run)
    withdrawn = put("retraction", target="numbers")
    put("retracted_dataset", retraction_id=withdrawn, dataset_id=dataset)
    for row in range(1, 5):
        put("retracted_row", retraction_id=withdrawn, dataset_id=dataset, row_id=row)
    published = put("published_example", position=2)
    for row, method in ((1, "words"), (1, "numbers"), (2, "words")):
        put(
            "likely_source", published_example_id=published, dataset_id=dataset, row_id=row, method=method,
            confidence=0.25 * row,
        )  # fmt: skip
    return connection


class Put:
    """Puts another row like the one of the chain into a table, with some other values."""

    def __init__(self, connection: Connection, chain: dict[str, Row]) -> None:
        self._connection, self._chain = connection, chain

    def __call__(self, table: str, **values: Any) -> int:
        stored = Base.metadata.tables[table]
        own = [column.name for column in stored.columns if column.identity is not None]
        like = {name: value for name, value in self._chain[table].items() if name not in {*own, "seal"}}
        made = add(self._connection, table, **like | values)
        return int(made[own[0]]) if own else 0


def steps(connection: Connection, start: Key, direction: str, most: int = 100) -> list[Row]:
    found = connection.execute(
        text("SELECT * FROM lineage.trace(:kind, :key, :direction, :most)"),
        {"kind": start[0], "key": start[1], "direction": direction, "most": most},
    ).mappings()
    return [dict(row) for row in found]


def reached(connection: Connection, start: Key, direction: str) -> set[Key]:
    return {(step["next_kind"], step["next_key"]) for step in steps(connection, start, direction)}


def test_every_record_is_followed_as_foreign_keys_say(grown: Connection) -> None:
    keys = KeyGraph(grown)
    assert {kind for kind, _ in keys.all} == KEYS.keys()

    for direction in ("up", "down"):
        for record in keys.all:
            assert reached(grown, record, direction) == keys.reached(record, direction), (direction, record)


def test_up_and_down_are_each_others_inverse(grown: Connection) -> None:
    records = KeyGraph(grown).all
    below = {record: reached(grown, record, "down") for record in records}
    above = {record: reached(grown, record, "up") for record in records}

    assert {(one, other) for one in records for other in below[one]} == {
        (one, other) for other in records for one in above[other]
    }


def test_each_edge_is_returned_once(grown: Connection) -> None:
    for record in KeyGraph(grown).all:
        found = [tuple(step.values())[1:] for step in steps(grown, record, "down")]
        assert len(found) == len(set(found))


def test_every_table_is_an_edge_or_known_to_be_none() -> None:
    """A table that comes later has to be thought of here."""
    read = " ".join(edge.source for edge in EDGES).split()
    tables = set(Base.metadata.tables) & {word.strip("()") for word in read}

    assert set(MUTABLE) - tables - ONLY_ENDS == NO_EDGE
    assert set(FORMS) == set(KEYS)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_is_not_followed_is_counted(grown: Connection, most: int) -> None:
    keys = KeyGraph(grown)
    for direction, ways in (("up", keys.parents), ("down", keys.children)):
        for record in keys.all:
            first = [step for step in steps(grown, record, direction, most) if step["depth"] == 1]
            for kind in {kind for kind, _ in ways[record]}:
                there = sum(other[0] == kind for other in ways[record])
                shown = sum(step["next_kind"] == kind and step["next_key"] is not None for step in first)
                others = [step["others"] for step in first if step["next_kind"] == kind and step["next_key"] is None]
                assert shown == min(most, there), (record, kind)
                assert others == ([there - most] if there > most else []), (record, kind)


def test_a_trace_that_grows_too_large_says_where_it_stopped(grown: Connection) -> None:
    node = find(grown, "dataset:numbers")

    whole = trace(grown, node, ["down"])
    cut = trace(grown, node, ["down"], most_records=3)

    assert whole.unfollowed == {}
    # The dataset and its loads are three; with their rows it is more.
    assert cut.unfollowed == {"down": 4}
    assert [record.kind for record in cut.records()] == ["dataset"] + ["load"] * 2 + ["row"] * 4


def test_a_guess_is_called_one(grown: Connection) -> None:
    newest = grown.execute(text("SELECT max(published_example_id) FROM published_example")).scalar_one()
    roles = {(step.to.reference, step.role) for step in traced(grown, f"published:{newest}", "up").up if step.to}

    assert ("row:numbers:default/train:2", "likely, a guess: 0.50") in roles
    # Of several methods the surest is told.
    assert ("row:numbers:default/train:1", "likely, a guess: 0.25") in roles


def test_who_judged_an_example_is_above_it_and_what_a_judge_judged_below(
    grown: Connection, chain: dict[str, Row]
) -> None:
    judge = Put(grown, chain)("teacher", model="judge", content_hash=digest("judge"))
    number = Put(grown, chain)("judgement", teacher_id=judge)

    example = chain["judgement"]["example_id"]
    above = {(step.to.reference, step.role) for step in traced(grown, f"example:{example}", "up").up if step.to}
    below = [(step.to.reference, step.role) for step in traced(grown, f"teacher:{judge}", "down").down if step.to]
    assert {(f"judgement:{number}", "judged it"), (f"teacher:{judge}", None)} <= above
    assert below[:2] == [(f"judgement:{number}", None), (f"example:{example}", "judged it")]


def test_a_published_ranking_is_below_its_rows(grown: Connection) -> None:
    below = traced(grown, "row:letters:default/train:0", "down").down

    assert ("publication:p", "ranked 1 in it") in {(step.to.reference, step.role) for step in below if step.to}


def described(connection: Connection, reference: str) -> str:
    return trace(connection, find(connection, reference), []).start.description


def test_what_became_of_a_record_is_said_before_what_may_be_cut_off(grown: Connection, chain: dict[str, Row]) -> None:
    run = grown.execute
    link, example = chain["retrieval_link"]["link_id"], chain["example"]["example_id"]
    run(text("UPDATE retrieval_link SET retracted_at = NULL, displaced_by = NULL, state = 'transformed'"))
    assert described(grown, f"link:{link}").startswith("transformed, rank ")
    assert described(grown, f"example:{example}").startswith("accepted: ")

    run(text("UPDATE retrieval_link SET retracted_at = clock_timestamp(), displaced_by = entered_by"))
    assert described(grown, f"link:{link}").startswith("retracted, displaced, transformed, rank ")
    assert described(grown, f"example:{example}").startswith("retracted, displaced: ")

    run(text("UPDATE retrieval_link SET state = 'rejected', error = 'label: no', retracted_at = NULL"))
    assert described(grown, f"example:{example}").startswith("displaced, kept out by label: ")

    put = Put(grown, chain)
    undone = put("retraction", target="a", reason="b" * 200, undone_at=NOW, undo_reason="c")
    assert described(grown, f"retraction:{undone}").startswith("undone, ")


def test_a_revision_is_shortened_only_where_it_is_a_hash(grown: Connection, chain: dict[str, Row]) -> None:
    put = Put(grown, chain)
    for revision, shown in (("0123456789abcdef" * 3, "0123456789ab"), ("release-of-november", "release-of-november")):
        number = put("encoder", revision=revision)
        assert described(grown, f"encoder:{number}").endswith(f"revision {shown}")


def traced(connection: Connection, reference: str, *directions: str, most: int = 10) -> Trace:
    return trace(connection, find(connection, reference), directions, most=most)


def test_a_trace_is_one_statement(grown: Connection) -> None:
    node = find(grown, "example:1")
    sent: list[str] = []
    event.listen(grown, "before_cursor_execute", lambda *given: sent.append(given[2]))

    trace(grown, node)

    assert len(sent) == 1


def test_graphs_have_every_record_and_step_in_the_direction_of_the_data(grown: Connection) -> None:
    found = traced(grown, "example:1", "up", "down")
    records = found.records()
    arrows = len({(s.record, s.to) for s in found.up}) + len({(s.record, s.to) for s in found.down})

    plain = graph.as_json(found)
    assert plain["records"].keys() == {record.reference for record in records}
    assert {"from": "example:1", "to": "call:1", "kind": "call", "role": None} in plain["up"]
    for drawn, arrow in ((graph.as_mermaid(found), " --"), (graph.as_dot(found), " -> ")):
        assert sum(arrow in line for line in drawn.splitlines()) == arrows
        assert all(record.reference in drawn for record in records)
    assert "    r2 --> r1" in graph.as_mermaid(found)
    assert "    r2 -> r1;" in graph.as_dot(found)


def test_words_of_others_are_no_markup(grown: Connection, chain: dict[str, Row]) -> None:
    number = Put(grown, chain)("retraction", reason='a "quoted" <b>word</b>\\ and\na line')
    found = traced(grown, f"retraction:{number}", "down")

    assert "a #34;quoted#34; #60;b#62;word#60;/b#62;#92; and a line" in graph.as_mermaid(found)
    assert 'a \\"quoted\\" <b>word</b>\\\\ and a line' in graph.as_dot(found)


def test_the_command_prints_a_tree_and_graphs(
    lineage: tuple[Engine, dict[str, Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.session.open_database", lambda: lineage[0])
    monkeypatch.setenv("COLUMNS", "120")
    runner = CliRunner()

    tree = [line.rstrip() for line in runner.invoke(app, ["trace", "example:1", "--down"]).stdout.splitlines()]
    assert tree[0] == "example:1 led to"
    assert "└── set:letters-1  1 example" in tree
    assert "        └── evaluation:1  accuracy 0.500 on b" in tree
    both = runner.invoke(app, ["trace", "example:1", "--limit", "1"]).stdout
    assert "example:1 came from" in both
    assert "row:letters:default/train:0" in both
    cut = runner.invoke(app, ["trace", "row:letters:0", "--down", "--limit", "1"]).stdout
    assert "… and 1 more: call" in cut

    plain = json.loads(runner.invoke(app, ["trace", "example:1", "--json"]).stdout)
    assert plain["reference"] == "example:1"
    assert {"from": "row:letters:default/train:0", "to": "load:letters:1", "kind": "load", "role": None} in plain["up"]
    for written, first in (("mermaid", "flowchart LR"), ("dot", "digraph lineage {")):
        assert runner.invoke(app, ["trace", "example:1", "--format", written]).stdout.startswith(first)
    assert isinstance(runner.invoke(app, ["trace", "example:77"]).exception, UnknownNameError)
    for written in ("mermaid", "dot"):
        refused = runner.invoke(app, ["trace", "example:1", "--format", written, "--json"])
        assert (refused.exit_code, "exclude each other" in refused.stderr) == (2, True)
