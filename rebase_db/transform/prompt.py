"""The messages an LLM teacher is sent for a row: the task first, alike for all rows, and the row last."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from rebase_db.hashing import content_hash
from rebase_db.transform.answer import answer_keys
from rebase_db.transform.teacher import PromptTemplate, SourceRow

if TYPE_CHECKING:
    from rebase_db.task.file import TaskFile

Messages = list[dict[str, str]]

_NAME = "rewrite-v1"


def as_data(value: object) -> str:
    """`value` as one line of JSON in which no markup can be spelled.

    Angle brackets and ampersands become JSON escapes, so no text in `value` can close the delimiter around it.
    """
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def prompt_hash(messages: Messages) -> bytes:
    """32 bytes over the rendered messages: equal prompts to equal teachers need asking only once."""
    return content_hash("prompt/v1", messages)


class RewritePrompt:
    """The prompt of one task.

    The system message says how to rewrite, the user message holds task, notes, labels and examples and ends in the row,
    so that all rows of a task share the longest prefix. The row's dataset is not named: equal rows have equal prompts.
    """

    def __init__(self, task: TaskFile) -> None:
        text = resources.files(__package__).joinpath("prompts", f"{_NAME}.j2").read_text(encoding="utf-8")
        self.template = PromptTemplate(_NAME, text)
        # The messages are read by a model, not by a browser; what a row may spell is decided by `as_data`.
        environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
        environment.filters["data"] = as_data
        self._blocks = environment.from_string(text)
        self._task: dict[str, Any] = {
            "instruction": task.instruction,
            "notes": task.notes,
            "labels": task.labels,
            "reasoning": task.reasoning,
            "keys": answer_keys(reasoning=task.reasoning),
            "examples": [
                {"input": example.input}
                | ({"rationale": example.output} if task.reasoning else {})
                | {"output": task.answer_of(example)}
                for example in task.examples
            ],
        }

    def messages(self, row: SourceRow) -> Messages:
        """The system and the user message for `row`."""
        context = self._blocks.new_context({**self._task, "row": dict(row.columns)})
        blocks = self._blocks.blocks
        return [{"role": role, "content": "".join(blocks[role](context)).strip()} for role in ("system", "user")]
