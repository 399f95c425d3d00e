"""What a teacher is: it takes source rows and gives answers, each tied to the row it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from rebase_db.errors import TaskError
from rebase_db.hashing import content_hash
from rebase_db.task.strict import UNSTORABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from decimal import Decimal

    from rebase_db.task.file import TaskFile
    from rebase_db.task.teachers import LanguageModelSpec
    from rebase_db.transform.provider import Messages, Provider, Reply, Usage

_DETAIL = 200


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A retrieved row; `columns` in source order, without those that are null.

    `relevance` is each column's nearness to the task (the better of its cosines with the task's mean input and mean
    output); it is there for rows so long that they may have to be cut.
    """

    link_id: int
    dataset: str
    config: str
    columns: Mapping[str, str]
    relevance: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class ParsedExample:
    """An example of the task as the teacher gave it; `output` is the bare answer, spelled as in the label set."""

    input: str
    output: str
    rationale: str | None = None


class Reading(StrEnum):
    """How an answer was read: as it stands, out of a code fence, out of other words, or after mending its JSON."""

    STRICT = "strict"
    FENCED = "fenced"
    EMBEDDED = "embedded"
    REPAIRED = "repaired"


class RejectReason(StrEnum):
    """Why an answer is no example: the part of `Answer.reject_reason` before the colon."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    SEVERAL_OBJECTS = "several_objects"
    CODE_FENCE = "code_fence"
    WRONG_KEYS = "wrong_keys"
    WRONG_TYPE = "wrong_type"
    EMPTY_FIELD = "empty_field"
    CUT = "cut"
    REFUSAL = "refusal"
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
class Cut:
    """Characters that were kept of a cell too long for the prompt; 0 of one that was left out."""

    kept: int
    of: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row made ready for asking.

    Attributes:
        row: The row, whole.
        prompt_hash: 32 bytes over all that the teacher will see: equal ones need asking only once.
        messages: What a language model is sent; none for a teacher that is none.
        cuts: Cells that were shortened, by column.
        most: The most that asking once can take; its cost is None where no price is known.
    """

    row: SourceRow
    prompt_hash: bytes
    messages: Messages
    cuts: Mapping[str, Cut]
    most: Usage

    @property
    def link_id(self) -> int:
        """The row's link."""
        return self.row.link_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one row: an example, a rejection, or the reply's error.

    `reading` says how the example was read out of the reply. `reused_from` is the generation whose reply this is, when
    it was given and paid for before.
    """

    prepared: Prepared
    reply: Reply
    parsed: ParsedExample | None = None
    reading: Reading | None = None
    reject_reason: str | None = None
    reused_from: int | None = None

    def __post_init__(self) -> None:
        if sum(outcome is not None for outcome in (self.parsed, self.reject_reason, self.reply.error)) != 1:
            raise ValueError(f"link {self.link_id}: an answer has exactly one of parsed, reject_reason and error")
        if (self.reading is None) != (self.parsed is None):
            raise ValueError(f"link {self.link_id}: an example, and only an example, was read in some way")

    @property
    def link_id(self) -> int:
        """The link it was made for."""
        return self.prepared.link_id


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
    answers, and no secret. A `template` teacher's has its rules too. `in_flight` is how many rows it is kept busy with.
    Rows of no more than `whole_row_bytes` of UTF-8 never have to be cut.
    """

    @property
    def identity(self) -> dict[str, Any]: ...  # noqa: D102 - see the class

    @property
    def prompt(self) -> PromptTemplate: ...  # noqa: D102 - see the class

    @property
    def in_flight(self) -> int: ...  # noqa: D102 - see the class

    @property
    def whole_row_bytes(self) -> int: ...  # noqa: D102 - see the class

    def price(self, prompt_tokens: int, answer_tokens: int) -> Decimal | None:
        """What so many tokens cost; None where no price is known."""
        ...

    def prompt_tokens(self, prepared: Prepared) -> int:
        """Tokens of a row's prompt, counted or estimated."""
        ...

    @property
    def reusable(self) -> bool:
        """Whether asking costs enough to look for stored answers first."""
        ...

    def prepare(self, row: SourceRow) -> Prepared:
        """A row made ready for asking, cut where it must be."""
        ...

    def answer(self, prepared: Iterable[Prepared]) -> Iterator[Answer]:
        """One answer for each row, in the order they are done; closing the iterator drops what is still asked.

        The next row is taken when there is room for it, maybe in another thread.

        Raises:
            TeacherError: The teacher refuses to serve at all; rows without an answer by then have none.
        """
        ...

    def read(self, prepared: Prepared, reply: Reply) -> Answer:
        """What a reply, given now or before, makes of a row."""
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


def make_teacher(task: TaskFile, provider_of: Callable[[LanguageModelSpec], Provider] | None = None) -> Teacher:
    """The teacher the task file names; a language model is got from `provider_of`, or loaded for it alone.

    Raises:
        TaskError: It names none.
        TeacherError: It cannot be had here: no key in the environment, no such model, no room for the task's prompt.
    """
    from rebase_db.task.teachers import TemplateTeacherSpec

    if task.teacher is None:
        raise TaskError(f"task {task.name} has no teacher", hint="Add a `teacher:` section to its task file.")
    if isinstance(task.teacher, TemplateTeacherSpec):
        from rebase_db.transform.template import TemplateTeacher

        return TemplateTeacher(task.teacher)
    from rebase_db.transform.language_model import LanguageModelTeacher

    return LanguageModelTeacher(task, (provider_of or make_provider)(task.teacher))


def make_provider(spec: LanguageModelSpec) -> Provider:
    """The language model a teacher's or a judge's section names.

    Raises:
        TeacherError: It cannot be had here: no key in the environment, no such model.
    """
    from rebase_db.task.teachers import OpenAITeacherSpec, TransformersTeacherSpec, VLLMTeacherSpec

    match spec:
        case OpenAITeacherSpec():
            from rebase_db.transform.providers.openai_server import OpenAIServer

            return OpenAIServer(spec)
        case VLLMTeacherSpec():
            from rebase_db.transform.providers.vllm_engine import VLLMEngine

            return VLLMEngine(spec)
        case TransformersTeacherSpec():
            from rebase_db.transform.providers.transformers_model import TransformersModel

            return TransformersModel(spec)
