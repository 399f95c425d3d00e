"""The schema `lineage`: views and functions for auditors, one file each, over the tables of all stages.

A migration takes them from a frozen copy. To change a view, a later one drops the schema and makes it anew.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import event
from sqlalchemy.schema import DDL

from rebase_db.schema.base import Base
from rebase_db.schema.lineage import steps

FILES = (
    # What the recursive ones stand on.
    "ancestors_of",
    "descendants_of",
    "runs_before",
    "makers_of_set",
    # The corpus.
    "source_row",
    "mirror",
    "load",
    # From a link to an example.
    "link",
    "call",
    "example",
    "judge_call",
    "check_verdict",
    # Examples and rows, read from either end.
    "example_source",
    "row_example",
    "dataset_example",
    # Sets, runs and scores.
    "training_set",
    "set_member",
    "row_set",
    "dataset_set",
    "run",
    "run_set",
    "learned_within",
    "run_member",
    "examples_learned",
    "run_example",
    "run_source",
    "run_dataset",
    "run_licence",
    "run_teacher",
    "run_cost",
    "row_run",
    "dataset_run",
    "licence_run",
    "score",
    # What was withdrawn.
    "retraction",
    "retracted_row",
    "retracted_example",
    "retracted_set",
    "retracted_run",
    # What others published.
    "published_example",
    "published_source",
    "published_rank",
    # Functions over views.
    "sources_of",
    "reached_by",
    # Other rankings.
    "what_if",
)
"""Every file, in an order in which each may use those before it."""

GRAPH = ("describe", "trace")
"""The files that come after the functions made from the edges (`steps`)."""

SCHEMA = """\
CREATE SCHEMA lineage;

COMMENT ON SCHEMA lineage IS
'Lineage for auditors: views of one row a fact, and functions. What a row is, each view''s comment says.';
"""


def statements() -> list[str]:
    """What makes the schema, in order; each may be several statements of SQL."""
    return [SCHEMA, *map(_read, FILES), *steps.statements(), *map(_read, GRAPH)]


def _read(name: str) -> str:
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def attach() -> None:
    """Hang the schema on the metadata, so that a schema created from it has it too."""
    for statement in statements():
        event.listen(
            Base.metadata,
            "after_create",
            DDL(statement.replace("%", "%%")),  # type: ignore[no-untyped-call]
        )
