"""The task file: what a student is to learn, where its examples come from, and how it is trained and measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from rebase_db.errors import did_you_mean
from rebase_db.task.checks import Checks
from rebase_db.task.labels import final_label
from rebase_db.task.licences import LicenceName, Licences
from rebase_db.task.strict import StorableText, Strict, Text, fault, fault_at, raise_faults
from rebase_db.task.teachers import TeacherSpec, TemplateTeacherSpec

_NAME = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$"

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


class Example(Strict):
    """One worked example of the task."""

    input: Text
    output: Text


MOST_WEIGHT = 1000


class Weights(Strict):
    """How much each part score counts in the mean of the three; only their proportion matters."""

    input: float = Field(default=1, ge=0, le=MOST_WEIGHT)
    output: float = Field(default=1, ge=0, le=MOST_WEIGHT)
    dataset: float = Field(default=1, ge=0, le=MOST_WEIGHT)

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not any(self.as_tuple()):
            raise fault("are all zero, so nothing would count")
        return self

    def as_tuple(self) -> tuple[float, float, float]:
        """The weights of input, output and dataset score."""
        return self.input, self.output, self.dataset


class Retrieve(Strict):
    """How source rows are found; see rebase_db.retrieve for the scorings.

    `exclude_datasets` are globs on dataset names. Of rows with equal content in several datasets `mirrors: first` keeps
    one, `all` keeps all. `max_share` is the largest share of `top_n` that one dataset may have.
    """

    encoder: Text = DEFAULT_ENCODER
    top_n: int = Field(default=3000, ge=1)
    scoring: Literal["average-score", "average-rank", "max-rank"] = "average-score"
    weights: Weights = Weights()
    exclude_datasets: tuple[Text, ...] = ()
    exclude_licences: tuple[LicenceName, ...] = ()
    mirrors: Literal["first", "all"] = "first"
    max_share: float = Field(default=1, gt=0, le=1)

    @model_validator(mode="after")
    def _weights_count(self) -> Self:
        if self.scoring != "average-score" and len(set(self.weights.as_tuple())) > 1:
            raise fault(f"has weights, which scoring {self.scoring} does not use: leave one of the two out")
        return self


class Student(Strict):
    """The model that is trained: an encoder with a classification head on top.

    `max_tokens` cuts inputs; `warmup_ratio` is the share of all steps over which the learning rate rises.
    """

    kind: Literal["classifier"] = "classifier"
    base: Text = DEFAULT_ENCODER
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=16, ge=1)
    max_tokens: int = Field(default=256, ge=1)
    seed: int = Field(default=3407, ge=0, lt=2**32)
    warmup_ratio: float = Field(default=0.1, ge=0, le=1)


class Evaluate(Strict):
    """What the student is measured on: a JSONL file of items with `input` and `output`."""

    benchmark: Text
    metric: Literal["accuracy"] = "accuracy"


def _label_set(labels: tuple[str, ...]) -> tuple[str, ...]:
    faults = []
    seen: dict[str, str] = {}
    for index, label in enumerate(labels):
        if label != label.strip():
            faults.append(fault_at((index,), "has white space around it"))
        folded = label.strip().casefold()
        if folded in seen:
            faults.append(fault_at((index,), f"{label!r} repeats {seen[folded]!r} (case aside)"))
        seen.setdefault(folded, label)
    raise_faults(TaskFile, faults)
    return labels


def _bare_answer(output: str, labels: tuple[str, ...] | None) -> str | None:
    return final_label(output, labels) if labels else None


def _retrieval_examples(fields: dict[str, Any]) -> tuple[Example, ...]:
    """The examples, without their chains of thought where those end in a label."""
    if not fields["reasoning"]:
        return tuple(fields["examples"])
    labels = fields["labels"]
    return tuple(
        Example(input=example.input, output=_bare_answer(example.output, labels) or example.output)
        for example in fields["examples"]
    )


class TaskFile(Strict):
    """A task file as written, with its defaults filled in; `load_task` reads one.

    With `reasoning` the outputs of `examples` are chains of thought that end in the answer. The bare answer is the
    output of the retrieval example with the same input, or the label the chain of thought ends in.
    """

    name: Annotated[str, StringConstraints(pattern=_NAME, max_length=100)]
    instruction: Text
    retrieval_instruction: Text = Field(default_factory=lambda fields: str(fields["instruction"]))
    labels: Annotated[tuple[Text, ...], Field(min_length=2), AfterValidator(_label_set)] | None = None
    reasoning: bool = False
    examples: tuple[Example, ...] = Field(min_length=1)
    retrieval_examples: tuple[Example, ...] = Field(default_factory=_retrieval_examples, min_length=1)
    notes: StorableText = ""
    sources: tuple[Text, ...] = ()
    max_rows: int | None = Field(default=None, ge=1)
    retrieve: Retrieve = Retrieve()
    teacher: TeacherSpec | None = None
    checks: Checks = Checks()
    licences: Licences = Licences()
    student: Student = Student()
    evaluate: Evaluate | None = None

    @model_validator(mode="after")
    def _answers_are_known(self) -> Self:
        faults = []
        for index, example in enumerate(self.examples):
            if self.reasoning and self._answer_or_none(example) is None:
                message = "does not show where its chain of thought ends and its answer begins"
                hint = "Add retrieval_examples with the same inputs and the bare outputs" + (
                    ', or end it in "the answer is <label>".' if self.labels else "."
                )
                faults.append(fault_at(("examples", index, "output"), message, hint=hint))
        if self.labels:
            answers = [] if self.reasoning else [("examples", i, e.output) for i, e in enumerate(self.examples)]
            if "retrieval_examples" in self.model_fields_set:
                answers += [("retrieval_examples", i, e.output) for i, e in enumerate(self.retrieval_examples)]
            faults += [
                fault_at(
                    (field, index, "output"), f"{answer!r} is not one of the labels", hint=self._label_hint(answer)
                )
                for field, index, answer in answers
                if answer not in self.labels
            ]
            if isinstance(self.teacher, TemplateTeacherSpec):
                faults += [
                    fault_at(
                        ("teacher", "rules", index, "labels", rendered),
                        f"{label!r} is not one of the labels",
                        hint=self._label_hint(label),
                    )
                    for index, rule in enumerate(self.teacher.rules)
                    for rendered, label in (rule.labels or {}).items()
                    if label not in self.labels
                ]
        raise_faults(TaskFile, faults)
        return self

    def _label_hint(self, answer: str) -> str:
        return f"{did_you_mean(answer, list(self.labels or ()))} Labels are compared with their case.".strip()

    def _answer_or_none(self, example: Example) -> str | None:
        if "retrieval_examples" in self.model_fields_set:
            for bare in self.retrieval_examples:
                if bare.input == example.input:
                    return bare.output
        return _bare_answer(example.output, self.labels)

    def answer_of(self, example: Example) -> str:
        """The example's bare answer: its output, without the chain of thought of a reasoning task."""
        return (self._answer_or_none(example) if self.reasoning else None) or example.output

    def definition(self) -> dict[str, Any]:
        """The part that makes a task version, as plain JSON with every default resolved.

        Two files with equal definitions are the same version of the task, wherever their rows come from and whatever
        their teacher or student.
        """
        fields = {
            "instruction",
            "retrieval_instruction",
            "examples",
            "retrieval_examples",
            "labels",
            "reasoning",
            "notes",
        }
        return self.model_dump(mode="json", include=fields)
