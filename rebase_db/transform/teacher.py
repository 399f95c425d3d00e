"""What a teacher is: it takes source rows and gives answers, each tied to the row it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from rebase_db.errors import TaskError
from rebase_db.hashing import content_hash
from rebase_db.task.strict import UNSTORABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from rebase_db.task.file import TaskFile

_DETAIL = 200


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A retrieved row; `columns` in source order, without those that are null."""

    link_id: int
    dataset: str
    config: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took; None where the server did not say, or no price is known."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ParsedExample:
    """An example of the task as the teacher gave it; `output` is the bare answer, spelled as in the label set."""

    input: str
    output: str
    rationale: str | None = None


class RejectReason(StrEnum):
    """Why an answer is no example: the part of `Answer.reject_reason` before the colon."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    WRONG_KEYS = "wrong_keys"
    WRONG_TYPE = "wrong_type"
    EMPTY_FIELD = "empty_field"
    CUT = "cut"
    REFUSAL = "refusal"
    LABEL_NOT_IN_SET = "label_not_in_set"
    LABEL_NOT_MAPPED = "label_not_mapped"
    NO_RULE_FITS = "no_rule_fits"
    TEMPLATE_ERROR = "template_error"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A named reason and what was seen; `str()` of it is `reason: detail`, at most a few hundred characters."""

    reason: RejectReason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {shorten(self.detail)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one row: exactly one of `parsed`, `reject_reason` and `error` is there.

    `raw` is the teacher's text, kept also when it is rejected. An `error` means there is no answer; `retry_after`
    (seconds) comes with an error that asking again may mend.
    """

    link_id: int
    prompt_hash: bytes
    raw: str | None
    finish_reason: str | None
    usage: Usage
    latency_seconds: float
    error: str | None = None
    retry_after: float | None = None
    parsed: ParsedExample | None = None
    reject_reason: str | None = None

    def __post_init__(self) -> None:
        if sum(outcome is not None for outcome in (self.parsed, self.reject_reason, self.error)) != 1:
            raise ValueError(f"link {self.link_id}: an answer has exactly one of parsed, reject_reason and error")
        if self.retry_after is not None and self.error is None:
            raise ValueError(f"link {self.link_id}: only an error can be retried")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What a teacher is told about every row alike; `name` ends in the version."""

    name: str
    text: str

    @property
    def content_hash(self) -> bytes:
        """32 bytes over name and text (tag `prompt-template/v1`)."""
        return content_hash("prompt-template/v1", {"name": self.name, "text": self.text})


class Teacher(Protocol):
    """Turns rows into answers.

    `identity` is plain JSON with the keys provider, model, endpoint and sampling: all of the teacher that shapes its
    answers, and no secret. A `template` teacher's has its rules too.
    """

    @property
    def identity(self) -> dict[str, Any]: ...  # noqa: D102 - see the class

    @property
    def prompt(self) -> PromptTemplate: ...  # noqa: D102 - see the class

    def answer(self, rows: Sequence[SourceRow]) -> Iterator[Answer]:
        """One answer for each row, in the order they are done; closing the iterator drops what is still asked.

        Raises:
            TeacherError: The teacher refuses to serve at all; rows without an answer by then have none.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads; further calls of `answer` fail."""
        ...


def storable(text: str) -> str:
    """`text` with U+FFFD for NULs and halves of surrogate pairs, which no database text can hold."""
    return UNSTORABLE.sub("\ufffd", text)


def shorten(text: str, limit: int = _DETAIL) -> str:
    """`text` on one line, cut to `limit` characters and storable: for a message or a reason."""
    line = " ".join(storable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def make_teacher(task: TaskFile) -> Teacher:
    """The teacher the task file names.

    Raises:
        TaskError: It names none.
        TeacherError: The environment variable with its key is not set.
    """
    from rebase_db.task.teachers import OpenAITeacherSpec, TemplateTeacherSpec

    match task.teacher:
        case TemplateTeacherSpec() as spec:
            from rebase_db.transform.template import TemplateTeacher

            return TemplateTeacher(spec, task.labels)
        case OpenAITeacherSpec() as spec:
            from rebase_db.transform.openai_server import OpenAIServerTeacher

            return OpenAIServerTeacher(spec, task)
        case None:
            raise TaskError(f"task {task.name} has no teacher", hint="Add a `teacher:` section to its task file.")
