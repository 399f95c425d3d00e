"""Workers on connections of their own after the same money; and the proof that the test would see them overspend."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, select, text

from rebase_db import queue
from rebase_db.database.engine import engine_for
from rebase_db.outcomes import Done, Outcome, Reject, Release
from rebase_db.queue import FIRST_PLACE
from rebase_db.schema import Budget, TaskVersion
from rebase_db.transform import reservation
from rebase_db.transform.budget import Limits, set_budget
from rebase_db.transform.reservation import Spent, claim_within, lock_task, reserve, settle
from tests.queue import rows
from tests.transform.budgeted import Budgeted, begin, check_books, taking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from rebase_db.queue import Claim
    from rebase_db.transform.provider import Usage

WORKERS = 4
MOST = 10
LIMIT = 300
OUTCOMES: list[Outcome] = [Done(), Reject("no"), Release()]


@pytest.fixture
def engines(database_url: str) -> Iterator[list[Engine]]:
    """An engine each: transactions on a shared connection would take turns and never collide."""
    engines = [engine_for(database_url) for _ in range(WORKERS)]
    yield engines
    for engine in engines:
        engine.dispose()


def two_claim_at_once(task: Budgeted, engines: Sequence[Engine], limit: int) -> int:
    """Tokens set aside after two workers claimed, each with what it saw of the budget before the other wrote."""
    task.limit(tokens=limit)
    workers = [task.worker(), task.worker()]
    weighing: set[int] = set()

    def weigh_together(worker: int, claims: Sequence[Claim]) -> Mapping[int, Usage]:
        """Go on once the other one is here too, or waits for a lock of ours."""
        weighing.add(worker)
        with task.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
            while len(weighing) < len(workers) and not watcher.execute(text(rows.LOCK_WAITERS)).scalar_one():
                threading.Event().wait(0.01)
        return {claim.item_id: taking(MOST) for claim in claims}

    def claim(engine: Engine, worker: int) -> None:
        with engine.begin() as connection:
            claim_within(connection, worker, task.lane, 8, FIRST_PLACE, lambda _, found: weigh_together(worker, found))

    with ThreadPoolExecutor(len(workers)) as pool:
        for done in [pool.submit(claim, *each) for each in zip(engines, workers, strict=False)]:
            done.result(timeout=120)
    return task.state().held_tokens


def test_two_claims_at_once_keep_to_the_limit(engine: Engine, engines: list[Engine]) -> None:
    assert two_claim_at_once(begin(engine, 20), engines, 3 * MOST) == 3 * MOST


def test_without_the_budget_s_lock_they_would_pass_it(
    engine: Engine, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above looks where it could go wrong."""

    def look(connection: Connection, task_version_id: int) -> int | None:
        found = select(Budget.task_id).join(TaskVersion, TaskVersion.task_id == Budget.task_id)
        return connection.execute(found.where(TaskVersion.task_version_id == task_version_id)).scalar_one_or_none()

    def left(connection: Connection, task_id: int) -> Any:
        room = (Budget.max_tokens - Budget.spent_tokens - Budget.held_tokens).label("tokens")
        found = select(room, Budget.max_cost.label("cost"), Budget.max_examples.label("examples"))
        return connection.execute(found.where(Budget.task_id == task_id)).one()

    monkeypatch.setattr(reservation, "_lock_budget", look)
    monkeypatch.setattr(reservation, "_sweep", left)
    assert two_claim_at_once(begin(engine, 20), engines, 3 * MOST) == 6 * MOST


def work(task: Budgeted, engine: Engine, seed: int) -> int:
    """Claim and settle until there is neither money nor rows; the tokens that calls really took."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    worker = task.worker()
    took = 0
    while True:
        with engine.begin() as connection:
            claims, _ = claim_within(
                connection, worker, task.lane, dice.randint(1, 8), FIRST_PLACE,
                lambda _, found: {claim.item_id: taking(MOST) for claim in found},
            )  # fmt: skip
            check_books(connection, task.task_id)
        if not claims:
            if task.state().exhausted:
                return took
            continue
        dice.shuffle(claims)
        for start in range(0, len(claims), 3):
            part = claims[start : start + 3]
            usages = {claim.item_id: dice.choice([None, taking(dice.randint(0, MOST))]) for claim in part}
            took += sum(MOST if usage is None else usage.prompt_tokens or 0 for usage in usages.values())
            outcome = dice.choice(OUTCOMES)
            with engine.begin() as connection:
                held = queue.hold(connection, queue.TRANSFORM, worker, part)
                assert held == part
                lock_task(connection, task.lane[0])
                spent = [Spent(claim.item_id, claim.attempt, usages[claim.item_id]) for claim in part]
                settle(connection, task.lane[0], worker, spent)
                queue.settle(connection, queue.TRANSFORM, worker, [(claim, outcome) for claim in part])


def judge(task: Budgeted, engine: Engine, link: int, rounds: int) -> int:
    """Have a judge asked about a link, again and again; the tokens that it took."""
    worker = task.worker()
    took = 0
    for _ in range(rounds):
        with engine.begin() as connection:
            paid = reserve(connection, task.lane[0], worker, {link: taking(MOST)})
        with engine.begin() as connection:
            lock_task(connection, task.lane[0])
            settle(connection, task.lane[0], worker, [Spent(each, None, taking(1)) for each in paid])
        took += len(paid)
    return took


def test_workers_that_claim_and_settle_at_once_spend_what_they_say(engine: Engine, engines: list[Engine]) -> None:
    """Nor do they lock each other out for good, with a judge, and somebody who sets limits, in between."""
    task = begin(engine, 120)
    task.limit(tokens=LIMIT)
    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(work, task, engines[number], number) for number in range(WORKERS - 1)]
        working.append(pool.submit(judge, task, engines[-1], task.links[-1], 20))
        for _ in range(20):
            with engine.begin() as connection:
                set_budget(connection, task.name, Limits(tokens=LIMIT))
        took = sum(each.result(timeout=150) for each in working)
    assert task.tokens() == (took, 0)
    assert LIMIT - MOST < took <= LIMIT
