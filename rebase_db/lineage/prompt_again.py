"""The prompt of a call, made again: only its hash was stored, which says whether it is the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from rebase_db.schema import Generation, Prompt, RetrievalLink, SourceRow, Teacher
from rebase_db.task.file import TaskFile
from rebase_db.task.store import DEFINITION, version_file
from rebase_db.transform.answer import answer_schema
from rebase_db.transform.prompt import RewritePrompt, prompt_hash
from rebase_db.transform.rows import RowReader
from rebase_db.transform.teacher import PromptTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from rebase_db.transform.provider import Messages

_WHOLE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PromptAgain:
    """A prompt made again from template, task version and row.

    Args:
        messages: What it says; empty where it cannot be made.
        agrees: Whether its hash is that of the call, and so it is what was sent.
        reason: Why there is none, or why it may differ; empty where it agrees.
    """

    messages: Messages
    agrees: bool
    reason: str = ""


def prompt_again(connection: Connection, generation_id: int) -> PromptAgain:
    """Make the prompt of a call again."""
    call = connection.execute(
        select(
            Generation.link_id,
            Generation.prompt_hash,
            Generation.cuts,
            Teacher.provider,
            Prompt.name,
            Prompt.template,
            RetrievalLink.task_version_id,
            SourceRow.erased_by,
        )
        .join(Teacher, Teacher.teacher_id == Generation.teacher_id)
        .join(Prompt, Prompt.prompt_id == Generation.prompt_id)
        .join(RetrievalLink, RetrievalLink.link_id == Generation.link_id)
        .join(
            SourceRow,
            (SourceRow.dataset_id == RetrievalLink.dataset_id) & (SourceRow.row_id == RetrievalLink.row_id),
        )
        .where(Generation.generation_id == generation_id)
    ).one()
    if call.provider == "template":
        return PromptAgain([], agrees=False, reason="a template teacher is sent no prompt; its rules are the template")
    if call.erased_by is not None:
        return PromptAgain([], agrees=False, reason=f"the row was erased by retraction {call.erased_by}")
    stored = version_file(connection, call.task_version_id)
    # Not the task's other settings, which may be of a version that this one does not fit.
    task = TaskFile.model_validate({name: stored[name] for name in ("name", *DEFINITION)})
    (row,) = RowReader().read(connection, [call.link_id], _WHOLE)
    cuts: Mapping[str, list[int]] = call.cuts or {}
    # A cut keeps the beginning of a cell; one that keeps nothing left the column out.
    columns = {
        name: words[: cuts[name][0]] if name in cuts else words
        for name, words in row.columns.items()
        if name not in cuts or cuts[name][0]
    }
    template = PromptTemplate(call.name, call.template)
    messages = RewritePrompt(task, template=template).messages(columns, frozenset(cuts) & frozenset(columns))
    agrees = prompt_hash(messages, answer_schema(task.labels, reasoning=task.reasoning)) == call.prompt_hash
    return PromptAgain(messages, agrees, "" if agrees else "another version of the code made it, or a record lies")
