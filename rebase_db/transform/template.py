"""A teacher without an LLM: rules of the task file render rows of known shape into examples."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rebase_db.hashing import canonical_json, content_hash
from rebase_db.task.labels import match_label
from rebase_db.task.teachers import TemplateRule, TemplateTeacherSpec, rule_environment
from rebase_db.transform.teacher import (
    Answer,
    ParsedExample,
    PromptTemplate,
    Rejection,
    RejectReason,
    SourceRow,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Template


class TemplateTeacher:
    """Answers each row by the first rule that fits it; `raw` is what that rule rendered, before its label map."""

    def __init__(self, spec: TemplateTeacherSpec, labels: tuple[str, ...] | None) -> None:
        self._labels = labels
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

    def answer(self, rows: Sequence[SourceRow]) -> Iterator[Answer]:
        """One answer for each row, in their order."""
        for row in rows:
            started = time.perf_counter()
            raw, outcome = self._apply(row)
            yield Answer(
                link_id=row.link_id,
                prompt_hash=content_hash("prompt-row/v1", {"dataset": row.dataset, "columns": dict(row.columns)}),
                raw=raw,
                finish_reason=None,
                usage=Usage(cost=Decimal(0)),
                latency_seconds=time.perf_counter() - started,
                parsed=outcome if isinstance(outcome, ParsedExample) else None,
                reject_reason=str(outcome) if isinstance(outcome, Rejection) else None,
            )

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
        label = self._label(rule, rendered_output)
        return raw, label if isinstance(label, Rejection) else ParsedExample(rendered_input, label)

    def _label(self, rule: TemplateRule, rendered: str) -> str | Rejection:
        output = rendered
        if rule.labels is not None:
            key = match_label(rendered, rule.labels)
            if key is None:
                return Rejection(RejectReason.LABEL_NOT_MAPPED, repr(rendered))
            output = rule.labels[key]
        if self._labels is None:
            return output
        return match_label(output, self._labels) or Rejection(RejectReason.LABEL_NOT_IN_SET, repr(output))


def _fits(rule: TemplateRule, row: SourceRow) -> bool:
    named = not rule.datasets or any(fnmatchcase(row.dataset, glob) for glob in rule.datasets)
    return named and all(column in row.columns for column in rule.columns)


def _render(template: Template, row: SourceRow) -> str:
    columns = dict(row.columns)
    return template.render({**columns, "row": columns}).strip()
