"""A claim takes no more rows than its limit, whatever the planner makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text, update

from rebase_db import queue
from rebase_db.schema import EmbedChunk
from tests.queue import rows
from tests.schema.chain import NOW

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.schema.chain import Row

ROWS = 300
LIMIT = 10


def force_nested_loops(connection: Connection) -> None:
    """Leave the planner nothing but to look for the picked rows again for every row of the table."""
    for name in ("hashjoin", "mergejoin", "material", "memoize", "hashagg", "sort", "indexscan", "bitmapscan"):
        connection.execute(text("SELECT set_config(:name, 'off', true)"), {"name": f"enable_{name}"})


def test_a_claim_keeps_to_its_limit_in_nested_loops(connection: Connection, chain: dict[str, Row]) -> None:
    rows.add_ready(connection, chain, queue.EMBED, ROWS)
    me = rows.add_worker(connection)
    force_nested_loops(connection)
    assert len(queue.claim(connection, queue.EMBED, me, LIMIT)) == LIMIT
    assert queue.counts(connection, queue.EMBED) == {"done": 1, "running": LIMIT, "waiting": ROWS - LIMIT}


def test_a_limit_in_a_subquery_is_exceeded_there(connection: Connection, chain: dict[str, Row]) -> None:
    """Why a claim picks its rows in a CTE; and that the test above is made in a place where it matters."""
    rows.add_ready(connection, chain, queue.EMBED, ROWS)
    force_nested_loops(connection)
    waiting = select(EmbedChunk.embed_chunk_id).where(EmbedChunk.state == "waiting")
    picked = waiting.limit(LIMIT).with_for_update(skip_locked=True, key_share=True)
    change = update(EmbedChunk).where(EmbedChunk.embed_chunk_id.in_(picked)).values(ready_at=NOW)
    assert connection.execute(change).rowcount > LIMIT
