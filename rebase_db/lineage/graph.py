"""A trace as text for other programs: JSON, Mermaid, Graphviz. Arrows go as data went, whichever way was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rebase_db.lineage.trace import Step, Trace


def as_json(trace: Trace) -> dict[str, Any]:
    """Records by reference, and the steps of both directions between them."""
    return {
        "reference": trace.start.reference,
        "records": {
            record.reference: {"kind": record.kind, "description": record.description} for record in trace.records()
        },
        "up": [_plain(step) for step in trace.up],
        "down": [_plain(step) for step in trace.down],
        "unfollowed": trace.unfollowed,
    }


def _plain(step: Step) -> dict[str, Any]:
    if step.to is None:
        return {"from": step.record.reference, "kind": step.kind, "others": step.others}
    return {"from": step.record.reference, "to": step.to.reference, "kind": step.kind, "role": step.role}


def as_mermaid(trace: Trace) -> str:
    """A flowchart, as Markdown viewers draw it."""

    def quoted(words: str) -> str:
        # As numbered entities, whatever might be markup to Mermaid or to HTML.
        safe = "".join(c if c.isalnum() or c in " .,:/-_…→()" else f"#{ord(c)};" for c in words.replace("\n", " "))
        return f'"{safe}"'

    lines = ["flowchart LR"]
    for name, words, others in _boxes(trace, "<br/>", quoted):
        lines.append(f"    {name}{{{{{words}}}}}" if others else f"    {name}[{words}]")
    for parent, child, role in _arrows(trace):
        lines.append(f"    {parent} -->|{quoted(role)}| {child}" if role else f"    {parent} --> {child}")
    return "\n".join(lines)


def as_dot(trace: Trace) -> str:
    """A digraph for Graphviz."""

    def quoted(words: str) -> str:
        return '"' + words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'

    lines = ["digraph lineage {", "    rankdir=LR;", "    node [shape=box];"]
    for name, words, others in _boxes(trace, "\\n", quoted):
        lines.append(f"    {name} [label={words}{', style=dashed' if others else ''}];")
    for parent, child, role in _arrows(trace):
        lines.append(f"    {parent} -> {child}{f' [label={quoted(role)}]' if role else ''};")
    return "\n".join([*lines, "}"])


def _boxes(trace: Trace, line_end: str, quoted: Callable[[str], str]) -> Iterator[tuple[str, str, bool]]:
    """Each record, and each group of others that were not followed: a name, the words in quotes, and which it is."""
    names = _names(trace)
    for record in trace.records():
        words = quoted(record.reference)
        if record.description:
            words = f"{words[:-1]}{line_end}{quoted(record.description)[1:]}"
        yield names[record.reference], words, False
    for number, step in enumerate(_others(trace), 1):
        yield f"m{number}", quoted(f"… {step.others:,} more: {step.kind}"), True


def _arrows(trace: Trace) -> Iterator[tuple[str, str, str]]:
    """Parent, child and role of every step; a step that both directions found comes once."""
    names = _names(trace)
    drawn = dict.fromkeys(
        [(names[step.to.reference], names[step.record.reference], step.role or "") for step in trace.up if step.to]
        + [(names[step.record.reference], names[step.to.reference], step.role or "") for step in trace.down if step.to]
    )
    yield from drawn
    for number, step in enumerate(_others(trace), 1):
        ends = (f"m{number}", names[step.record.reference])
        yield (*ends, "") if step in trace.up else (ends[1], ends[0], "")


def _names(trace: Trace) -> dict[str, str]:
    return {record.reference: f"r{number}" for number, record in enumerate(trace.records(), 1)}


def _others(trace: Trace) -> list[Step]:
    return [step for step in (*trace.up, *trace.down) if step.to is None]
