"""The demo's data is what its README says, and its benchmark is held out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from jinja2 import Environment, meta

from rebase_db.demo import demo_folder
from rebase_db.ingest.open import open_sources
from rebase_db.task.load import load_task
from rebase_db.task.teachers import TemplateTeacherSpec
from rebase_db.transform.teacher import Answer, SourceRow
from rebase_db.transform.template import TemplateTeacher

if TYPE_CHECKING:
    from pathlib import Path

    from rebase_db.task.file import TaskFile

FOLDER = demo_folder()
CORPUS = FOLDER / "corpus"
ROWS = {
    ("app-reviews", "default"): 52,
    ("bank-questions", "default"): 72,
    ("helpdesk-archive", "default"): 70,
    ("helpdesk-mirror", "default"): 18,
    ("home-recipes", "default"): 32,
    ("marketplace-help", "buyers"): 45,
    ("marketplace-help", "sellers"): 25,
    ("pub-quiz", "default"): 38,
    ("shop-tickets", "default"): 92,
    ("telecom-calls", "default"): 59,
    ("weather-log", "default"): 28,
}
DISTRACTORS = {"home-recipes", "pub-quiz", "weather-log"}
NEAR = 0.5

Rows = list[dict[str, Any]]


def read(path: Path) -> Rows:
    """The rows of one file, nested as they are, by the standard library and pyarrow alone."""
    if path.suffix == ".parquet":
        rows: Rows = pq.read_table(path).to_pylist()
        return rows
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in data.decode().splitlines()]
    delimiter = "\t" if ".tsv" in path.suffixes else ","
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True))


def leaves(value: object) -> list[str]:
    """Every text in a row, however deep."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in leaves(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in leaves(inner)]
    return [value] if isinstance(value, str) else []


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def likeness(left: frozenset[str], right: frozenset[str]) -> float:
    """The share of words that two texts have in common: 1 for the same words, whatever their order and case."""
    return len(left & right) / max(1, len(left | right))


@pytest.fixture(scope="module")
def tables() -> dict[tuple[str, str], Rows]:
    files = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
    return {(path.parent.name, path.name.partition(".")[0]): read(path) for path in files}


@pytest.fixture(scope="module")
def benchmark() -> list[dict[str, str]]:
    return read(FOLDER / "benchmark.jsonl")


@pytest.fixture(scope="module")
def task() -> TaskFile:
    return load_task(FOLDER / "task.yaml")


@pytest.fixture(scope="module")
def ingested() -> list[SourceRow]:
    """The corpus as the ingest stage reads it, numbered through."""
    rows: list[SourceRow] = []
    for dataset in open_sources([str(CORPUS)]):
        for split in dataset.splits:
            names = [column.name for column in split.columns]
            for batch in split.batches():
                for cells in zip(*batch.cells, strict=True):
                    columns = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
                    rows.append(SourceRow(len(rows), dataset.name, split.config, columns))
    return rows


@pytest.fixture(scope="module")
def answers(task: TaskFile, ingested: list[SourceRow]) -> list[Answer]:
    assert isinstance(task.teacher, TemplateTeacherSpec)
    teacher = TemplateTeacher(task.teacher)
    return list(teacher.answer(map(teacher.prepare, ingested)))


def rules(task: TaskFile) -> TemplateTeacherSpec:
    assert isinstance(task.teacher, TemplateTeacherSpec)
    return task.teacher


def test_every_file_reads_to_its_number_of_rows(tables: dict[tuple[str, str], Rows]) -> None:
    assert {name: len(rows) for name, rows in tables.items()} == ROWS


def test_ingest_reads_the_same_rows(ingested: list[SourceRow]) -> None:
    assert Counter((row.dataset, row.config) for row in ingested) == ROWS


def test_datasets_have_a_description_and_a_licence() -> None:
    names = {dataset for dataset, _ in ROWS}
    for listing in ("descriptions.json", "licences.json"):
        entries = json.loads((CORPUS / listing).read_text(encoding="utf-8"))
        assert entries.keys() == names
        assert all(entries.values())


def test_the_parquet_labels_are_numbers_named_in_the_schema(ingested: list[SourceRow]) -> None:
    table = pq.read_table(CORPUS / "bank-questions" / "default.parquet")
    names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["intent"]["names"]
    shown = [row.columns["intent"] for row in ingested if row.dataset == "bank-questions"]
    assert shown == [names[number] for number in table["intent"].to_pylist()]
    assert set(shown) == set(names)


def test_the_gzip_file_carries_neither_time_nor_name() -> None:
    header = (CORPUS / "telecom-calls" / "default.tsv.gz").read_bytes()[:10]
    assert header[:3] == b"\x1f\x8b\x08"
    assert header[3] == 0
    assert header[4:8] == bytes(4)


def test_nested_values_arrive_under_dotted_names(ingested: list[SourceRow]) -> None:
    ticket = next(row for row in ingested if row.dataset == "helpdesk-archive")
    assert set(ticket.columns) == {"ticket", "message.subject", "message.body", "queue", "tags"}
    assert isinstance(json.loads(ticket.columns["tags"]), list)


def test_the_corpus_is_as_untidy_as_real_ones(tables: dict[tuple[str, str], Rows]) -> None:
    tickets = tables["shop-tickets", "default"]
    texts = [str(row["text"]) for row in tickets]
    assert any("\n" in text and len(text) < 300 for text in texts)
    assert any('"' in text for text in texts)
    assert any(ord(character) > 0xFFFF for text in texts for character in text)
    assert max(map(len, texts)) > 2000
    assert sum(not cell for row in tickets for cell in row.values()) == 2
    assert {"payments", "Payments", "PAYMENTS "} <= {row["category"] for row in tickets}
    assert sum("ich" in words(text) or "die" in words(text) for text in texts) >= 3
    assert sum("¿" in text or "el" in words(text) for text in texts) >= 3
    assert [row["question"] for row in tables["bank-questions", "default"]].count(None) == 1


def test_the_mirror_holds_rows_of_the_archive_unchanged(ingested: list[SourceRow]) -> None:
    archive, mirror = (
        {json.dumps(dict(row.columns), sort_keys=True) for row in ingested if row.dataset == name}
        for name in ("helpdesk-archive", "helpdesk-mirror")
    )
    assert len(archive & mirror) == 12
    assert len(mirror - archive) == 6


def test_nothing_else_is_in_the_corpus_twice(ingested: list[SourceRow]) -> None:
    contents = Counter(json.dumps(dict(row.columns), sort_keys=True) for row in ingested)
    assert sum(count - 1 for count in contents.values()) == 12


def test_the_benchmark_is_balanced(benchmark: list[dict[str, str]], task: TaskFile) -> None:
    assert Counter(item["output"] for item in benchmark) == dict.fromkeys(task.labels or (), 12)
    assert len({item["id"] for item in benchmark}) == len({item["input"] for item in benchmark}) == 60


def test_no_benchmark_message_is_near_a_text_of_the_corpus_or_an_example(
    tables: dict[tuple[str, str], Rows], benchmark: list[dict[str, str]], task: TaskFile
) -> None:
    seen = {text for rows in tables.values() for row in rows for text in leaves(row)}
    seen |= {example.input for example in task.examples}
    known = [(words(text), text) for text in seen]
    near = [
        (item["input"], text)
        for item in benchmark
        for bag, text in known
        if likeness(words(item["input"]), bag) >= NEAR
    ]
    assert near == []


def test_likeness_would_notice_a_message_with_a_word_changed(benchmark: list[dict[str, str]]) -> None:
    for item in benchmark:
        changed = " ".join(["Hello", *item["input"].upper().split()[1:]])
        assert likeness(words(item["input"]), words(changed)) >= NEAR


def test_every_label_map_leads_to_labels_and_names_what_the_corpus_has(
    task: TaskFile, ingested: list[SourceRow]
) -> None:
    texts = {cell for row in ingested for cell in row.columns.values()}
    for rule in rules(task).rules:
        assert rule.labels
        assert set(rule.labels.values()) <= set(task.labels or ())
        assert set(rule.labels) <= texts


def test_templates_parse_and_use_their_columns_only(task: TaskFile) -> None:
    environment = Environment(autoescape=True)
    for rule in rules(task).rules:
        for template in (rule.input, rule.output):
            used = meta.find_undeclared_variables(environment.parse(template))
            assert used
            assert used <= {*rule.columns, "row"}


def test_each_team_finds_examples_in_several_datasets(
    answers: list[Answer], ingested: list[SourceRow], task: TaskFile
) -> None:
    found = {
        (ingested[answer.link_id].dataset, answer.parsed.output) for answer in answers if answer.parsed is not None
    }
    assert {dataset for dataset, _ in found} == {dataset for dataset, _ in ROWS} - DISTRACTORS
    spread = Counter(label for _, label in found)
    assert set(spread) == set(task.labels or ())
    assert min(spread.values()) >= 6


def test_rows_that_do_not_fit_are_rejected_each_for_its_reason(
    answers: list[Answer], ingested: list[SourceRow]
) -> None:
    reasons: dict[str, set[str]] = {}
    for answer in answers:
        if answer.parsed is None:
            kind = str(answer.reject_reason).partition(":")[0]
            reasons.setdefault(ingested[answer.link_id].dataset, set()).add(kind)
    assert {name: reasons[name] for name in DISTRACTORS} == {name: {"no_rule_fits"} for name in DISTRACTORS}
    assert reasons["shop-tickets"] == {"label_not_mapped", "empty_field"}
    assert reasons["bank-questions"] == {"label_not_mapped", "no_rule_fits"}  # the null question fits no rule
    for name in ("app-reviews", "helpdesk-archive", "marketplace-help", "telecom-calls"):
        assert reasons[name] == {"label_not_mapped"}


def test_labels_written_by_hand_count_as_one(answers: list[Answer], ingested: list[SourceRow]) -> None:
    outputs = {
        answer.parsed.output
        for answer in answers
        if answer.parsed is not None
        and ingested[answer.link_id].columns.get("category", "").strip().casefold() == "payments"
    }
    assert outputs == {"billing"}


def test_the_demo_folder_has_its_task_and_readme() -> None:
    assert {"task.yaml", "benchmark.jsonl", "README.md"} <= {path.name for path in FOLDER.iterdir()}
