"""What an audit says of the examples' texts: repeats, copies of the prompt's own examples, leftovers, labels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rebase_db.audit.finding import SAMPLES, Finding, short
from rebase_db.check.duplicates import Ranked, find_duplicates
from rebase_db.check.make import example_checks
from rebase_db.check.near_duplicates import find_near_duplicates
from rebase_db.check.verdict import Candidate
from rebase_db.task.labels import final_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rebase_db.audit.subject import Subject
    from rebase_db.check.verdict import Finding as Checked

_LOOKED_FOR = {
    "copied_example": "are a worked example of the prompt, case and punctuation aside",
    "missing_options": "list no options though the task is multiple choice, or have an answer that is none of them",
    "leftovers": "hold what belongs to their making: escapes, quotes, pieces of the prompt, cuts",
}
_FEW = 0.5
"""A label with less than this part of an even share is called rare."""


def repeats(subject: Subject) -> Iterator[Finding]:
    """Inputs that an earlier example has too, and those that share most of their word triples with an earlier one's."""
    ranked = [Ranked(item.number, item.place, item.input, item.output) for item in subject.items]
    found = find_duplicates(ranked)
    failed = {number: one for number, one in found.items() if one.failed}
    verbatim = [one for one in failed.values() if one.evidence["how"] == "verbatim"]
    pairs = sum(one.evidence["same_output"] for one in verbatim)
    says = (
        f"{len(failed):,} of {len(found):,} inputs repeat an earlier one: {len(verbatim):,} verbatim, of which"
        f" {pairs:,} repeat the output as well."
    )
    numbers = {"verbatim": len(verbatim), "verbatim_with_output": pairs}
    yield Finding("duplicates", len(failed), len(found), says, samples=_of_pairs(subject, failed), numbers=numbers)
    least = subject.checks.near_duplicate.similarity
    near = find_near_duplicates(ranked, least)
    only = {number: one for number, one in near.items() if one.failed and number not in failed}
    says = f"{len(only):,} more are nearly an earlier one: {least:.0%} of their word triples or more are shared."
    yield Finding("near duplicates", len(only), len(near), says, samples=_of_pairs(subject, only))


def checked(subject: Subject) -> Iterator[Finding]:
    """What the checks of single examples find, of those the task gives occasion for."""
    # The label is looked at with the balance of labels: the outputs here hold rationale and answer in one.
    for check in example_checks(subject.checks, subject.facts):
        name = check.definition.name
        if name not in _LOOKED_FOR:
            continue
        failed: dict[int, Checked] = {}
        for item in subject.items:
            finding = check.find(Candidate(item.number, item.input, item.output, None, {}))
            if finding.failed:
                failed[item.number] = finding
        kinds: Counter[str] = Counter(kind for one in failed.values() for kind in _kinds(one.evidence))
        says = f"{len(failed):,} of {len(subject.items):,} {_LOOKED_FOR[name]}."
        shown = [f"{kind.replace('_', ' ')}: {count:,}" for kind, count in kinds.most_common()]
        samples = [
            f"{subject.reference(number)} {short(str(one.evidence.get('text', '')))}".rstrip()
            for number, one in list(failed.items())[:SAMPLES]
        ]
        sure = "exact" if name == "copied_example" else "by patterns, see Checks in the documentation"
        lines = [", ".join(shown)] if shown else []
        title = name.replace("_", " ").replace("copied example", "copied examples")
        yield Finding(title, len(failed), len(subject.items), says, sure, lines, samples, {"kinds": dict(kinds)})


def labels(subject: Subject) -> Finding | None:
    """How often each label is the answer; None for a task without labels."""
    if not subject.labels or not subject.items:
        return None
    counts: Counter[str] = Counter(dict.fromkeys(subject.labels, 0))
    without: list[int] = []
    for item in subject.items:
        label = final_label(item.output, subject.labels)
        if label is None:
            without.append(item.number)
        else:
            counts[label] += 1
    total = len(subject.items)
    found = counts.total() or 1
    missing = [label for label, count in counts.items() if not count]
    rare = [label for label, count in counts.items() if 0 < count / found < _FEW / len(counts)]
    shown = ", ".join(f"{label} {count / total:.0%} ({count:,})" for label, count in counts.most_common())
    tail = "".join(
        f" {', '.join(names)} {'is' if len(names) == 1 else 'are'} {what}."
        for names, what in ((rare, "rare"), (missing, "missing"))
        if names
    )
    says = f"{shown}; {len(without):,} end{'s' * (len(without) == 1)} in no label.{tail}"
    samples = [subject.reference(number) + " ends in no label" for number in without[:SAMPLES]]
    numbers = {"labels": dict(counts), "no_label": len(without), "rare": rare, "missing": missing}
    sure = "by the last words of the output"
    few = len(rare) + len(missing)
    return Finding("rare or missing labels", few, len(counts), says, sure, [], samples, numbers)


def _of_pairs(subject: Subject, failed: Mapping[int, Checked]) -> list[str]:
    return [
        f"{subject.reference(number)} = {one.other_example_id} “{short(str(one.evidence['text']), 50)}”"
        for number, one in list(failed.items())[:SAMPLES]
    ]


def _kinds(evidence: Mapping[str, Any]) -> list[str]:
    if "found" in evidence:
        return sorted({str(one["kind"]) for one in evidence["found"]})
    return [str(evidence["how"])] if "how" in evidence else []
