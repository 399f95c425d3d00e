"""What an audit says of benchmarks: whose items are in the examples, and whose in the rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rebase_db.audit.finding import SAMPLES, Finding, short
from rebase_db.check.benchmarks import gram_index, registered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from rebase_db.audit.subject import Subject
    from rebase_db.task.checks import ContaminationCheck


def contamination(connection: Connection, subject: Subject) -> list[Finding]:
    """Registered benchmarks in the examples, and apart from that in the ranked rows."""
    if not registered(connection):
        says = "No benchmark is registered, so nothing was compared: `rebase benchmark add`."
        return [Finding("contamination", 0, 0, says, sure="nothing to look at")]
    examples = ((subject.reference(one.number), {"input": one.input, "output": one.output}) for one in subject.items)
    names = {row: f"rank {one.rank} ({one.dataset})" for one in subject.ranking if (row := one.row) is not None}
    rows = (
        (names.get(row, f"a row of {subject.datasets[row[0]][0]}"), content.content)
        for row, content in subject.rows.items()
        if not content.erased
    )
    checks, of = subject.checks, len(subject.items)
    return [
        _found(connection, "contaminated examples", "examples", examples, of, checks.contaminated_example),
        _found(connection, "contaminated rows", "rows", rows, len(subject.rows), checks.contaminated_source),
    ]


def _found(
    connection: Connection,
    name: str,
    what: str,
    texts: Iterable[tuple[str, Mapping[str, str]]],
    of: int,
    settings: ContaminationCheck,
) -> Finding:
    index = gram_index(connection, settings.words)
    by_benchmark: Counter[str] = Counter()
    samples: list[str] = []
    for reference, fields in texts:
        finding = index.find_in(fields, settings.overlap)
        if finding.failed:
            by_benchmark[finding.evidence["benchmark"]] += 1
            if len(samples) < SAMPLES:
                evidence = finding.evidence
                samples.append(f"{reference}: {evidence['benchmark']} {evidence['item']}, “{short(evidence['text'])}”")
    count = by_benchmark.total()
    says = f"{count:,} of {of:,} {what} hold a text of a registered benchmark."
    lines = [f"{number:,} of {benchmark}" for benchmark, number in by_benchmark.most_common()]
    sure = f"exact, {settings.words} words in a row or a whole short item"
    return Finding(name, count, of, says, sure, lines, samples, {"benchmarks": dict(by_benchmark)})
