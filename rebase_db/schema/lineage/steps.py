"""`lineage.parents_of` and `lineage.children_of`: one step from records of a kind, in SQL made from the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.schema.lineage.edges import EDGES, KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.schema.lineage.edges import Edge

COUNTED = 100_000
"""How many are counted beyond those that are returned, where no count is on record."""


def statements() -> list[str]:
    """The two functions."""
    return [
        _function(
            "children_of",
            {kind: [_below(edge) for edge in EDGES if edge.parent_kind == kind] for kind in KEYS},
            "What came of records of a kind directly",
        ),
        _function(
            "parents_of",
            {kind: [_above(edge) for edge in EDGES if edge.child_kind == kind] for kind in KEYS},
            "What records of a kind came from directly",
        ),
    ]


def _function(name: str, steps: dict[str, list[str]], meaning: str) -> str:
    cases = "".join(
        f"    WHEN '{kind}' THEN RETURN QUERY\n"  # noqa: S608 - from the edges: no value of anybody's is in it
        f"        SELECT start.key, found.kind, found.key, found.role, found.others\n"
        f"        FROM unnest(of_keys) AS start (key)\n"
        f"        CROSS JOIN LATERAL (\n{_either(found)}\n"
        f"        ) AS found (kind, key, role, others);\n"
        for kind, found in steps.items()
        if found
    )
    return f"""\
CREATE FUNCTION lineage.{name}(of_kind text, of_keys text[], most integer DEFAULT 100)
RETURNS TABLE (of_key text, kind text, key text, role text, others bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = public AS $$
#variable_conflict use_column
BEGIN
    CASE of_kind
{cases}    ELSE RETURN;
    END CASE;
END $$;

COMMENT ON FUNCTION lineage.{name} IS
'{meaning}, at most so many of each kind for each. Where there are more, one row without a
key says how many others there are, counted up to {COUNTED:,}.';
"""


def _either(found: Sequence[str]) -> str:
    return "\n            UNION ALL\n".join(f"            {each}" for each in found)


def _below(edge: Edge) -> str:
    """Children of `start.key` by one edge, and how many others there are."""
    given = _given(edge.parent or KEYS[edge.parent_kind], edge.parent_kind)
    if edge.begin:
        given += f" AND {edge.begin.format(*_parts(edge.parent_kind))}"
    wanted = edge.child or KEYS[edge.child_kind]
    count = edge.count.format(*_parts(edge.parent_kind))
    return _some(edge, edge.child_kind, wanted, given, edge.order, count)


def _above(edge: Edge) -> str:
    """The parents of `start.key` by one edge; where a child can only have one, nothing is counted."""
    given = _given(edge.child or KEYS[edge.child_kind], edge.child_kind)
    wanted = edge.parent or KEYS[edge.parent_kind]
    if edge.parents is None:
        # A column that may be null, such as the call whose answer was used again.
        given += "".join(f" AND {column} IS NOT NULL" for column in edge.parent)
        return _first(edge, edge.parent_kind, wanted, given)
    count = edge.parents.count.format(*_parts(edge.child_kind))
    return _some(edge, edge.parent_kind, wanted, given, edge.parents.order, count)


def _some(edge: Edge, kind: str, wanted: Sequence[str], given: str, order: str, count: str) -> str:
    if count:
        others = f"SELECT '{kind}', NULL, NULL, total - most FROM ({count}) AS counted (total) WHERE total > most"  # noqa: S608
    else:
        others = (
            f"SELECT '{kind}', NULL, NULL, count(*)"  # noqa: S608
            f" FROM (SELECT FROM {edge.source} WHERE {given} OFFSET most LIMIT {COUNTED}) AS rest HAVING count(*) > 0"
        )
    by = f" ORDER BY {order}" if order else ""
    return f"{_first(edge, kind, wanted, given, f'{by} LIMIT most')} UNION ALL\n            ({others})"


def _first(edge: Edge, kind: str, wanted: Sequence[str], given: str, rest: str = "") -> str:
    key = " || '/' || ".join(wanted) if len(wanted) > 1 else f"CAST({wanted[0]} AS text)"
    return (
        f"(SELECT '{kind}', {key}, CAST({edge.role} AS text), CAST(NULL AS bigint)"  # noqa: S608
        f" FROM {edge.source} WHERE {given}{rest})"
    )


def _given(columns: Sequence[str], kind: str) -> str:
    return " AND ".join(f"{column} = {part}" for column, part in zip(columns, _parts(kind), strict=True))


def _parts(kind: str) -> list[str]:
    """The parts of `start.key`, as numbers unless the key is a text."""
    if kind == "licence":
        return ["start.key"]
    if len(KEYS[kind]) == 1:
        return ["CAST(start.key AS bigint)"]
    return [f"CAST(split_part(start.key, '/', {place}) AS bigint)" for place, _ in enumerate(KEYS[kind], 1)]
