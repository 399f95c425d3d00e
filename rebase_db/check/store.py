"""Checks and what they said, in the database: nothing is overwritten, the newest result of a check's name counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from rebase_db.database.registry import find_or_insert
from rebase_db.schema import CheckDefinition as CheckDefinitionTable
from rebase_db.sql import named

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
    found = [(example_id, result) for example_id, given in results.items() for result in given]
    if not found:
        return
    connection.exec_driver_sql(
        named("write_results"),
        {
            "example_ids": [example_id for example_id, _ in found],
            "check_ids": [ids[result.check.content_hash] for _, result in found],
            "verdicts": [result.verdict for _, result in found],
            "scores": [result.finding.score for _, result in found],
            "evidence": [Jsonb(dict(result.finding.evidence)) for _, result in found],
            "other_example_ids": [result.finding.other_example_id for _, result in found],
            "judgement_ids": [result.judgement_id for _, result in found],
        },
    )
