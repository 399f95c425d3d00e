"""What the dataset card and the model card have in common: Markdown sections from the facts of a training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.export.words import in_utc, place
from rebase_db.licence.duty import MEANINGS, in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rebase_db.export.facts import SetFacts, Source


def quoted(text: str) -> str:
    """A text as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def provenance(training_set: SetFacts) -> Iterator[str]:
    """The sections on where a set comes from and what is to be said of it; each begins with its heading."""
    yield "## Sources\n\n" + table(
        ["dataset", "examples", "rows", "licence", "duties", "revision", "from"],
        [_source(source) for source in training_set.sources],
    )
    yield "## Licences\n\n" + _licences(training_set)
    yield "## Teachers\n\n" + table(
        ["teacher", "sampling", "prompt", "examples"], [_teacher(each) for each in training_set.teachers]
    )
    yield "## Checks\n\n" + _checks(training_set)
    if training_set.retractions:
        yield "## Withdrawn\n\n" + _retractions(training_set)


def _source(source: Source) -> list[Any]:
    revisions = ", ".join(source.revisions)
    duties = ", ".join(in_order(source.licence.duties)) or "none"
    stated = source.licence.stated or "not stated"
    return [source.name, source.examples, source.rows, stated, duties, revisions, place(source.uri)]


def _licences(training_set: SetFacts) -> str:
    duties = training_set.duties
    rows = [[duty, meaning, duties.examples[duty]] for duty, meaning in MEANINGS.items() if duty in duties.examples]
    text = (
        "An example is under the duties of every row it was made from, however many there are. This is read out of "
        "what the datasets state, and is not legal advice."
    )
    free = f"\n\nExamples without any duty: {duties.free:,} of {duties.size:,}."
    return text + (f"\n\n{table(['duty', 'meaning', 'examples'], rows)}" if rows else "") + free


def _teacher(teacher: Any) -> list[Any]:
    model = " ".join(filter(None, (teacher["provider"], teacher["model"])))
    identity = teacher["identity"]
    sampling = [
        f"{key} {identity[key]}" for key in ("temperature", "seed", "max_tokens") if identity.get(key) is not None
    ]
    # A template teacher's prompt is its rules, which are named with the teacher.
    return [
        model,
        ", ".join(sampling) or "none",
        f"{teacher['prompt']} `{teacher['prompt_hash'].hex()}`",
        teacher["examples"],
    ]


def _checks(training_set: SetFacts) -> str:
    if not training_set.checks:
        return "No example was checked."
    rows = [[check["name"], check["passed"], check["warned"], check["failed"]] for check in training_set.checks]
    shown = table(["check", "passed", "warned", "failed"], rows)
    found = [
        f"- **{check['name']}**: {check['warned'] + check['failed']:,} that share text with a benchmark."
        for check in training_set.checks
        if _is_contamination(check["name"]) and check["warned"] + check["failed"]
    ]
    held = max(
        (
            check["passed"] + check["warned"] + check["failed"]
            for check in training_set.checks
            if _is_contamination(check["name"])
        ),
        default=0,
    )
    if not held:
        return f"No example was held against a benchmark.\n\n{shown}"
    of = "" if held == training_set.examples else f" of {held:,} of {training_set.examples:,} examples"
    # Those registered since nobody has looked for.
    by = "with the benchmarks that were registered when it was looked for"
    if found:
        return "\n".join([f"Contamination{of} was found {by}:", "", *found, "", shown])
    return f"No contamination{of} was found {by}.\n\n{shown}"


def _is_contamination(name: str) -> bool:
    return name.startswith("contaminated") or "benchmark" in name


def _retractions(training_set: SetFacts) -> str:
    rows = [
        [
            each["retraction_id"],
            f"{each['kind']} {each['target']}",
            each["reason"],
            in_utc(each["created_at"])[:10],
            "yes" if each["erased_at"] else "no",
            each["examples"],
        ]
        for each in training_set.retractions
    ]
    return "Rows behind these examples were withdrawn after they were made:\n\n" + table(
        ["retraction", "of", "reason", "on", "erased", "examples"], rows
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    # A bar or a line break in a dataset's name or licence would end the cell.
    return " ".join(str(value).split()).replace("|", "\\|")
