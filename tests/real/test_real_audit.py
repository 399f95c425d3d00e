"""The audit of what the authors of ReBase published: known defects found, and outputs placed at their rows.

Alignments are judged by words that they have not seen: half of all words, by their hash, are evidence, and the rows
that the other half points to plainly are what is held against them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from rebase_db.audit.align import Alignment, align
from rebase_db.audit.by_text import by_text
from rebase_db.audit.directory import recognise
from rebase_db.audit.evidence import Evidence, every_word, features
from rebase_db.audit.load import import_rebase
from rebase_db.audit.place import LIKELY
from rebase_db.audit.report import Report, audit
from rebase_db.database.engine import engine_for
from rebase_db.hashing import text_hash
from rebase_db.ingest.source import OnError
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from tests.conftest import cloned_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rebase_db.audit.receipt import ImportReceipt

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

PLAIN = 22
"""Nats of evidence for a row beyond what it has for every output, for a judge to be sure."""


@dataclass(frozen=True)
class Published:
    """The texts of a task's outputs and ranked rows, and the number of each row's content."""

    outputs: list[list[str]]
    rows: list[list[str]]
    contents: NDArray[np.int64]

    def evidence(self, use: Callable[[str], bool] = every_word) -> Evidence:
        """Of the words for which `use` holds."""
        return Evidence.between(
            [features(output, use) for output in self.outputs], [features(row, use) for row in self.rows]
        )

    def align(self, use: Callable[[str], bool] = every_word) -> Alignment:
        """By the same words."""
        evidence = self.evidence(use)
        return align(evidence.levels(), evidence.contents())

    def judge(self, use: Callable[[str], bool]) -> dict[int, int]:
        """The content that words plainly point to, by output; left out are those they do not."""
        sums = np.stack(list(self.evidence(use).sums()))
        # A row that holds half a file has words of every output.
        sums -= 2 * sums.mean(axis=0)
        said: dict[int, int] = {}
        for output, own in enumerate(sums):
            best = np.zeros(int(self.contents.max()) + 1)
            np.maximum.at(best, self.contents, own)
            first, second = np.argsort(-best)[:2]
            if best[first] >= PLAIN and best[first] >= 2 * best[second]:
                said[output] = int(first)
        return said


def published(real_data: Path, name: str) -> Published:
    ranking = pq.read_table(real_data / "retrieved" / f"{name}.parquet").to_pylist()
    keys = [(row["dataset_id"], row["config_id"], row["row_id"]) for row in ranking]
    rows = {}
    for dataset, config in {key[:2] for key in keys}:
        path = real_data / "corpus" / dataset.replace("/", "__") / f"{config.replace('/', '__')}.parquet"
        for row in pq.read_table(path).to_pylist():
            rows[dataset, config, row.pop("__row_id")] = [text for text in row.values() if text is not None]
    texts = [rows[key] for key in keys]
    numbers: dict[tuple[str, ...], int] = {}
    contents = np.array([numbers.setdefault(tuple(row), len(numbers)) for row in texts])
    lines = (real_data / "rebase_outputs" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    outputs = [[one["input"], one["output"]] for one in map(json.loads, lines)]
    return Published(outputs, texts, contents)


def half(word: str) -> int:
    return text_hash(word)[0] & 1


@pytest.fixture(scope="module")
def mnli(real_data: Path) -> Published:
    return published(real_data, "mnli")


@pytest.fixture(scope="module")
def aligned(mnli: Published) -> Alignment:
    """By all words."""
    return mnli.align()


@pytest.fixture(scope="module")
def database(real_data: Path, server_url: str, template_database: str) -> Iterator[tuple[Engine, ImportReceipt]]:
    """MNLI as `rebase import-rebase` loads it."""
    prompt = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))["mnli"]
    task = TaskFile.model_validate(
        {
            "name": "mnli",
            "instruction": prompt["instruction"],
            "labels": ["Entailment", "Contradiction", "Neutral"],
            "reasoning": True,
            "examples": prompt["examples"],
            "retrieval_examples": prompt["retrieval_examples"],
        }
    )
    with cloned_database(server_url, template_database) as url:
        engine = engine_for(url)
        with engine.begin() as connection:
            add_task(connection, task)
        found = recognise(real_data, "mnli")
        receipt = import_rebase(engine, found, task="mnli", uri=real_data.as_uri(), name=None, on_error=OnError.FAIL)
        yield engine, receipt
        engine.dispose()


@pytest.fixture(scope="module")
def report(database: tuple[Engine, ImportReceipt]) -> Report:
    with database[0].connect() as connection:
        return audit(connection, "mnli")


def test_all_of_it_is_loaded(database: tuple[Engine, ImportReceipt]) -> None:
    receipt = database[1]
    assert (receipt.ranked, receipt.ranked_rows, receipt.unresolved, receipt.other_cells) == (3_000, 3_000, {}, 0)
    assert (receipt.examples, len(receipt.datasets)) == (2_998, 11)
    assert sum(receipt.placed.values()) >= 2_990
    assert receipt.order is not None
    assert receipt.order > 0.99


def test_what_the_audit_finds(report: Report) -> None:
    found = {one.name: one for one in report.findings}
    assert (found["mirrors"].count, found["mirrors"].of) == (907, 3_000)
    changes = found["drift"].numbers["changes"]
    # Two answers were lost, and here they are: no two outputs apart from where the texts allow.
    assert [(one["from"], one["to"]) for one in changes] == [(0, 1), (1, 2)]
    assert all(one["by"] - one["after"] <= 10 for one in changes)
    assert found["drift"].count == pytest.approx(2_374, abs=5)
    assert found["duplicates"].numbers == {"verbatim": 191, "verbatim_with_output": 25}
    assert found["copied examples"].count == 0
    labels = found["rare or missing labels"].numbers
    assert labels["labels"] == {"Entailment": 1_231, "Contradiction": 1_246, "Neutral": 470}
    assert labels["rare"] == ["Neutral"]
    sources = found["concentration"].numbers
    assert next(iter(sources["datasets"])) == "scitail"
    assert sources["top_share"] == pytest.approx(0.314, abs=0.005)
    assert sources["effective_datasets"] == pytest.approx(3.9, abs=0.1)


@pytest.mark.parametrize("unseen", [0, 1])
def test_alignment_against_words_it_has_not_seen(mnli: Published, unseen: int) -> None:
    said = mnli.judge(lambda word: half(word) == unseen)
    found = mnli.align(lambda word: half(word) != unseen)
    placed = {
        output: int(mnli.contents[each[0].row])
        for output, each in enumerate(found.candidates)
        if each and each[0].probability >= LIKELY
    }
    assert len(said) > 900
    assert len(placed) >= 0.99 * len(mnli.outputs)
    right = sum(placed.get(output) == content for output, content in said.items())
    by_position = sum(int(mnli.contents[output]) == content for output, content in said.items())
    assert right >= 0.99 * len(said)
    assert by_position <= 0.40 * len(said)


def test_order_alone_against_the_output_s_own_text(mnli: Published, aligned: Alignment) -> None:
    said = mnli.judge(every_word)
    right = sum(
        bool(aligned.candidates[output])
        and int(mnli.contents[max(aligned.candidates[output], key=lambda one: one.by_order).row]) == content
        for output, content in said.items()
    )
    assert right >= 0.97 * len(said)


def test_more_missing_outputs_are_followed(mnli: Published, aligned: Alignment) -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    kept = [output for output in range(len(mnli.outputs)) if dice.random() > 0.05]
    found = Published([mnli.outputs[output] for output in kept], mnli.rows, mnli.contents).align()
    sure = right = 0
    for output, each in zip(kept, found.candidates, strict=True):
        if each and each[0].probability >= 0.9:
            sure += 1
            right += mnli.contents[each[0].row] == mnli.contents[aligned.candidates[output][0].row]
    assert sure >= 0.7 * len(kept)
    assert right >= 0.97 * sure


def test_text_alone(mnli: Published, aligned: Alignment) -> None:
    sure = right = 0
    for found, known in zip(by_text(mnli.evidence()), aligned.candidates, strict=True):
        if found and known:
            content = mnli.contents[found[0].row]
            if sum(one.probability for one in found if mnli.contents[one.row] == content) >= 0.9:
                sure += 1
                right += content == mnli.contents[known[0].row]
    assert sure >= 1_700
    assert right >= 0.99 * sure


@pytest.mark.parametrize("name", ["bbh__date_understanding", "bbh__word_sorting", "bbh__boolean_expressions"])
def test_bbh_outputs_come_from_the_first_rows(real_data: Path, name: str) -> None:
    found = published(real_data, name).align()
    assert found.order > 0.99
    assert [each[0].row for each in found.candidates] == list(range(200))


def test_outputs_of_another_task_are_not_placed(real_data: Path) -> None:
    outputs = published(real_data, "bbh__word_sorting").outputs
    others = published(real_data, "bbh__navigate")
    found = Published(outputs, others.rows, others.contents).align()
    assert not any(one.probability >= LIKELY for each in found.candidates for one in each)


def test_copies_of_the_prompt_in_all_tasks(real_data: Path) -> None:
    from rebase_db.audit.subject import Item, Subject
    from rebase_db.audit.texts import checked, repeats
    from rebase_db.check.verdict import TaskFacts
    from rebase_db.task.checks import Checks

    prompts = json.loads((real_data / "tasks.json").read_text(encoding="utf-8"))
    copied = verbatim = pairs = 0
    for path in sorted((real_data / "rebase_outputs").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        shown = [(one["input"], one["output"]) for one in prompts[rows[0]["task"]]["examples"]]
        items = [Item(place, place, row["input"], row["output"]) for place, row in enumerate(rows, start=1)]
        subject = Subject("", "", items, [], {}, {}, TaskFacts(shown, None), Checks(), None)
        copied += next(one.count for one in checked(subject) if one.name == "copied examples")
        found = next(repeats(subject)).numbers
        verbatim += found["verbatim"]
        pairs += found["verbatim_with_output"]
    # 159 differ in case and punctuation alone, one in a space as well.
    assert (copied, verbatim, pairs) == (160, 551, 170)
