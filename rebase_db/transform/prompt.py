"""The messages an LLM teacher is sent for a row: the task first, alike for all rows, and the row last."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from rebase_db.hashing import content_hash
from rebase_db.transform.answer import answer_keys
from rebase_db.transform.data import CUT_MARK, as_data, row_as_data
from rebase_db.transform.teacher import PromptTemplate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rebase_db.task.file import TaskFile
    from rebase_db.transform.provider import Messages

REWRITE = "rewrite-v2"
"""The template that teachers are sent unless another is named."""


def load_template(name: str) -> PromptTemplate:
    """A template of this package by its name, which ends in its version.

    Raises:
        FileNotFoundError: There is none of this name.
    """
    path = resources.files(__package__).joinpath("prompts", f"{name}.j2")
    return PromptTemplate(name, path.read_text(encoding="utf-8"))


def prompt_hash(messages: Messages, schema: Mapping[str, Any]) -> bytes:
    """32 bytes over all that is asked, the answer's JSON schema included (tag `prompt/v2`).

    Equal prompts to equal teachers need asking only once.
    """
    return content_hash("prompt/v2", {"messages": messages, "schema": schema})


@dataclass(frozen=True, slots=True)
class _Row:
    columns: Mapping[str, str]
    cut: Collection[str]


def _data(value: object) -> str:
    return row_as_data(value.columns, value.cut) if isinstance(value, _Row) else as_data(value)


class Blocks:
    """A template compiled: its blocks `system` and `user` become the two messages."""

    def __init__(self, template: PromptTemplate) -> None:
        # The messages are read by a model, not by a browser; what data may spell is decided by `as_data`.
        environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
        environment.filters["data"] = _data
        self._compiled = environment.from_string(template.text)

    def messages(self, **values: object) -> Messages:
        """The system and the user message."""
        context = self._compiled.new_context(values)
        blocks = self._compiled.blocks
        return [{"role": role, "content": "".join(blocks[role](context)).strip()} for role in ("system", "user")]


def task_values(task: TaskFile) -> dict[str, Any]:
    """What templates are told of a task; its examples have the keys of an answer, in that order."""
    return {
        "instruction": task.instruction,
        "notes": task.notes,
        "labels": task.labels,
        "reasoning": task.reasoning,
        "examples": [
            {"input": example.input}
            | ({"rationale": example.output} if task.reasoning else {})
            | {"output": task.answer_of(example)}
            for example in task.examples
        ],
    }


class RewritePrompt:
    """The prompt of one task.

    The system message says how to rewrite, the user message holds task, notes, labels and examples and ends in the row,
    so that all rows of a task share the longest prefix. The row's dataset is not named: equal rows have equal prompts.
    The template is the one of this name, or `template` as it was stored.
    """

    def __init__(self, task: TaskFile, name: str = REWRITE, *, template: PromptTemplate | None = None) -> None:
        self.template = template or load_template(name)
        self._blocks = Blocks(self.template)
        self._values = {
            **task_values(task),
            "keys": answer_keys(reasoning=task.reasoning),
            "cut_mark": CUT_MARK,
        }

    def messages(self, columns: Mapping[str, str], cut: Collection[str] = ()) -> Messages:
        """The system and the user message for a row; the cells named in `cut` are marked as shortened."""
        return self._blocks.messages(**self._values, row=_Row(columns, cut))
