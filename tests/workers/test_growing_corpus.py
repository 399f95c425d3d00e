"""What a teacher is asked when a corpus grows, and what checks that compare examples say then."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.check.example import ExampleChecker
from rebase_db.check.run import Tools, check_examples
from rebase_db.database.engine import engine_for
from rebase_db.lease import Lease
from rebase_db.task.store import add_task
from rebase_db.transform.language_model import LanguageModelTeacher
from tests.conftest import cloned_database
from tests.load.sources import fetch
from tests.retrieve.corpus import smooth_vector
from tests.transform.fake_provider import FakeProvider, said
from tests.verify.history import Encoder, Steps, load, task_file
from workers.models import Teaching
from workers.runner import drain
from workers.stages.transform import TransformStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Engine

    from rebase_db.transform.provider import Reply
    from rebase_db.transform.provider import Request as Asked

PARTS = {
    "words": ["apple", "hammer", "pear", "saw", "plum", "drill"],
    "more": ["axe", "pliers", "lemon", "cherry"],
    "late": ["melon", "file", "chisel", "grape", "quince"],
}
CHECKS = {
    "duplicate": {"action": "reject"},
    "near_duplicate": {"action": "reject", "similarity": 0.5},
    "similar_to_benchmark": {"action": "off"},
}
SAYINGS = ("It lies on the table.", "It lies on the  table!", "Somebody left a red one here for you to take home.",
           "Somebody left a red one here for you to take away.")  # fmt: skip


def answer(request: Asked, _: Mapping[str, Any]) -> Reply:
    """One of few sayings, by the row's word: many are copies, or nearly."""
    row = request.messages[-1]["content"].rpartition("<source_row>")[2]
    word = next(word for words in PARTS.values() for word in words if word in row)
    return said(request, json.dumps({"input": SAYINGS[len(word) % len(SAYINGS)], "output": "fruit"}))


class Round:
    """A task that is ranked, transformed and checked as its corpus grows."""

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self.engine = engine
        self.file = task_file(checks=CHECKS)
        with engine.begin() as connection:
            task = add_task(connection, self.file)
        self.steps = Steps(engine, lease, Encoder(engine, smooth_vector), self.file, task)

    def run(self, top_n: int) -> tuple[int, list[int]]:
        """The retrieval, and the links the teacher was asked for."""
        retrieval_id = self.steps.rank(top_n=top_n)
        provider = FakeProvider(answer)
        teaching = Teaching(self.file, LanguageModelTeacher(self.file, provider), ExampleChecker(self.file))
        stage = TransformStage(self.engine, self.steps.lease, threading.Event(), lambda _: teaching)
        drain(self.engine, self.steps.lease, stage, [self.steps.lane])
        tools = Tools(lambda _: provider, lambda: self.steps.corpus)  # type: ignore[arg-type,return-value]
        check_examples(self.engine, self.steps.lease.worker_id, self.steps.lane, self.file, tools)
        return retrieval_id, sorted(request.key for request in provider.asked)

    def verdicts(self) -> list[Any]:
        """Of every row of the present ranking whether its example is accepted, and what keeps it out."""
        return fetch(
            self.engine,
            "SELECT name, row_id, rank, state, error FROM retrieval_link JOIN dataset USING (dataset_id)"
            " WHERE displaced_by IS NULL ORDER BY rank",
        )


@pytest.fixture
def other_engine(server_url: str, template_database: str) -> Iterator[Engine]:
    with cloned_database(server_url, template_database) as url:
        made = engine_for(url)
        yield made
        made.dispose()


@pytest.mark.parametrize("top_n", [20, 7])
def test_the_teacher_is_asked_for_entrants_alone_and_copies_are_found_as_in_one_go(
    engine: Engine, other_engine: Engine, top_n: int
) -> None:
    with Lease(engine) as lease, Lease(other_engine) as other_lease:
        grown, whole = Round(engine, lease), Round(other_engine, other_lease)
        examples: dict[int, str] = {}
        for name, words in PARTS.items():
            load(grown.steps.corpus, name, words)
            load(whole.steps.corpus, name, words)
            retrieval_id, asked = grown.run(top_n)
            entered = "SELECT link_id FROM retrieval_link WHERE entered_by = :id ORDER BY 1"
            assert asked == [link for (link,) in fetch(engine, entered, id=retrieval_id)]
            # What there was, of displaced links too, is as it was.
            now = dict(map(tuple, fetch(engine, "SELECT example_id, input FROM example")))
            assert examples.items() <= now.items()
            examples = now
        assert grown.run(top_n)[1] == []
        _, at_once = whole.run(top_n)
        assert len(at_once) == len(grown.verdicts()) == min(top_n, 15)
        assert grown.verdicts() == whole.verdicts()
        assert {state for *_, state, _ in grown.verdicts()} == {"transformed", "rejected"}
        displaced = fetch(engine, "SELECT count(*) FROM retrieval_link WHERE displaced_by IS NOT NULL")[0][0]
        assert bool(displaced) == (top_n == 7)
        assert len(examples) == min(top_n, 15) + displaced
