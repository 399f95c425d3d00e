"""The checks a task file can set: what is done about an example that fails one, and where the line is drawn."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from rebase_db.task.strict import Strict, Text, fault
from rebase_db.task.teachers import LanguageModelSpec

Action = Literal["reject", "warn", "off"]


class Check(Strict):
    """`reject` keeps a failing example out of training sets, `warn` only says so, `off` does not look."""

    action: Action = "reject"


class WarnCheck(Strict):
    """A check that keeps nothing out unless it is told to."""

    action: Action = "warn"


class CopiedExampleCheck(Check):
    """The input is a worked example of the prompt; `similarity` 1 means equal but for case, punctuation and spaces."""

    similarity: float = Field(default=1.0, gt=0, le=1)


class NearDuplicateCheck(WarnCheck):
    """Inputs share most of their words in order: `similarity` is the Jaccard index of their word triples."""

    similarity: float = Field(default=0.8, gt=0, le=1)


class CopiedSourceCheck(WarnCheck):
    """The input is a cell of its own row, hardly changed; `similarity` as for near duplicates."""

    similarity: float = Field(default=0.95, gt=0, le=1)


class LanguageCheck(WarnCheck):
    """Input and rationale are in one of `languages` (ISO 639-1 codes); without any, that of the task's examples.

    What is shorter than `min_characters` is not judged: nobody can tell.
    """

    languages: tuple[Text, ...] = ()
    min_characters: int = Field(default=40, ge=1)
    confidence: float = Field(default=0.9, gt=0, le=1)


class LengthCheck(WarnCheck):
    """Characters of input and output.

    By default an input is at most ten times as long as the longest worked example's, and at least a tenth of the
    shortest's.
    """

    min_input: int | None = Field(default=None, ge=1)
    max_input: int | None = Field(default=None, ge=1)
    max_output: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_input is not None and self.max_input is not None and self.min_input > self.max_input:
            raise fault("has a min_input above its max_input")
        return self


class ContaminationCheck(Check):
    """Word n-grams shared with a registered benchmark.

    An item counts as seen when at least `overlap` of its n-grams of `words` words are there; items shorter than that
    when they are there whole.
    """

    words: int = Field(default=13, ge=3, le=50)
    overlap: float = Field(default=0.0, ge=0, le=1)


class BenchmarkSimilarityCheck(Strict):
    """Cosine with the nearest item of a registered benchmark, under the task's encoder; costs embedding both."""

    action: Action = "off"
    similarity: float = Field(default=0.9, gt=0, le=1)


class Judge(Check):
    """A language model is asked whether the example fits the task, from 1 (not at all) to 5 (fully).

    Fewer points than `points` fail. Its calls count against the task's budget.
    """

    model: LanguageModelSpec
    points: int = Field(default=3, ge=1, le=5)


class Checks(Strict):
    """What is checked of every example. Contamination is looked for in the example and in its source row apart."""

    label: Check = Check()
    copied_example: CopiedExampleCheck = CopiedExampleCheck()
    duplicate: Check = Check()
    near_duplicate: NearDuplicateCheck = NearDuplicateCheck()
    duplicate_elsewhere: WarnCheck = WarnCheck()
    copied_source: CopiedSourceCheck = CopiedSourceCheck()
    missing_options: Check = Check()
    leftovers: Check = Check()
    language: LanguageCheck = LanguageCheck()
    length: LengthCheck = LengthCheck()
    contaminated_example: ContaminationCheck = ContaminationCheck()
    contaminated_source: ContaminationCheck = ContaminationCheck()
    similar_to_benchmark: BenchmarkSimilarityCheck = BenchmarkSimilarityCheck()
    source_similar_to_benchmark: BenchmarkSimilarityCheck = BenchmarkSimilarityCheck()
    judge: Judge | None = None
