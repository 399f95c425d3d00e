"""Which examples a ranking would have in its training set, were it frozen: as `freeze` selects, from stored texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.check.current import CurrentExample
from rebase_db.check.preview import preview
from rebase_db.retract.members import retracted_among
from rebase_db.sql import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from rebase_db.queue import Lane
    from rebase_db.task.file import TaskFile
    from rebase_db.what_if.present import Link


@dataclass(frozen=True, slots=True)
class Selection:
    """The examples of a ranking.

    Attributes:
        outputs: Of the accepted ones, by example, best ranked first.
        kept_out: By check, how many it keeps out.
        unsaid: By check, how many a model would have to be asked about first.
    """

    outputs: Mapping[int, str]
    kept_out: Mapping[str, int]
    unsaid: Mapping[str, int]

    def labels(self, file: TaskFile) -> dict[str, int] | None:
        """How many each label of the task has; None where it has none."""
        if file.labels is None:
            return None
        found = Counter(self.outputs.values())
        return {label: found[label] for label in file.labels}


def select_examples(engine: Engine, file: TaskFile, lane: Lane, links: Sequence[Link | None]) -> Selection:
    """The examples of a ranking's links, best first; None where a row has no link.

    They are checked as the task file says, as `freeze` does first.
    """
    made = {link.example_id: (rank, link) for rank, link in enumerate(links, 1) if link is not None and link.example_id}
    with engine.connect() as connection:
        rows = connection.execute(text(named("example_texts")), {"example_ids": list(made)})
        texts = {example_id: (given, output, rationale) for example_id, given, output, rationale in rows}
        retracted = retracted_among(connection, list(texts))
    examples = [
        CurrentExample(example_id, link.link_id, rank, link.state, *texts[example_id], link.error)
        for example_id, (rank, link) in made.items()
        if example_id in texts
    ]
    found = preview(engine, file, lane, examples)
    outputs = {
        each.example_id: each.output
        for each in examples
        if each.example_id not in found.kept_out and each.example_id not in retracted
    }
    return Selection(outputs, dict(Counter(found.kept_out.values()).most_common()), found.unsaid)
