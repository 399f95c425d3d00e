"""The checks over ReBase's published outputs, whose defects are known, and over benchmarks in its own prompts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from rebase_db.check.contamination import BenchmarkItem, GramIndex
from rebase_db.check.duplicates import Ranked, find_duplicates
from rebase_db.check.make import example_checks
from rebase_db.check.near_duplicates import find_near_duplicates
from rebase_db.check.verdict import Candidate, TaskFacts
from rebase_db.task.checks import Checks

if TYPE_CHECKING:
    from pathlib import Path

    from rebase_db.check.verdict import Finding

# In one process, which indexes the benchmarks once.
pytestmark = [pytest.mark.real_data, pytest.mark.xdist_group("real checks")]


@dataclass(frozen=True)
class Published:
    """A task's published outputs in their order, and the worked examples of its transform prompt."""

    name: str
    outputs: list[tuple[str, str]]
    examples: list[tuple[str, str]]

    def findings(self, name: str) -> list[Finding]:
        """Of one example check, by place; none where the task gives no occasion for it."""
        # The published outputs hold rationale and answer in one.
        checks = {check.definition.name: check for check in example_checks(Checks(), TaskFacts(self.examples, None))}
        if name not in checks:
            return []
        return [
            checks[name].find(Candidate(place, text, output, None, {}))
            for place, (text, output) in enumerate(self.outputs)
        ]

    @property
    def ranked(self) -> list[Ranked]:
        """In retrieval order."""
        return [Ranked(place, place, text, output) for place, (text, output) in enumerate(self.outputs)]


@pytest.fixture(scope="module")
def tasks(real_data: Path) -> list[Published]:
    prompts = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))
    found = []
    for path in sorted((real_data / "rebase_outputs").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        examples = [(example["input"], example["output"]) for example in prompts[rows[0]["task"]]["examples"]]
        found.append(Published(rows[0]["task"], [(row["input"], row["output"]) for row in rows], examples))
    assert len(found) == 19
    assert sum(len(task.outputs) for task in found) == 6_598
    return found


def benchmark_items(real_data: Path) -> list[BenchmarkItem]:
    items = []
    for path in sorted((real_data / "eval").rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            items.append(BenchmarkItem(path.stem, item["id"], item["input"], str(item["output"])))
    return items


@pytest.fixture(scope="module")
def index(real_data: Path) -> GramIndex:
    return GramIndex(benchmark_items(real_data))


def test_inputs_that_copy_a_worked_example(tasks: list[Published]) -> None:
    how: Counter[str] = Counter()
    by_task: Counter[str] = Counter()
    for task in tasks:
        for finding in task.findings("copied_example"):
            if finding.failed:
                how[finding.evidence["how"]] += 1
                by_task[task.name] += 1
    # 159 differ in case and punctuation at most; one more has a space the less between two words.
    assert how == {"verbatim": 49, "same words": 110, "same but for spaces": 1}
    assert by_task["bbh/movie_recommendation"] == 118


def test_repeated_inputs_and_pairs(tasks: list[Published]) -> None:
    inputs = pairs = 0
    for task in tasks:
        found = [finding.evidence for finding in find_duplicates(task.ranked).values() if finding.failed]
        inputs += sum(evidence["how"] == "verbatim" for evidence in found)
        pairs += sum(evidence["how"] == "verbatim" and evidence["same_output"] for evidence in found)
    assert inputs == 551
    assert pairs == 170


def test_near_duplicates(tasks: list[Published]) -> None:
    near = only_near = 0
    for task in tasks:
        exact = find_duplicates(task.ranked)
        for number, finding in find_near_duplicates(task.ranked, 0.8).items():
            near += finding.failed
            only_near += finding.failed and not exact[number].failed
    assert (near, only_near) == (754, 143)


def test_multiple_choice_without_choices(tasks: list[Published]) -> None:
    found = {task.name.removeprefix("bbh/"): task.findings("missing_options") for task in tasks}
    failed = {name: sum(finding.failed for finding in findings) for name, findings in found.items() if findings}
    # Thirteen of the nineteen tasks are multiple choice.
    assert failed == {
        "date_understanding": 1,
        "disambiguation_qa": 3,
        "geometric_shapes": 58,
        "logical_deduction_five_objects": 21,
        "logical_deduction_seven_objects": 14,
        "logical_deduction_three_objects": 19,
        "movie_recommendation": 1,
        "navigate": 19,
        "reasoning_about_colored_objects": 0,
        "ruin_names": 0,
        "tracking_shuffled_objects_five_objects": 107,
        "tracking_shuffled_objects_seven_objects": 103,
        "tracking_shuffled_objects_three_objects": 105,
    }


def test_leftovers(tasks: list[Published]) -> None:
    kinds: Counter[str] = Counter()
    escaped = 0
    for task in tasks:
        for (text, output), finding in zip(task.outputs, task.findings("leftovers"), strict=True):
            found = finding.evidence.get("found", [])
            kinds.update({one["kind"] for one in found})
            if "\\u0" in text + output:
                escaped += 1
                assert "escaped_character" in {one["kind"] for one in found}
    assert escaped > 0
    assert kinds == {"escaped_character": 155, "escaped_quote": 129, "cut": 41, "quoted_whole": 1_078}


def test_benchmark_items_in_the_published_prompts(real_data: Path, index: GramIndex) -> None:
    prompts = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))
    found = {
        name: [index.find_in({"input": one["input"], "output": one["output"]}) for one in prompts[name]["examples"]]
        for name in ("qa", "japanese", "mnli", "humaneval")
    }
    # One of the three passages of `qa` is not among the 3,000 items of SQuAD that are there.
    assert [(one.score, one.evidence["benchmark"]) for one in found["qa"] if one.failed] == [
        (1.0, "squad_v1.1_dev_3000")
    ] * 2
    assert [(one.score, one.evidence["benchmark"]) for one in found["japanese"]] == [(1.0, "mconala_ja")] * 6
    assert not any(one.failed for one in [*found["mnli"], *found["humaneval"]])


def test_every_item_of_a_benchmark_is_found_in_itself(real_data: Path, index: GramIndex) -> None:
    missed = [item.item_id for item in benchmark_items(real_data)[::25] if not index.find(item.input).failed]
    # Items of fewer than five words or ten characters are beyond any check.
    assert all(len(item.input.split()) < 9 for item in benchmark_items(real_data) if item.item_id in missed)


def test_the_form_of_a_benchmark_does_not_condemn_its_task(tasks: list[Published], index: GramIndex) -> None:
    failed = {
        task.name.removeprefix("bbh/"): sum(index.find(text).failed for text, _ in task.outputs) for task in tasks
    }
    for name in ("mnli", "navigate", "ruin_names", "disambiguation_qa", "reasoning_about_colored_objects"):
        assert failed[name] == 0
    assert all(count <= 15 for count in failed.values())
