"""A claim whose answer never came: the rows are this worker's, and it finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from rebase_db import queue
from rebase_db.lease import Lease
from tests.queue import rows
from tests.queue.stub_stage import StubStage
from workers.hands import Hands
from workers.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from rebase_db.queue import Claim
    from tests.schema.chain import Row
    from workers.stage import Result


def test_rows_claimed_in_a_connection_that_broke_are_handed_back(engine: Engine, own_chain: dict[str, Row]) -> None:
    with engine.begin() as connection:
        ids = rows.add_ready(connection, own_chain, queue.EMBED, 5)
    lane = (own_chain["encoder"]["encoder_id"],)
    broken: list[str] = []

    def break_after_claim(_: object, __: object, statement: str, *___: object) -> None:
        # The claim goes over an autocommit connection: by now it is committed.
        if "SKIP LOCKED" in statement and not broken:
            broken.append(statement)
            raise OperationalError(statement, None, Exception("server closed the connection unexpectedly"))

    event.listen(engine, "after_cursor_execute", break_after_claim)
    hands = Hands()
    with Lease(engine) as lease:
        runner = Runner(engine, lease, StubStage(queue.EMBED), hands=hands)
        with pytest.raises(OperationalError):
            runner.run_batch(lane, 2)
        with engine.connect() as connection:
            (lost,) = {tuple(item.item_id for item in queue.held_by(connection, queue.EMBED, lease.worker_id))}
        assert lost == tuple(ids[:2])
        # Whichever slot claims next; what another has in hand stays with it.

        def keep(claims: Sequence[Claim]) -> Iterator[Result]:
            runner.run_batch(lane, 10)
            with engine.connect() as connection:
                held = {item.item_id for item in queue.held_by(connection, queue.EMBED, lease.worker_id)}
            assert held == {item.item_id for item in claims}
            yield from stage.finish(claims)

        stage = StubStage(queue.EMBED, keep)
        assert Runner(engine, lease, stage, hands=hands).run_batch(lane, 2).settled == 2
    with engine.connect() as connection:
        assert rows.states(connection, queue.EMBED, ids) == {"done"}
        for item_id in lost:
            assert [each[0] for each in rows.events(connection, queue.EMBED, item_id)][:2] == ["claim", "release"]
