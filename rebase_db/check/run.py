"""Checks every example of a task that was not yet checked as its task file says, and decides anew which are accepted.

Checks of single examples were made when the example was written; here they are made up for where the task file has
changed since. Those that compare examples are made here only: they depend on what else is there. Nothing is computed
again that is stored: a result belongs to a definition, and a definition holds all that it depends on. Nor is a model
asked again: a judge's points are stored apart from the line that is drawn across them.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from rebase_db.check.benchmarks import gram_index, registered
from rebase_db.check.current import (
    current_examples,
    examples_elsewhere,
    newest_results,
    source_rows,
)
from rebase_db.check.decide import NOTHING, Decided, decide
from rebase_db.check.define import define
from rebase_db.check.duplicates import find_duplicates, find_elsewhere
from rebase_db.check.example import ExampleChecker
from rebase_db.check.judge import judge_definition, judge_examples
from rebase_db.check.near_duplicates import find_near_duplicates
from rebase_db.check.passing import COMPARING, Pass
from rebase_db.check.similar import compare_with_benchmarks
from rebase_db.check.store import register_checks, write_results
from rebase_db.check.verdict import Candidate
from rebase_db.retract.lock import hold_still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Engine

    from rebase_db.check.duplicates import Ranked
    from rebase_db.check.verdict import CheckDefinition, Finding
    from rebase_db.embed.encoder import Encoder
    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile
    from rebase_db.task.teachers import LanguageModelSpec
    from rebase_db.transform.provider import Provider

LOCK = 0x52454243
"""First half of the two-part advisory lock under which a task version's examples are compared; the second is its id."""
_LOOK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pass did: results by name of the check and verdict, over all examples it leaves; and what it decided."""

    examples: int
    verdicts: Mapping[str, Mapping[str, int]]
    decided: Decided


@dataclass(frozen=True, slots=True)
class Tools:
    """What checks with models are made with.

    Attributes:
        provider: A language model by its spec, loaded when needed.
        encoder: The task's encoder, loaded when needed.
        stopping: Once set, nobody is asked or waited for any more.
        wait: Whether to wait for another process that checks the same; without it, that is left to do it.
    """

    provider: Callable[[LanguageModelSpec], Provider]
    encoder: Callable[[], Encoder]
    stopping: threading.Event = field(default_factory=threading.Event)
    wait: bool = True


def check_examples(engine: Engine, worker_id: int, lane: Lane, file: TaskFile, tools: Tools) -> Checked:
    """Check the examples of a task version under an encoder, one process at a time, and decide anew.

    No transaction is open while it computes or a model works.

    Raises:
        TeacherError: The judge refuses to serve; what was found by then is kept.
    """
    decided = NOTHING
    while True:
        with _one_at_a_time(engine, lane, tools) as mine:
            if not mine:
                return Checked(0, {}, decided)
            made = _begin(engine, file, lane)
            checked = _pass(engine, worker_id, made, tools)
        decided += checked.decided
        # Who came with further ones in the meantime may have found this one at it, and left them to it.
        if tools.stopping.is_set() or not _came_since(engine, made):
            return replace(checked, decided=decided)


def _pass(engine: Engine, worker_id: int, made: Pass, tools: Tools) -> Checked:
    judge = made.file.checks.judge
    if judge is not None:
        # From the start: what it keeps out since an earlier pass is to stay out while others are compared.
        made.without(judge_definition(judge))
    check_singly(engine, made)
    look_for_benchmarks(engine, made)
    compare_with_benchmarks(engine, made, tools.encoder)
    compare(engine, made)
    checked = _keep(engine, made)
    judged, taken = judge is not None, set[int]()
    while judge is not None and judged:
        try:
            judged = judge_examples(engine, worker_id, made, judge, tools, taken)
        finally:
            # A copy of an example that the judge keeps out stands for itself, and wants its own judgement.
            compare(engine, made)
            checked = _keep(engine, made, checked.decided)
    return checked


def _came_since(engine: Engine, made: Pass) -> bool:
    with engine.connect() as connection:
        return any(each.example_id not in made.newest for each in current_examples(connection, made.lane))


def _begin(engine: Engine, file: TaskFile, lane: Lane) -> Pass:
    with engine.connect() as connection:
        examples = current_examples(connection, lane)
        return Pass(file, lane, examples, newest_results(connection, [each.example_id for each in examples]))


def _keep(engine: Engine, made: Pass, before: Decided = NOTHING) -> Checked:
    """Write what was found and decide by what checks said last."""
    with engine.begin() as connection:
        hold_still(connection)
        write_results(connection, register_checks(connection, made.definitions.values()), made.results)
        made.results.clear()
        # As they are now: some may have gone since the pass began.
        examples = [each for each in current_examples(connection, made.lane) if each.example_id in made.newest]
        decided = decide(connection, made.lane[0], examples, made.newest, made.definitions)
    verdicts = {
        name: Counter(found[name].verdict for found in made.newest.values() if name in found)
        for name in made.definitions
    }
    return Checked(len(examples), verdicts, before + decided)


@contextmanager
def _one_at_a_time(engine: Engine, lane: Lane, tools: Tools) -> Iterator[bool]:
    """Of two processes that compare the same examples, the later must see the earlier one's results.

    Whether this one's turn came: the earlier one may be asking a judge for hours.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(select(func.pg_try_advisory_lock(LOCK, lane[0]))).scalar_one():
            if not tools.wait or tools.stopping.wait(_LOOK_AGAIN_SECONDS):
                yield False
                return
        try:
            yield True
        finally:
            connection.execute(select(func.pg_advisory_unlock(LOCK, lane[0])))


def check_singly(engine: Engine, made: Pass) -> None:
    """Apply the checks of single examples where they were not made."""
    checker = ExampleChecker(made.file)
    missing: dict[int, list[str]] = defaultdict(list)
    for definition in checker.definitions:
        for each in made.without(definition):
            missing[each.example_id].append(definition.name)
    if not missing:
        return
    with engine.connect() as connection:
        sources = source_rows(connection, list(missing))
    for each in made.examples:
        if each.example_id in missing:
            candidate = Candidate(each.example_id, each.input, each.output, each.rationale, sources[each.example_id])
            for result in checker.check(candidate, missing[each.example_id]):
                made.add(result.check, each.example_id, result.finding)


def compare(engine: Engine, made: Pass) -> None:
    """Compare examples with each other and with those of other tasks."""
    checks = made.file.checks
    # First, because what it keeps out is not compared with others.
    if checks.duplicate_elsewhere.action != "off":
        definition = define("duplicate_elsewhere", 1, checks.duplicate_elsewhere)
        missing = made.without(definition)
        if missing:
            with engine.connect() as connection:
                others = examples_elsewhere(connection, made.lane[0])
            for example_id, finding in find_elsewhere([each.ranked for each in missing], others).items():
                made.add(definition, example_id, finding)
    if checks.duplicate.action != "off":
        _compare_all(made, define("duplicate", 1, checks.duplicate), find_duplicates)
    if checks.near_duplicate.action != "off":
        near = partial(find_near_duplicates, similarity=checks.near_duplicate.similarity)
        _compare_all(made, define("near_duplicate", 1, checks.near_duplicate), near)


def _compare_all(
    made: Pass, definition: CheckDefinition, find: Callable[[list[Ranked]], Mapping[int, Finding]]
) -> None:
    """Compare all that no other check keeps out with each other, each time.

    A verdict depends on every other example: on which are there, which stand, and in what order. What is known is
    written again only where it has changed.
    """
    made.without(definition)
    standing = [each.ranked for each in made.examples if not made.fails(each, COMPARING)]
    for example_id, finding in find(standing).items():
        made.add(definition, example_id, finding)


def look_for_benchmarks(engine: Engine, made: Pass) -> None:
    """Look for registered benchmarks in examples and their rows, where that was not done."""
    checks = made.file.checks
    with engine.connect() as connection:
        benchmarks = list(registered(connection))
        if not benchmarks:
            return
        for name, settings in (
            ("contaminated_example", checks.contaminated_example),
            ("contaminated_source", checks.contaminated_source),
        ):
            if settings.action == "off":
                continue
            definition = define(name, 1, settings, benchmarks=benchmarks)
            missing = made.without(definition)
            if not missing:
                continue
            index = gram_index(connection, settings.words)
            rows = source_rows(connection, [each.example_id for each in missing])
            connection.rollback()  # nothing is held while the rest is computed
            for each in missing:
                own = {"input": each.input, "output": each.output, "rationale": each.rationale or ""}
                texts = own if name == "contaminated_example" else rows[each.example_id]
                made.add(definition, each.example_id, index.find_in(texts, settings.overlap))
