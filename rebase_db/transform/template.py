"""A teacher without an LLM: rules of the task file render rows of known shape into examples."""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rebase_db.hashing import canonical_json, content_hash
from rebase_db.task.labels import match_label
from rebase_db.task.teachers import TemplateRule, TemplateTeacherSpec, rule_environment
from rebase_db.transform.provider import Reply, Usage
from rebase_db.transform.teacher import (
    Answer,
    ParsedExample,
    Prepared,
    PromptTemplate,
    Reading,
    Rejection,
    RejectReason,
    SourceRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jinja2 import Template


class TemplateTeacher:
    """Answers each row by the first rule that fits it; the reply is what it rendered, before its label map."""

    def __init__(self, spec: TemplateTeacherSpec) -> None:
        self._rules_json = [rule.model_dump(mode="json") for rule in spec.rules]
        environment = rule_environment()
        self._rules = [
            (rule, environment.from_string(rule.input), environment.from_string(rule.output)) for rule in spec.rules
        ]

    @property
    def identity(self) -> dict[str, Any]:
        """The rules are what shapes the answers."""
        return {
            "provider": "template",
            "model": "jinja",
            "endpoint": None,
            "sampling": {},
            "rules": self._rules_json,
        }

    @property
    def prompt(self) -> PromptTemplate:
        """The rules as canonical JSON."""
        return PromptTemplate("template-rules-v1", canonical_json(self._rules_json))

    @property
    def in_flight(self) -> int:
        """One: rows are answered one after the other."""
        return 1

    @property
    def whole_row_bytes(self) -> int:
        """No row is ever cut."""
        return sys.maxsize

    def price(self, prompt_tokens: int, answer_tokens: int) -> Decimal:
        """Nothing."""
        return (prompt_tokens + answer_tokens) * Decimal(0)

    def prompt_tokens(self, _: Prepared) -> int:
        """None: nobody is asked."""
        return 0

    @property
    def reusable(self) -> bool:
        """Rendering again costs less than looking for what was rendered."""
        return False

    def prepare(self, row: SourceRow) -> Prepared:
        """The row as it is; its hash is over all that a rule can see."""
        digest = content_hash("prompt-row/v1", {"dataset": row.dataset, "columns": dict(row.columns)})
        return Prepared(row, digest, messages=[], cuts={}, most=Usage(0, 0, Decimal(0)))

    def answer(self, prepared: Iterable[Prepared]) -> Iterator[Answer]:
        """One answer for each row, in their order."""
        for one in prepared:
            started = time.perf_counter()
            raw, outcome = self._apply(one.row)
            seconds = time.perf_counter() - started
            yield _answer(one, Reply(one.link_id, raw, seconds, usage=Usage(0, 0, Decimal(0))), outcome)

    def read(self, prepared: Prepared, reply: Reply) -> Answer:
        """What the rules make of the row: they say the same each time."""
        return _answer(prepared, reply, self._apply(prepared.row)[1])

    def close(self) -> None:
        """Nothing is held."""

    def _apply(self, row: SourceRow) -> tuple[str | None, ParsedExample | Rejection]:
        first = next((compiled for compiled in self._rules if _fits(compiled[0], row)), None)
        if first is None:
            columns = ", ".join(row.columns) or "none"
            return None, Rejection(RejectReason.NO_RULE_FITS, f"{row.dataset} has the columns {columns}")
        rule, input_template, output_template = first
        try:
            rendered_input, rendered_output = _render(input_template, row), _render(output_template, row)
        except Exception as error:  # noqa: BLE001 - a template is code of the user's and can fail in any way
            return None, Rejection(RejectReason.TEMPLATE_ERROR, f"{type(error).__name__}: {error}")
        raw = json.dumps({"input": rendered_input, "output": rendered_output}, ensure_ascii=False)
        for field, text in (("input", rendered_input), ("output", rendered_output)):
            if not text:
                return raw, Rejection(RejectReason.EMPTY_FIELD, f"{field} is empty")
        label = _label(rule, rendered_output)
        return raw, label if isinstance(label, Rejection) else ParsedExample(rendered_input, label)


def _answer(prepared: Prepared, reply: Reply, outcome: ParsedExample | Rejection) -> Answer:
    if isinstance(outcome, Rejection):
        return Answer(prepared, reply, reject_reason=str(outcome))
    return Answer(prepared, reply, parsed=outcome, reading=Reading.STRICT)


def _label(rule: TemplateRule, rendered: str) -> str | Rejection:
    if rule.labels is None:
        return rendered
    key = match_label(rendered, rule.labels)
    return Rejection(RejectReason.LABEL_NOT_MAPPED, repr(rendered)) if key is None else rule.labels[key]


def _fits(rule: TemplateRule, row: SourceRow) -> bool:
    named = not rule.datasets or any(fnmatchcase(row.dataset, glob) for glob in rule.datasets)
    return named and all(column in row.columns for column in rule.columns)


def _render(template: Template, row: SourceRow) -> str:
    columns = dict(row.columns)
    return template.render({**columns, "row": columns}).strip()
