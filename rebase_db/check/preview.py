"""What checks would say of examples, under any settings, in any order: nothing is written, and no model is asked.

What a model has said is kept with its score, so another line can be drawn across that. What it has not said stays as it
was decided last, and is counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.check.benchmarks import registered
from rebase_db.check.current import newest_results
from rebase_db.check.decide import keeps_out
from rebase_db.check.define import define
from rebase_db.check.judge import judge_definition
from rebase_db.check.passing import Pass
from rebase_db.check.run import check_singly, compare, look_for_benchmarks
from rebase_db.check.verdict import CheckDefinition, Finding
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Engine

    from rebase_db.check.current import CurrentExample
    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile

_LINES = frozenset({"action", "points", "similarity"})
"""Settings of checks by a model that only say what becomes of a score."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What checks would decide.

    Attributes:
        kept_out: By example, the check that would keep it out.
        unsaid: By check, examples that a model would have to be asked about, or a vector be computed for.
    """

    kept_out: Mapping[int, str]
    unsaid: Mapping[str, int]


def preview(engine: Engine, file: TaskFile, lane: Lane, examples: list[CurrentExample]) -> Preview:
    """Check these examples, in the order of their ranks, as a task file says."""
    ids = [each.example_id for each in examples]
    with engine.connect() as connection:
        made = Pass(file, lane, examples, newest_results(connection, ids))
    scored = list(_by_models(engine, made))
    silent = _draw_lines(engine, made, scored)
    check_singly(engine, made)
    look_for_benchmarks(engine, made)
    compare(engine, made)
    decided = {each.example_id: keeps_out(made.newest[each.example_id], made.definitions) for each in examples}
    # Nobody is asked about an example that another check keeps out.
    unsaid = {name: sum(not made.fails(each, frozenset({name})) for each in found) for name, found in silent.items()}
    return Preview(
        {example_id: name for example_id, name in decided.items() if name is not None},
        {name: number for name, number in unsaid.items() if number},
    )


def _by_models(engine: Engine, made: Pass) -> Iterator[tuple[CheckDefinition, Callable[[float], bool]]]:
    """The checks that need a model, and from which score on they fail."""
    checks, judge = made.file.checks, made.file.checks.judge
    if judge is not None and judge.action != "off":
        yield judge_definition(judge), lambda score: score < judge.points
    for name in ("similar_to_benchmark", "source_similar_to_benchmark"):
        settings = getattr(checks, name)
        if settings.action == "off":
            continue
        with engine.connect() as connection:
            benchmarks = list(registered(connection))
        if benchmarks:
            definition = define(name, 1, settings, benchmarks=benchmarks, encoder_id=made.lane[1])
            yield definition, lambda score, least=settings.similarity: score >= least  # type: ignore[misc]


def _draw_lines(
    engine: Engine, made: Pass, scored: list[tuple[CheckDefinition, Callable[[float], bool]]]
) -> dict[str, list[CurrentExample]]:
    """Decide by stored scores; by check the examples that have none that is of the same model and the same texts."""
    ids, names = [each.example_id for each in made.examples], [definition.name for definition, _ in scored]
    if not names:
        return {}
    with engine.connect() as connection:
        rows = connection.execute(text(named("newest_scores")), {"example_ids": ids, "names": names})
        found = {(example_id, name): (parameters, score) for example_id, name, parameters, score in rows}
    silent: dict[str, list[CurrentExample]] = defaultdict(list)
    for definition, failed in scored:
        for each in made.without(definition):
            parameters, score = found.get((each.example_id, definition.name), (None, 0.0))
            if parameters is None or _said_of(parameters) != _said_of(definition.parameters):
                silent[definition.name].append(each)
            else:
                made.add(definition, each.example_id, Finding(failed(score), score))
    return silent


def _said_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a score depends on, of the parameters of its check."""
    return {name: value for name, value in parameters.items() if name not in _LINES}
