"""The audit of a task: everything that can be said of its examples and their rows without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rebase_db.audit import texts
from rebase_db.audit.contamination import contamination
from rebase_db.audit.drift import drift
from rebase_db.audit.sources import concentration, mirrors
from rebase_db.audit.subject import find_subject

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.audit.finding import Finding


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found, in the order of the data; `publication` is None for a task's own examples."""

    task: str
    publication: str | None
    examples: int
    ranked: int
    findings: list[Finding]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "task": self.task,
            "publication": self.publication,
            "examples": self.examples,
            "ranked": self.ranked,
            "findings": [one.as_dict() for one in self.findings],
        }


def audit(connection: Connection, task: str, *, publication: str | None = None, own: bool = False) -> Report:
    """Audit a publication of a task, its newest unless one is named, or (`own`) the examples made here.

    Raises:
        UnknownNameError: There is no such task or publication, or nothing to audit.
    """
    subject = find_subject(connection, task, publication=publication, own=own)
    found: list[Finding | None] = []
    if subject.ranking:
        found.append(mirrors(subject))
    if subject.items:
        found += [drift(subject), *texts.repeats(subject), *texts.checked(subject)]
        found.append(texts.labels(subject))
    found += [concentration(subject), *contamination(connection, subject)]
    findings = [one for one in found if one is not None]
    return Report(task, subject.publication, len(subject.items), len(subject.ranking), findings)
