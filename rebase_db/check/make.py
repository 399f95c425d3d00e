from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.check.copied_example import CopiedExample
from rebase_db.check.copied_source import CopiedSource
from rebase_db.check.label import Label
from rebase_db.check.language import Language
from rebase_db.check.leftovers import Leftovers
from rebase_db.check.length import Length
from rebase_db.check.missing_options import MissingOptions, is_multiple_choice

if TYPE_CHECKING:
    from rebase_db.check.verdict import ExampleCheck, TaskFacts
    from rebase_db.task.checks import Checks


def example_checks(checks: Checks, facts: TaskFacts) -> list[ExampleCheck]:
    """The checks of a task that need no other example.

    Left out are those that are off, and those the task gives no occasion for: labels where it has none, options where
    it is not multiple choice.
    """
    made: list[ExampleCheck] = []
    if checks.label.action != "off" and facts.labels:
        made.append(Label(checks.label, facts.labels))
    if checks.copied_example.action != "off" and facts.examples:
        made.append(CopiedExample(checks.copied_example, facts))
    if checks.copied_source.action != "off":
        made.append(CopiedSource(checks.copied_source))
    if checks.missing_options.action != "off" and is_multiple_choice(facts):
        made.append(MissingOptions(checks.missing_options))
    if checks.leftovers.action != "off":
        made.append(Leftovers(checks.leftovers, facts))
    if checks.language.action != "off":
        made.append(Language(checks.language, facts))
    if checks.length.action != "off":
        made.append(Length(checks.length, facts))
    return made
