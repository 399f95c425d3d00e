"""What one record says of others, where no key holds them to it: states, answers, counts, vectors, sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.queue import QUEUES
from rebase_db.states import JOB, LINK
from rebase_db.transform.store import FAILED_CHECK
from rebase_db.verify.read import named_lies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from rebase_db.verify.lie import Lie


def check_events(connection: Connection) -> Iterator[Lie]:
    """Whether the events of every row are a path of legal moves, and are of rows and workers that exist."""
    moves = [
        (queue.name, before, event, after)
        for queue in QUEUES
        for (before, event), after in queue.machine.transitions.items()
    ]
    parts = [list(part) for part in zip(*moves, strict=True)]
    names = ("queues", "befores", "events", "afters")
    return named_lies(connection, "verify_events", dict(zip(names, parts, strict=True)))


def check_claimed(connection: Connection) -> Iterator[Lie]:
    """Whether every row that is claimed is as its events left it."""
    finished = sorted({*JOB.finished, *LINK.finished})
    return named_lies(connection, "verify_claimed", {"finished": finished, "failed_check": FAILED_CHECK})


def check_answers(connection: Connection) -> Iterator[Lie]:
    """Gaps between links, calls, examples, runs and verdicts."""
    return named_lies(connection, "verify_answers")


def check_corpus(connection: Connection) -> Iterator[Lie]:
    """What loads and datasets count, against what is there; rows that changed or went, against their loads."""
    yield from named_lies(connection, "verify_corpus_counts")
    yield from named_lies(connection, "verify_releases")


def check_vectors(connection: Connection) -> Iterator[Lie]:
    """A vector for every text of a finished chunk that is not erased, and no other."""
    return named_lies(connection, "verify_vectors")


def check_retrievals(connection: Connection) -> Iterator[Lie]:
    """What retrievals count, against the links and mirrors they left."""
    return named_lies(connection, "verify_retrievals")


def check_training_sets(connection: Connection) -> Iterator[Lie]:
    """Sizes, positions, members and mixes of training sets; versions of tasks."""
    yield from named_lies(connection, "verify_training_sets")
    yield from named_lies(connection, "verify_mixes")


def check_budgets(connection: Connection) -> Iterator[Lie]:
    """What budgets hold and have spent, against reservations and calls."""
    return named_lies(connection, "verify_budgets")


def check_retractions(connection: Connection) -> Iterator[Lie]:
    """Whether rows, links and texts are retracted and erased just where a retraction says so."""
    return named_lies(connection, "verify_retractions")
