from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rebase_db.errors import TaskError
from rebase_db.hashing import canonical_json
from rebase_db.task.file import TaskFile
from rebase_db.task.labels import final_label, match_label
from rebase_db.task.load import load_task
from rebase_db.task.teachers import OpenAITeacherSpec, TemplateTeacherSpec

SMALL = """\
name: support-triage
instruction: Name the queue a message belongs to.
examples:
  - {input: Where is my parcel, output: delivery}
"""

FULL = """\
name: team/support-triage
instruction: >-
  Name the queue a message
  belongs to.
retrieval_instruction: support messages
labels: [billing, delivery]
examples:
  - {input: Where is my parcel, output: delivery}
retrieval_examples:
  - {input: parcel, output: delivery}
notes: Be brief.
sources: [corpus, "hf:org/name@main"]
max_rows: 1000
retrieve: {top_n: 50, scoring: max-rank, exclude_datasets: [snli]}
teacher:
  provider: template
  rules:
    - name: pairs
      datasets: ["snli", "super_glue*"]
      columns: [premise, a.b, label]
      input: 'P: {{ premise }} {{ row["a.b"] }} {{ row.get("c", "") }}'
      output: "{{ label }}"
      labels: {0: billing, no: delivery}
student: {epochs: 2, learning_rate: 1e-4}
evaluate: {benchmark: items.jsonl}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> TaskError:
    path = write(folder, text)
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    return caught.value


@pytest.fixture
def full(tmp_path: Path) -> TaskFile:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "items.jsonl").touch()
    return load_task(write(tmp_path, FULL))


def test_a_full_file_is_read_and_its_paths_become_absolute(full: TaskFile, tmp_path: Path) -> None:
    assert full.instruction == "Name the queue a message belongs to."
    assert full.labels == ("billing", "delivery")
    assert full.sources == (str((tmp_path / "corpus").resolve()), "hf:org/name@main")
    assert full.evaluate is not None
    assert full.evaluate.benchmark == str((tmp_path / "items.jsonl").resolve())
    assert full.student.learning_rate == 1e-4
    assert isinstance(full.teacher, TemplateTeacherSpec)
    assert full.teacher.rules[0].labels == {"0": "billing", "no": "delivery"}


def test_defaults_stand_in_for_what_is_not_written(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, SMALL))
    assert task.retrieval_instruction == task.instruction
    assert task.retrieval_examples == task.examples
    assert task.retrieve.top_n == 3000
    assert task.teacher is None


def test_a_dumped_file_is_plain_json_and_comes_back_the_same(full: TaskFile) -> None:
    dumped = full.model_dump(mode="json")
    assert TaskFile.model_validate(json.loads(json.dumps(dumped))) == full


def test_a_loaded_file_cannot_be_changed(full: TaskFile) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        full.instruction = "other"


def test_the_definition_has_only_what_makes_a_version(full: TaskFile) -> None:
    definition = full.definition()
    assert definition == {
        "instruction": "Name the queue a message belongs to.",
        "retrieval_instruction": "support messages",
        "examples": [{"input": "Where is my parcel", "output": "delivery"}],
        "retrieval_examples": [{"input": "parcel", "output": "delivery"}],
        "labels": ["billing", "delivery"],
        "reasoning": False,
        "notes": "Be brief.",
    }
    other = full.model_copy(update={"max_rows": 1, "teacher": None, "sources": (), "name": "other"})
    assert other.definition() == definition


def test_a_default_written_out_makes_the_same_definition(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, SMALL))
    spelled = load_task(write(tmp_path, SMALL + "retrieval_instruction: Name the queue a message belongs to.\n"))
    assert canonical_json(task.definition()) == canonical_json(spelled.definition())


@pytest.mark.parametrize("written", ["no", "yes", "1.10", "0x10", "2024-01-01", "1_000", "on"])
def test_a_plain_scalar_stays_as_it_is_written(tmp_path: Path, written: str) -> None:
    text = SMALL + f"  - {{input: {written}, output: {written}}}\n"
    example = load_task(write(tmp_path, text)).examples[1]
    assert (example.input, example.output) == (written, written)


def test_openai_teacher_with_prices(tmp_path: Path) -> None:
    text = SMALL + (
        "teacher: {provider: openai, model: m, base_url: 'http://localhost:8000/v1', api_key_env: MY_KEY,"
        " temperature: null, input_price: 0.15, output_price: 0.60}\n"
    )
    teacher = load_task(write(tmp_path, text)).teacher
    assert isinstance(teacher, OpenAITeacherSpec)
    assert teacher.temperature is None
    assert teacher.input_price == Decimal("0.15")


SYNTAX = {
    "a quote left open": (SMALL + 'notes: "open\n', "5:"),
    "a tab": (SMALL + "retrieve:\n\ttop_n: 1\n", "6:1: "),
    "an unknown alias": (SMALL + "notes: *x\n", "5:8: "),
    "a key twice": (SMALL + "name: again\n", "5:1: "),
    "a list as a key": (SMALL + "? [a]\n: b\n", "5:3: "),
    "two documents": (SMALL + "---\nname: b\n", "5:1: "),
    "a tag": (SMALL + "notes: !!python/name:os.system x\n", "5:8: "),
    "an alias in itself": (SMALL + "notes: &a [*a]\n", "5:"),
    "a control character": (SMALL + "notes: a\x07b\n", "5:9: "),
    "aliases of aliases": (
        SMALL
        + "notes: [&a0 [x, x]"
        + "".join(f", &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))
        + "]\n",
        "5:",
    ),
    "nested without end": (SMALL + "notes: " + "[" * 5000, ": "),
}


@pytest.mark.parametrize("name", SYNTAX)
def test_broken_yaml_names_its_line(tmp_path: Path, name: str) -> None:
    text, place = SYNTAX[name]
    error = refused(tmp_path, text)
    assert re.search(rf"task\.yaml:?{re.escape(place)}", error.message), error.message
    assert "not valid YAML" in error.message


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    with pytest.raises(TaskError, match=r"task\.yaml: cannot be read"):
        load_task(path)
    with pytest.raises(TaskError, match="cannot be read"):
        load_task(tmp_path)
    path.write_bytes(b"name: a\ninstruction: \xff\n")
    with pytest.raises(TaskError, match=r"task\.yaml:2: is not UTF-8"):
        load_task(path)
    assert "is empty" in refused(tmp_path, "# nothing\n").message
    assert "is a mapping" in refused(tmp_path, "- a\n").message


OPENAI = "teacher: {provider: openai, model: m, base_url: 'http://h/v1'"
RULES = "teacher:\n  provider: template\n  rules:\n"
LABELLED = "labels: [billing, delivery]\n"

FAULTS = {
    # what is appended to SMALL: line, key path, message, hint
    "an unknown key": ("sorces: [a]\n", 5, "sorces", "is not a known key", "Did you mean sources"),
    "an unknown key below": ("retrieve:\n  topn: 3\n", 6, "retrieve.topn", "is not a known key", "top_n"),
    "a wrong type": ("max_rows: many\n", 5, "max_rows", "should be a whole number", ""),
    "a list for text": ("notes: [a]\n", 5, "notes", "should be text", ""),
    "text for a list": ("labels: billing\n", 5, "labels", "should be a list", ""),
    "a missing key": ("evaluate: {}\n", 5, "evaluate.benchmark", "is missing", ""),
    "a number for a mapping": ("student: 3\n", 5, "student", "should be a mapping", ""),
    "an unknown provider's shape": ("teacher: template\n", 5, "teacher", "should be a mapping", ""),
    "neither true nor false": ("reasoning: maybe\n", 5, "reasoning", "should be true or false", ""),
    "an unknown scoring": ("retrieve: {scoring: best}\n", 5, "retrieve.scoring", "'average-score'", ""),
    "not a number": ("student: {learning_rate: nan}\n", 5, "student.learning_rate", "finite number", ""),
    "a number out of range": ("retrieve: {top_n: 0}\n", 5, "retrieve.top_n", "greater than or equal to 1", ""),
    "an example without output": ("  - {input: a}\n", 5, "examples[1].output", "is missing", ""),
    "a null output": ("  - {input: a, output: null}\n", 5, "examples[1].output", "should be text", ""),
    "a blank instruction": ("retrieval_instruction: ' '\n", 5, "retrieval_instruction", "is blank", ""),
    "a NUL": ('notes: "a\\0b"\n', 5, "notes", "NUL", ""),
    "a lone surrogate": ('notes: "a\\ud800b"\n', 5, "notes", "surrogate", ""),
    "an output that is no label": ("labels: [Delivery, billing]\n", 4, "examples[0].output", "not one of the", "case"),
    "a retrieval output that is no label": (
        LABELLED + "retrieval_examples:\n  - {input: a, output: delivry}\n",
        7,
        "retrieval_examples[0].output",
        "not one of the labels",
        "delivery",
    ),
    "a label twice": ("labels: [delivery, a, Delivery]\n", 5, "labels[2]", "repeats 'delivery'", ""),
    "a padded label": ("labels: [delivery, ' a']\n", 5, "labels[1]", "white space", ""),
    "one label": ("labels: [delivery]\n", 5, "labels", "at least 2", ""),
    "no examples": ("retrieval_examples: []\n", 5, "retrieval_examples", "at least 1", ""),
    "no provider": ("teacher: {model: m}\n", 5, "teacher", "has no provider", "provider: openai"),
    "an unknown provider": ("teacher: {provider: opnai}\n", 5, "teacher", "'opnai' is not known", "openai"),
    "a rule's template": (
        RULES + "    - columns: [a]\n      input: x\n      output: '{{ a'\n",
        10,
        "teacher.rules[0].output",
        "is not a valid template",
        "",
    ),
    "a filter that is not there": (
        RULES + "    - columns: [a]\n      input: '{{ a | nope }}'\n      output: x\n",
        9,
        "teacher.rules[0].input",
        "nope",
        "",
    ),
    "a column that is not declared": (
        RULES + "    - columns: [premise]\n      input: '{{ premis }}'\n      output: x\n",
        9,
        "teacher.rules[0].input",
        "uses 'premis'",
        "Did you mean premise",
    ),
    "a map to no label": (
        LABELLED + RULES + "    - {columns: [a], input: x, output: y, labels: {0: bill}}\n",
        9,
        "teacher.rules[0].labels.0",
        "'bill' is not one of the labels",
        "billing",
    ),
    "a URL without scheme": (
        "teacher: {provider: openai, model: m, base_url: localhost}\n",
        5,
        "teacher.base_url",
        "http",
        "v1",
    ),
    "one price": (OPENAI + ", input_price: 1}\n", 5, "teacher", "one of input_price", ""),
    "one price of a model here": (
        "teacher: {provider: vllm, model: m, output_price: 1}\n",
        5,
        "teacher",
        "one of input_price",
        "0 is a price",
    ),
    "one price of a judge": (
        "checks:\n  judge:\n    model: {provider: transformers, model: m, input_price: 1}\n",
        7,
        "checks.judge.model",
        "one of input_price",
        "",
    ),
    "a judge without provider": (
        "checks:\n  judge:\n    model: {model: m}\n",
        7,
        "checks.judge.model",
        "has no provider",
        "provider: vllm",
    ),
    "a source that is not there": (
        "sources:\n  - .\n  - nowhere/\n",
        7,
        "sources[1]",
        "no file or folder nowhere/",
        "",
    ),
    "a benchmark that is not there": (
        "evaluate: {benchmark: b.jsonl}\n",
        5,
        "evaluate.benchmark",
        "no file or folder",
        "relative",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_line_key_and_remedy(tmp_path: Path, name: str) -> None:
    text, line, keys, message, hint = FAULTS[name]
    error = refused(tmp_path, SMALL + text)
    assert f"task.yaml:{line}: {keys}: " in error.message, error.message
    assert message in error.message
    assert hint in error.hint


def test_a_name_must_be_one(tmp_path: Path) -> None:
    for name in ("Support", "a/../b", "/a", "a/", "..", "a b", "-a"):
        error = refused(tmp_path, SMALL.replace("support-triage", name))
        assert "task.yaml:1: name: is not a name" in error.message, name


def test_further_faults_are_named_with_the_first(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALL + "max_rows: x\nretrieve: {top_n: y}\n")
    assert "task.yaml:5: max_rows:" in error.message
    assert "also wrong: retrieve.top_n (line 6)" in error.message


def test_a_missing_instruction_is_one_fault(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALL.replace("instruction:", "notes:"))
    assert "task.yaml:1: instruction: is missing" in error.message
    assert "also wrong" not in error.message


KEY = "sk-" + "verySecret123"


@pytest.mark.parametrize(
    "text",
    [
        OPENAI + f", api_key: {KEY}}}\n",
        OPENAI + f", api_key_env: {KEY}}}\n",
        OPENAI.replace("http://h", f"http://user:{KEY}@h") + "}\n",
        OPENAI.replace("/v1", f"/v1?key={KEY}") + "}\n",
        f"OPENAI_API_KEY: {KEY}\n",
        f"teacher: {{provider: openai, api_key: {KEY}, temperature: {KEY}}}\n",
        f'notes: "{KEY}\n',
        f"notes: {KEY}: {KEY}\n",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    error = refused(tmp_path, SMALL + text)
    assert error.hint
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    assert KEY not in " ".join(f"{item!r} {item}" for item in chain)
    assert KEY not in error.hint


def test_a_secret_key_gets_the_hint_to_name_a_variable(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALL + OPENAI + f", api_key: {KEY}}}\n")
    assert "task.yaml:5: teacher.api_key: a secret has no place in a task file" in error.message
    assert "api_key_env" in error.hint


REASONING = """\
name: moods
reasoning: true
instruction: Tell the mood.
examples:
  - {input: I won, output: Winning is fun. So the answer is glad.}
"""


def test_reasoning_examples_give_their_bare_answers_by_label(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, REASONING + "labels: [glad, sad]\n"))
    assert task.answer_of(task.examples[0]) == "glad"
    assert [example.output for example in task.retrieval_examples] == ["glad"]
    assert task.definition()["examples"][0]["output"] == "Winning is fun. So the answer is glad."


def test_reasoning_examples_give_their_bare_answers_by_retrieval_example(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, REASONING + "retrieval_examples: [{input: I won, output: glad it is}]\n"))
    assert task.answer_of(task.examples[0]) == "glad it is"


def test_reasoning_without_a_bare_answer_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, REASONING)
    assert "task.yaml:5: examples[0].output: does not show" in error.message
    assert "retrieval_examples" in error.hint


def test_labels_match_exactly_before_they_match_without_case() -> None:
    assert match_label(" Glad ", ["glad", "Glad"]) == "Glad"
    assert match_label("GLAD", ["glad", "sad"]) == "glad"
    assert match_label("gladly", ["glad", "sad"]) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("So the answer is Neutral.", "neutral"),
        ("Answer: **entailment**", "entailment"),
        ("neutral", "neutral"),
        ("the answer is not entailment", None),
        ("the answer is not-entailment", None),
        ("entailment is the answer", None),
        ("this entailment", None),
    ],
)
def test_a_final_label_follows_is_or_a_colon(text: str, label: str | None) -> None:
    assert final_label(text, ["entailment", "neutral"]) == label


def test_a_final_label_may_hold_brackets_and_the_longest_one_wins() -> None:
    assert final_label("The answer is (B).", ["(A)", "(B)"]) == "(B)"
    assert final_label("The answer is: not sure", ["sure", "not sure"]) == "not sure"


@pytest.mark.real_data
def test_the_published_tasks_make_task_files() -> None:
    folder = os.environ.get("REBASE_TEST_DATA")
    if not folder:
        pytest.skip("REBASE_TEST_DATA is not set")
    published: dict[str, dict[str, Any]] = json.loads((Path(folder) / "tasks.json").read_text())
    for name, task in published.items():
        file = TaskFile(
            name=name,
            instruction=task["instruction"],
            retrieval_instruction=task["retrieval_instruction"],
            reasoning=name.startswith("bbh/") or name == "mnli",
            examples=task["examples"],
            retrieval_examples=task["retrieval_examples"],
            notes=task["task_specific_instruction"],
        )
        bare = {example["input"]: example["output"] for example in task["retrieval_examples"]}
        if file.reasoning:
            assert [file.answer_of(e) for e in file.examples] == [bare[e.input] for e in file.examples]
