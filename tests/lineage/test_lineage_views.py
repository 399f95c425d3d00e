"""The lineage views say what a plain graph in Python says, from either end, one row a fact."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.schema import lineage
from rebase_db.sql import named
from scripts.generate_docs import view_columns
from tests.schema.chain import add, add_text, digest, lineage_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from tests.schema.chain import Row

SourceKey = tuple[int, int]

# The columns that tell the rows of each view apart.
GRAIN = {
    "source_row": "dataset_id, row_id",
    "mirror": "dataset_id, row_id, mirror_dataset_id, mirror_row_id",
    "load": "dataset_id, ingest_id, config, split",
    "link": "link_id",
    "call": "generation_id",
    "example": "example_id",
    "judge_call": "judgement_id",
    "check_verdict": "example_id, check_name",
    "example_source": "example_id, via_example_id",
    "row_example": "via_example_id, example_id",
    "dataset_example": "via_example_id, example_id",
    "training_set": "training_set_id",
    "set_member": "training_set_id, position",
    "dataset_set": "dataset, training_set_id",
    "row_set": "via_example_id, training_set_id, position",
    "run": "training_run_id",
    "run_set": "training_run_id, learned_by",
    "run_member": "training_run_id, example_id",
    "run_example": "training_run_id, example_id, via_example_id",
    "run_source": "training_run_id, example_id, via_example_id",
    "run_dataset": "training_run_id, dataset",
    "run_licence": "training_run_id, licence",
    "run_teacher": "training_run_id, teacher_id, prompt_id",
    "run_cost": "training_run_id, kind",
    "row_run": "via_example_id, training_run_id, example_id",
    "dataset_run": "dataset, training_run_id",
    "licence_run": "licence, training_run_id",
    "score": "training_run_id, benchmark_id, metric",
    "retraction": "retraction_id",
    "retracted_row": "retraction_id, dataset_id, row_id",
    "retracted_example": "retraction_id, via_example_id, example_id",
    "retracted_set": "retraction_id, training_set_id",
    "retracted_run": "retraction_id, training_run_id",
    "published_example": "published_example_id",
    "published_source": "published_example_id, dataset_id, row_id, method",
    "published_rank": "publication_id, rank",
}
PLAIN = {
    "bigint",
    "boolean",
    "double precision",
    "integer",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "text",
    "timestamp with time zone",
}


@dataclass
class History:
    """What was put into the database, as plain Python."""

    licences: dict[int, str | None] = field(default_factory=dict)
    retracted: set[SourceKey] = field(default_factory=set)
    own: dict[int, SourceKey] = field(default_factory=dict)
    calls: dict[int, dict[int, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    """Cost by call, by link."""
    call_of: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Link and call of an example."""
    teacher_of: dict[int, int] = field(default_factory=dict)
    parents: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    members: dict[int, list[int]] = field(default_factory=dict)
    sets: dict[int, int] = field(default_factory=dict)
    """Set by run."""
    run_parents: dict[int, int] = field(default_factory=dict)

    def rests_on(self, example: int) -> dict[int, int]:
        """The examples that an example rests on, itself among them, with the steps to each."""
        found, front, steps = {example: 0}, {example}, 0
        while front:
            steps += 1
            front = {parent for each in front for parent in self.parents.get(each, ())} - found.keys()
            found |= dict.fromkeys(front, steps)
        return found

    def before(self, run: int | None) -> Iterable[int]:
        """The run, its parent, the parent's parent, and so on."""
        while run is not None:
            yield run
            run = self.run_parents.get(run)

    def learned(self, run: int) -> dict[int, tuple[int, int]]:
        """What a run has learned: example, the run whose set it is in, nearest first, and its position there."""
        found: dict[int, tuple[int, int]] = {}
        for each in self.before(run):
            for position, example in enumerate(self.members[self.sets[each]], 1):
                found.setdefault(example, (each, position))
        return found

    def in_run(self, run: int) -> Iterable[tuple[int, int, int, int, int]]:
        """The run whose set it is, position, example, the example it rests on, and steps."""
        for example, (learned_by, position) in self.learned(run).items():
            for via, depth in self.rests_on(example).items():
                yield learned_by, position, example, via, depth


def grow(connection: Connection, chain: dict[str, Row], seed: int) -> History:
    """Put a random history beside the chain."""
    chance, history = random.Random(seed), History()  # noqa: S311 - no secret
    teachers = [
        add(connection, "teacher", provider="openai", model=str(n), identity={}, content_hash=digest(n))["teacher_id"]
        for n in range(2)
    ]
    for number, licence in enumerate(["MIT", None, "CC0-1.0"]):
        dataset_id = add_dataset(connection, f"more-{number}", licence)
        history.licences[dataset_id] = licence
        for row_id in range(1, 5):
            link_id = add_link(connection, chain["retrieval_link"], dataset_id, row_id, 10 * number + row_id)
            for attempt in range(1, chance.randint(2, 4)):
                good = attempt == 1 or chance.random() < 0.5
                call = chain["generation"] | {
                    "link_id": link_id,
                    "attempt": attempt,
                    "teacher_id": chance.choice(teachers),
                    "cost": Decimal(chance.randint(1, 99)) / 1000,
                    **({} if good else {"outcome": "error", "reading": None, "reason": "gone"}),
                }
                add_call(connection, history, call, (dataset_id, row_id))
    examples = sorted(history.own)
    for number, example in enumerate(examples):
        for parent in chance.sample(examples[:number], min(number, chance.choice([0, 0, 1, 2, 3]))):
            add(connection, "example_parent", example_id=example, parent_id=parent)
            history.parents[example].add(parent)
    for number in range(3):
        add_set(connection, chain, history, chance.sample(examples, 6), runs=number)
    # Two that began with the weights of the newest one before: grandchild, child, and one with children.
    for _ in range(2):
        add_set(connection, chain, history, chance.sample(examples, 6), runs=1, parent=max(history.sets))
    retract(connection, history, chance.sample(sorted(set(history.own.values())), 3))
    add(
        connection, "likely_source",
        published_example_id=chain["published_example"]["published_example_id"], method="stated", confidence=1,
        evidence={}, dataset_id=chain["source_row"]["dataset_id"], row_id=1,
    )  # fmt: skip
    return history


def add_dataset(connection: Connection, name: str, licence: str | None) -> int:
    """A dataset of four rows, which the others repeat."""
    described = {"description_text_id": 1, "description_given": True}
    dataset = add(connection, "dataset", name=name, uri="file:m", licence=licence, **described)
    key = {"dataset_id": dataset["dataset_id"]}
    add_text(connection, text_id=1, text=name, **key)
    add(connection, "dataset_split", split_id=1, config="default", split="train", uri="file:m", **key)
    add(connection, "dataset_column", column_id=1, name="letter", **key)
    add(connection, "ingest", ingest_id=1, code_version="0", **key)
    load = {"ingest_id": 1, "split_id": 1, **key}
    add(connection, "ingest_split", revision="a", **load)
    for row_id in range(1, 5):
        place = {"row_id": row_id, "source_index": row_id + 10}
        add(connection, "source_row", content={}, content_hash=digest(row_id), **place, **load)
        add(connection, "cell", row_id=row_id, column_id=1, text_id=1, **key)
    return int(key["dataset_id"])


def add_link(connection: Connection, like: Row, dataset_id: int, row_id: int, rank: int) -> int:
    copied = {name: value for name, value in like.items() if name not in {"link_id", "seal"}}
    place = {"dataset_id": dataset_id, "row_id": row_id, "rank": rank, "attempt": 5}
    return int(add(connection, "retrieval_link", **copied | place)["link_id"])


def add_call(connection: Connection, history: History, call: Row, row: SourceKey) -> None:
    """A call, and its example if it was a good one."""
    made = {name: value for name, value in call.items() if name not in {"generation_id", "seal"}}
    generation_id = add(connection, "generation", **made)["generation_id"]
    history.calls[call["link_id"]][generation_id] = call["cost"]
    if call["outcome"] == "parsed":
        key = {"generation_id": generation_id, "link_id": call["link_id"]}
        example = add(connection, "example", input="i", output="o", content_hash=digest(key), **key)["example_id"]
        history.own[example] = row
        history.call_of[example] = call["link_id"], generation_id
        history.teacher_of[example] = call["teacher_id"]


def add_set(
    connection: Connection,
    chain: dict[str, Row],
    history: History,
    members: list[int],
    *,
    runs: int,
    parent: int | None = None,
) -> None:
    name = f"s{len(history.members)}"
    like = chain["training_set"] | {"name": name, "size": len(members), "manifest_hash": digest(name)}
    del like["training_set_id"], like["seal"]
    training_set = add(connection, "training_set", **like)["training_set_id"]
    history.members[training_set] = members
    for position, example in enumerate(members, 1):
        key = {"training_set_id": training_set, "position": position}
        add(connection, "training_set_member", example_id=example, **key)
    connection.execute(text(named("record_mixes")), {"training_set_id": training_set})
    for seed in range(runs):
        key = {"training_set_id": training_set, "run_key": digest((name, seed)), "parent_run_id": parent}
        run = chain["training_run"] | key
        del run["training_run_id"], run["seal"]
        number = add(connection, "training_run", **run)["training_run_id"]
        history.sets[number] = training_set
        if parent is not None:
            history.run_parents[number] = parent


def retract(connection: Connection, history: History, rows: list[SourceKey]) -> None:
    why = {"kind": "row", "target": "some", "reason": "asked", "asked_by": "me", "code_version": "0"}
    retraction = add(connection, "retraction", **why)["retraction_id"]
    for dataset_id, row_id in rows:
        row = {"dataset_id": dataset_id, "row_id": row_id}
        history.retracted.add((dataset_id, row_id))
        add(connection, "retracted_row", retraction_id=retraction, **row)
        for table in ("source_row", "retrieval_link"):
            stamp = f"UPDATE {table} SET retracted_at = now() WHERE dataset_id = :dataset_id AND row_id = :row_id"  # noqa: S608
            connection.execute(text(stamp), row)


@pytest.fixture(scope="module", params=[1, 2, 3])
def grown(
    server_url: str, template_database: str, request: pytest.FixtureRequest
) -> Iterator[tuple[Connection, History, dict[str, Row]]]:
    """A database with the chain and a random history; read it, never write to it."""
    with lineage_database(server_url, template_database) as (engine, chain), engine.connect() as connection:
        yield connection, grow(connection, chain, request.param), chain


@pytest.fixture
def connection(grown: tuple[Connection, History, dict[str, Row]]) -> Connection:
    return grown[0]


@pytest.fixture
def history(grown: tuple[Connection, History, dict[str, Row]]) -> History:
    return grown[1]


@pytest.fixture
def chain(grown: tuple[Connection, History, dict[str, Row]]) -> dict[str, Row]:
    return grown[2]


def rows_of(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


def same(connection: Connection, query: str, expected: Iterable[tuple[Any, ...]]) -> None:
    found, wanted = rows_of(connection, query), list(expected)
    assert len(found) == len(set(found)), query
    assert set(found) == set(wanted), query
    assert len(wanted) == len(set(wanted)) > 0


def test_examples_and_rows_from_either_end(connection: Connection, history: History) -> None:
    facts = [
        (example, via, depth, *history.own[via])
        for example in history.own
        for via, depth in history.rests_on(example).items()
    ]
    assert max(fact[2] for fact in facts) > 1
    columns = "example_id, via_example_id, depth, dataset_id, row_id"
    mine = "WHERE dataset LIKE 'more-%'"
    for view in ("example_source", "row_example", "dataset_example"):
        same(connection, f"SELECT {columns} FROM lineage.{view} {mine}", facts)  # noqa: S608
    deepest = max(facts, key=lambda fact: fact[2])[0]
    same(
        connection,
        f"SELECT {columns} FROM lineage.sources_of({deepest})",  # noqa: S608
        [fact for fact in facts if fact[0] == deepest],
    )
    same(
        connection,
        "SELECT DISTINCT kind, depth > 0 FROM lineage.example_source",
        [("own", False), ("parent", True)],
    )


def test_runs_and_rows_from_either_end(connection: Connection, history: History) -> None:
    facts = [(run, *fact, *history.own[fact[3]]) for run in history.sets for fact in history.in_run(run)]
    assert {run for run, learned_by, *_ in facts if run != learned_by} == history.run_parents.keys()
    columns = "training_run_id, learned_by, position, example_id, via_example_id, depth, dataset_id, row_id"
    for view in ("run_source", "row_run"):
        same(connection, f"SELECT {columns} FROM lineage.{view} WHERE dataset LIKE 'more-%'", facts)  # noqa: S608
    in_sets = [
        (training_set, position, example, via)
        for training_set, members in history.members.items()
        for position, example in enumerate(members, 1)
        for via in history.rests_on(example)
    ]
    same(
        connection,
        "SELECT training_set_id, position, example_id, via_example_id FROM lineage.row_set WHERE dataset LIKE 'more-%'",
        in_sets,
    )
    runs = ", ".join(map(str, history.sets))
    same(
        connection,
        "SELECT training_run_id, learned_by, position, example_id, via_example_id, depth FROM lineage.run_example"  # noqa: S608
        f" WHERE training_run_id IN ({runs})",
        [fact[:6] for fact in facts],
    )
    same(
        connection,
        f"SELECT training_run_id, learned_by, training_set_id FROM lineage.run_set WHERE training_run_id IN ({runs})",  # noqa: S608
        [(run, each, history.sets[each]) for run in history.sets for each in history.before(run)],
    )


def test_counts_of_a_run(connection: Connection, history: History) -> None:
    by_dataset, by_licence, by_teacher = defaultdict(set), defaultdict(set), defaultdict(set)
    for run in history.sets:
        for _, _, example, via, _ in history.in_run(run):
            dataset_id, row_id = history.own[via]
            by_dataset[run, dataset_id].add((example, row_id, (dataset_id, row_id) in history.retracted))
            by_licence[run, history.licences[dataset_id]].add((example, dataset_id))
            by_teacher[run, history.teacher_of[via]].add(example)
    for view in ("run_dataset", "dataset_run"):
        same(
            connection,
            f"SELECT training_run_id, dataset_id, examples, size, rows, retracted, round(share::numeric, 4)"  # noqa: S608
            f" FROM lineage.{view} AS counted INNER JOIN dataset ON dataset.name = counted.dataset"
            " WHERE dataset LIKE 'more-%'",
            [
                (
                    *key,
                    count := len({example for example, _, _ in behind}),
                    len(history.learned(key[0])),
                    len({row for _, row, _ in behind}),
                    len({example for example, _, gone in behind if gone}),
                    round(Decimal(count) / len(history.learned(key[0])), 4),
                )
                for key, behind in by_dataset.items()
            ],
        )
    for view in ("run_licence", "licence_run"):
        same(
            connection,
            f"SELECT training_run_id, licence, examples, datasets FROM lineage.{view} WHERE training_set LIKE 's_'",  # noqa: S608
            [
                (*key, len({example for example, _ in behind}), len({dataset for _, dataset in behind}))
                for key, behind in by_licence.items()
            ],
        )
    in_sets = defaultdict(set)
    for training_set in history.sets.values():
        for example in history.members[training_set]:
            for dataset_id, row_id in (history.own[via] for via in history.rests_on(example)):
                fact = (example, row_id, (dataset_id, row_id) in history.retracted)
                in_sets[training_set, dataset_id].add(fact)
    same(
        connection,
        "SELECT training_set_id, dataset_id, examples, rows, retracted"
        " FROM lineage.dataset_set AS counted INNER JOIN dataset ON dataset.name = counted.dataset"
        " WHERE dataset LIKE 'more-%' AND training_set_id IN (SELECT training_set_id FROM training_run)",
        [
            (
                *key,
                len({example for example, _, _ in behind}),
                len({row for _, row, _ in behind}),
                len({example for example, _, gone in behind if gone}),
            )
            for key, behind in in_sets.items()
        ],
    )
    same(
        connection,
        "SELECT training_run_id, teacher_id, examples FROM lineage.run_teacher WHERE training_set LIKE 's_'",
        [(*key, len(examples)) for key, examples in by_teacher.items()],
    )


def test_costs_of_a_run(connection: Connection, history: History) -> None:
    expected = []
    for run in history.sets:
        behind = {via for _, _, _, via, _ in history.in_run(run)}
        answers = {history.call_of[example][1] for example in behind}
        calls = {call: cost for example in behind for call, cost in history.calls[history.call_of[example][0]].items()}
        for kind, wanted in (("answer", True), ("other attempt", False)):
            costs = [cost for call, cost in calls.items() if (call in answers) == wanted]
            if costs:
                expected.append((run, kind, len(costs), sum(costs)))
    runs = ", ".join(map(str, history.sets))
    same(
        connection,
        f"SELECT training_run_id, kind, calls, cost FROM lineage.run_cost WHERE training_run_id IN ({runs})",  # noqa: S608
        expected,
    )
    assert {kind for _, kind, _, _ in expected} == {"answer", "other attempt"}


def test_what_a_retraction_reaches(connection: Connection, history: History) -> None:
    by_set = defaultdict(set)
    for training_set, members in history.members.items():
        for example in members:
            for via in history.rests_on(example):
                if history.own[via] in history.retracted:
                    by_set[training_set].add((example, history.own[via]))
    counts = {key: (len({each for each, _ in found}), len({row for _, row in found})) for key, found in by_set.items()}
    newest = "(SELECT max(retraction_id) FROM retraction)"
    same(
        connection,
        f"SELECT training_set_id, examples, rows FROM lineage.retracted_set WHERE retraction_id = {newest}",  # noqa: S608
        [(key, *count) for key, count in counts.items()],
    )
    same(
        connection,
        f"SELECT training_run_id, examples, rows FROM lineage.retracted_run WHERE retraction_id = {newest}",  # noqa: S608
        [
            (run, len({example for example, _ in found}), len({row for _, row in found}))
            for run in history.sets
            if (
                found := {
                    (example, history.own[via])
                    for _, _, example, via, _ in history.in_run(run)
                    if history.own[via] in history.retracted
                }
            )
        ],
    )


def test_all_that_a_row_reached(connection: Connection, chain: dict[str, Row]) -> None:
    link, example = chain["retrieval_link"], chain["example"]["example_id"]
    child = chain["example_parent"]["example_id"]
    found = rows_of(
        connection,
        f"SELECT kind, reference FROM lineage.reached_by({link['dataset_id']}, {link['row_id']})",  # noqa: S608
    )
    assert sorted(found) == sorted([
        ("link", f"link:{link['link_id']}"),
        ("call", f"call:{chain['generation']['generation_id']}"),
        ("call", f"call:{chain['generation']['generation_id'] + 1}"),
        ("example", f"example:{example}"),
        ("example", f"example:{child}"),
        ("set", "set:letters-1"),
        ("run", f"run:{chain['training_run']['training_run_id']}"),
        ("evaluation", f"evaluation:{chain['evaluation']['evaluation_id']}"),
    ])  # fmt: skip


def test_a_view_has_one_row_a_fact(connection: Connection) -> None:
    for view, columns in GRAIN.items():
        keys = rows_of(connection, f"SELECT {columns} FROM lineage.{view}")  # noqa: S608
        assert len(keys) > 0, view
        assert len(set(keys)) == len(keys), view


def test_every_view_is_documented_and_of_plain_types(connection: Connection) -> None:
    views = dict(
        rows_of(
            connection,
            "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
            " WHERE relnamespace = 'lineage'::regnamespace AND relkind = 'v'",
        )
    )
    assert views.keys() == GRAIN.keys() <= set(lineage.FILES)
    assert {
        name for name, comment in views.items() if not str(comment).startswith(("One row a", "As row_example"))
    } == set()
    functions = dict(
        rows_of(
            connection,
            "SELECT proname, obj_description(oid, 'pg_proc') FROM pg_proc WHERE pronamespace = 'lineage'::regnamespace",
        )
    )
    assert functions.keys() >= set(lineage.FILES) - views.keys()
    assert None not in functions.values()
    columns = rows_of(
        connection,
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'lineage' ORDER BY ordinal_position",
    )
    assert [column for column in columns if column[2] not in PLAIN] == []
    # The page's table of views reads the columns from the files.
    stated = [(re.search(r"CREATE VIEW lineage\.(\w+)", statement), statement) for statement in lineage.statements()]
    shown = {found[1]: view_columns(statement) for found, statement in stated if found}
    assert shown == {view: [name for table, name, _ in columns if table == view] for view in GRAIN}


def test_a_guess_is_no_fact(connection: Connection) -> None:
    assert rows_of(
        connection,
        "SELECT method, guess, confidence, dataset, source_index FROM lineage.published_source ORDER BY method",
    ) == [("stated", False, 1.0, "letters", 0), ("words", True, 0.5, "letters", 0)]
