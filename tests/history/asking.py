"""What the database answers, and what walks of the graph give: pairs that must be equal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.lineage.impact import impact
from rebase_db.lineage.scope import scope_of
from rebase_db.lineage.trace import trace
from rebase_db.reference import find
from rebase_db.retract.report import report_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from tests.history.graph import Graph, Row

    Facts = set[tuple[Any, ...]]


def sources(graph: Graph) -> Facts:
    return {
        (example, via, steps, *row, graph.is_retracted(row))
        for example in graph.made_for
        for via, steps, row in graph.sources(example)
    }


def reached(graph: Graph) -> Facts:
    return {(*row, via, example, steps) for row, via, example, steps in graph.reached(graph.texts)}


def in_sets(graph: Graph) -> Facts:
    return {
        (*row, via, example, steps, number, one.members.index(example) + 1)
        for row, via, example, steps in graph.reached(graph.texts)
        for number, one in graph.sets.items()
        if example in one.members
    }


def in_runs(graph: Graph) -> Facts:
    return {
        (*fact[:-2], run, graph.runs[run].state, fact[-1])
        for fact in in_sets(graph)
        for run in graph.runs_on([fact[-2]])
    }


def by_dataset(graph: Graph) -> Facts:
    """Of a dataset and a run: how many of its examples rest on how many rows, and how many on retracted ones."""
    found = set()
    for number, run in graph.runs.items():
        members = graph.sets[run.training_set].members
        for dataset_id, dataset in graph.datasets.items():
            own = [
                (example, row) for example in members for _, _, row in graph.sources(example) if row[0] == dataset_id
            ]
            if own:
                examples, rows = {example for example, _ in own}, {row for _, row in own}
                retracted = {example for example, row in own if graph.is_retracted(row)}
                found.add((dataset.name, number, len(examples), len(members), len(rows), len(retracted)))
    return found


def by_licence(graph: Graph) -> Facts:
    found = set()
    for number, run in graph.runs.items():
        members = graph.sets[run.training_set].members
        licences: dict[str, tuple[set[int], set[int]]] = {}
        for example in members:
            for _, _, row in graph.sources(example):
                examples, datasets = licences.setdefault(graph.datasets[row[0]].licence, (set(), set()))
                examples.add(example)
                datasets.add(row[0])
        found |= {
            (licence, number, len(examples), len(members), len(datasets))
            for licence, (examples, datasets) in licences.items()
        }
    return found


def all_reached(graph: Graph) -> Facts:
    """Of each row all that it reached, by kind."""
    found: Facts = set()
    for row in graph.texts:
        examples = graph.examples_of([row])
        sets = graph.sets_with(examples)
        reached: dict[str, Iterable[int]] = {
            "link": [number for number, link in graph.links.items() if link.row == row],
            "example": examples,
            "set": sets,
            "run": graph.runs_on(sets),
        }
        found |= {(*row, kind, number) for kind, numbers in reached.items() for number in numbers}
    return found


def retracted_examples(graph: Graph) -> Facts:
    return {
        (number, each.standing, *row, via, example, steps)
        for number, each in graph.retractions.items()
        for row, via, example, steps in graph.reached(each.rows)
    }


def retracted_sets(graph: Graph) -> Facts:
    return {
        (number, each.standing, training_set, count, len(graph.sets[training_set].members))
        for number, each in graph.retractions.items()
        for training_set, count in graph.sets_with(graph.examples_of(each.rows)).items()
    }


def retracted_runs(graph: Graph) -> Facts:
    return {
        (number, standing, run, examples, size)
        for number, standing, training_set, examples, size in retracted_sets(graph)
        for run in graph.runs_on([training_set])
    }


QUESTIONS: dict[str, tuple[str, Callable[[Graph], Facts]]] = {
    "what an example rests on": (
        ("SELECT example_id, via_example_id, depth, dataset_id, row_id, retracted_at IS NOT NULL"
        " FROM lineage.example_source"),
        sources,
    ),
    "what a row reached": (
        "SELECT dataset_id, row_id, via_example_id, example_id, depth FROM lineage.row_example",
        reached,
    ),
    "the same, dataset by dataset": (
        "SELECT dataset_id, row_id, via_example_id, example_id, depth FROM lineage.dataset_example",
        reached,
    ),
    "the sets with a row": (
        "SELECT dataset_id, row_id, via_example_id, example_id, depth, training_set_id, position FROM lineage.row_set",
        in_sets,
    ),
    "the runs with a row": (
        ("SELECT dataset_id, row_id, via_example_id, example_id, depth, training_run_id, state, position"
        " FROM lineage.row_run"),
        in_runs,
    ),
    "the rows of a run": (
        ("SELECT source.dataset_id, source.row_id, source.via_example_id, source.example_id, source.depth,"
        " source.training_run_id, run.state, source.position"
        " FROM lineage.run_source AS source INNER JOIN lineage.run USING (training_run_id)"),
        in_runs,
    ),
    "the runs of a dataset": (
        "SELECT dataset, training_run_id, examples, size, rows, retracted FROM lineage.dataset_run",
        by_dataset,
    ),
    "the datasets of a run": (
        "SELECT dataset, training_run_id, examples, size, rows, retracted FROM lineage.run_dataset",
        by_dataset,
    ),
    "the runs of a licence": (
        "SELECT coalesce(licence, ''), training_run_id, examples, size, datasets FROM lineage.licence_run",
        by_licence,
    ),
    "the licences of a run": (
        "SELECT coalesce(licence, ''), training_run_id, examples, size, datasets FROM lineage.run_licence",
        by_licence,
    ),
    "all that a row reached": (
        ("SELECT row.dataset_id, row.row_id, reached.kind, reached.id FROM source_row AS row"
        " CROSS JOIN LATERAL lineage.reached_by(row.dataset_id, row.row_id) AS reached WHERE kind <> 'call'"),
        all_reached,
    ),
    "the members of sets": (
        ("SELECT training_set_id, position, example_id, dataset_id, row_id, retracted_at IS NOT NULL"
        " FROM lineage.set_member"),
        lambda graph: {
            (number, place, example, *graph.row_of(example), graph.is_retracted(graph.row_of(example)))
            for number, one in graph.sets.items()
            for place, example in enumerate(one.members, 1)
        },
    ),
    "which set follows which": (
        "SELECT training_set, successor_of FROM lineage.training_set",
        lambda graph: {
            (one.name, None if one.successor_of is None else graph.sets[one.successor_of].name)
            for one in graph.sets.values()
        },
    ),
    "examples made from examples": (
        "SELECT example_id, ancestor_id, depth FROM example CROSS JOIN LATERAL lineage.ancestors_of(example_id)",
        lambda graph: {
            (example, above, steps)
            for example in graph.made_for
            for above, steps in graph.above(example).items()
            if steps
        },
    ),
    "the rows of retractions": (
        "SELECT retraction_id, standing, dataset_id, row_id FROM lineage.retracted_row",
        lambda graph: {
            (number, each.standing, *row) for number, each in graph.retractions.items() for row in each.rows
        },
    ),
    "what retractions reached": (
        ("SELECT retraction_id, standing, dataset_id, row_id, via_example_id, example_id, depth"
        " FROM lineage.retracted_example"),
        retracted_examples,
    ),
    "the sets that retractions reached": (
        "SELECT retraction_id, standing, training_set_id, examples, size FROM lineage.retracted_set",
        retracted_sets,
    ),
    "the runs that retractions reached": (
        "SELECT retraction_id, standing, training_run_id, examples, size FROM lineage.retracted_run",
        retracted_runs,
    ),
    "which rows are out": (
        "SELECT dataset_id, row_id, retracted_at IS NOT NULL, erased_by IS NOT NULL FROM lineage.source_row",
        lambda graph: {(*row, graph.is_retracted(row), row in graph.erased_rows) for row in graph.texts},
    ),
    "links": (
        "SELECT link_id, dataset_id, row_id, state, displaced_by IS NULL, retracted_at IS NOT NULL FROM lineage.link",
        lambda graph: {
            (number, *link.row, link.state, link.present, graph.is_retracted(link.row))
            for number, link in graph.links.items()
        },
    ),
    "examples": (
        "SELECT example_id, link_id, input, output, erased_by IS NOT NULL FROM lineage.example",
        lambda graph: {
            (example, link, *(("", "") if example in graph.erased_examples else graph.words[example]),
             example in graph.erased_examples)
            for example, link in graph.made_for.items()
        },
    ),
}  # fmt: skip


def ask_all(connection: Connection, graph: Graph) -> None:
    """Every question, of everything."""
    for question, (query, walk) in QUESTIONS.items():
        said = Counter(tuple(row) for row in connection.execute(text(query)))
        expected = Counter(walk(graph))
        assert said == expected, f"{question}: only in SQL {said - expected}, only in the graph {expected - said}"


def ask_impact(connection: Connection, graph: Graph, reference: str, rows: set[Row]) -> None:
    """What came of some rows, as the impact of what they are called has it."""
    found = impact(connection, scope_of(connection, find(connection, reference)))
    own = {example for example in graph.made_for if graph.row_of(example) in rows}
    examples = graph.examples_of(rows)
    sets = graph.sets_with(examples)
    links = [link for link in graph.links.values() if link.row in rows]
    assert (found.rows, found.rows_retrieved, found.links, found.examples, found.derived) == (
        len(rows), len({link.row for link in links}), len(links), len(own), len(examples - own),
    ), reference  # fmt: skip
    there = [link for link in links if link.present and not graph.is_retracted(link.row)]
    assert found.accepted == sum(link.state in {"transformed", "distilled"} for link in there), reference
    assert {one.training_set_id: one.examples for one in found.sets} == sets, reference
    assert {run.training_run_id for run in found.runs} == graph.runs_on(sets), reference


def ask_report(connection: Connection, graph: Graph, number: int) -> None:
    """The report on a retraction."""
    report, each = report_on(connection, number), graph.retractions[number]
    examples = graph.examples_of(each.rows)
    sets = graph.sets_with(examples)
    assert report.rows == len(each.rows)
    assert {scope.dataset: scope.rows for scope in report.datasets if scope.rows} == Counter(
        graph.datasets[row[0]].name for row in each.rows
    )
    assert {one.training_set_id: (one.examples, one.size) for one in report.sets} == {
        one: (count, len(graph.sets[one].members)) for one, count in sets.items()
    }
    assert {run.run for run in report.runs} == graph.runs_on(sets)
    for one in report.sets:
        clean = {
            graph.sets[after].name
            for after in _followers(graph, one.training_set_id)
            if not any(graph.is_withdrawn(example) for example in graph.sets[after].members)
            and not set(graph.sets[after].members) & examples
        }
        assert (one.successor in clean) if clean else (one.successor is None)


def _followers(graph: Graph, number: int) -> set[int]:
    direct = {after for after, one in graph.sets.items() if one.successor_of == number}
    return direct | {further for after in direct for further in _followers(graph, after)}


def ask_trace(connection: Connection, graph: Graph, kind: str, number: int) -> None:
    """The rows, examples, sets and runs that a trace of an example or a run comes by, up and down."""
    example_ids = {number} if kind == "example" else set(graph.sets[graph.runs[number].training_set].members)
    above = {each for example in example_ids for each in graph.above(example)}
    rows = {graph.row_of(each) for each in above}
    rows |= {graph.links[graph.answered_for[each]].row for each in above & graph.answered_for.keys()}
    up = {f"example:{each}" for each in above} | {f"row:{graph.name(row)}" for row in rows}
    if kind == "run":
        up |= {f"set:{graph.sets[graph.runs[number].training_set].name}"}
    below = {each for example in example_ids for each in graph.below(example)} if kind == "example" else set()
    sets = graph.sets_with(below)
    down = (
        {f"example:{each}" for each in below}
        | {f"set:{graph.sets[each].name}" for each in sets}
        | {f"run:{each}" for each in graph.runs_on(sets)}
    )
    node = find(connection, f"{kind}:{number}")
    for direction, expected in (("up", up), ("down", down)):
        found = trace(connection, node, [direction], most=10_000, most_records=10_000)
        said = {record.reference for record in found.records() if record.kind in {"example", "row", "set", "run"}}
        assert said - {f"{kind}:{number}"} == expected - {f"{kind}:{number}"}, f"{direction} from {kind}:{number}"
