"""Checks and what they said, in the database: nothing is overwritten, the newest result of a check's name counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from rebase_db.database.registry import find_or_insert
from rebase_db.schema import CheckDefinition as CheckDefinitionTable
from rebase_db.schema import CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.check.example import Result
    from rebase_db.check.verdict import CheckDefinition

CheckIds = dict[bytes, int]
"""Ids of definitions by their content hash."""


def register_checks(connection: Connection, definitions: Iterable[CheckDefinition]) -> CheckIds:
    """Ids of definitions, each stored once by content."""
    return {
        each.content_hash: find_or_insert(
            connection,
            CheckDefinitionTable,
            ["content_hash"],
            {"name": each.name, "parameters": dict(each.parameters), "content_hash": each.content_hash},
        )
        for each in definitions
    }


def write_results(connection: Connection, ids: CheckIds, results: Mapping[int, Sequence[Result]]) -> None:
    """Write what checks said of examples, by example."""
    values = [
        {
            "example_id": example_id,
            "check_id": ids[result.check.content_hash],
            "verdict": result.verdict,
            "score": result.finding.score,
            "evidence": dict(result.finding.evidence),
            "other_example_id": result.finding.other_example_id,
            "judgement_id": result.judgement_id,
        }
        for example_id, found in results.items()
        for result in found
    ]
    if values:
        connection.execute(insert(CheckResult), values)
