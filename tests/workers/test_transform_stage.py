"""The transform stage with a language model in memory: what is kept, handed back, charged and paid for."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, func, text, update

from rebase_db import queue
from rebase_db.check.example import ExampleChecker
from rebase_db.errors import TeacherError
from rebase_db.lease import Lease
from rebase_db.schema import RetrievalLink
from rebase_db.transform.language_model import LanguageModelTeacher
from rebase_db.transform.provider import Reply, Request, ResponseForm, Usage
from tests.queue import rows
from tests.transform.asked_before import add_twins, task_file
from tests.transform.budgeted import Budgeted, begin
from tests.transform.fake_provider import FakeProvider, good_answer, said
from workers.models import Teaching
from workers.runner import Runner, drain
from workers.stages.transform import TransformStage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.transform.fake_provider import Behaviour
    from workers.stage import Result

MANY = 10**6


@dataclass
class Shop:
    """A worker with the stage, and what it is run on."""

    task: Budgeted
    lease: Lease
    stopping: threading.Event = field(default_factory=threading.Event)
    finished: list[queue.Lane] = field(default_factory=list)

    def teach(self, behaviour: Behaviour = good_answer, provider: FakeProvider | None = None, **limits: Any) -> Runner:
        self.provider = provider or FakeProvider(behaviour, **limits)
        file = task_file()
        teaching = Teaching(file, LanguageModelTeacher(file, self.provider), ExampleChecker(file))

        def finish_lane(lane: queue.Lane) -> bool:
            self.finished.append(lane)
            return False

        self.stage = TransformStage(self.task.engine, self.lease, self.stopping, lambda _: teaching, finish_lane)
        return Runner(self.task.engine, self.lease, self.stage, self.stopping)

    def run(self, behaviour: Behaviour = good_answer, **settings: Any) -> None:
        """One batch."""
        self.teach(behaviour, **settings).run_batch(self.task.lane)

    def link(self, link: int) -> dict[str, Any]:
        with self.task.engine.connect() as connection:
            return rows.read(connection, queue.TRANSFORM, link)

    def in_state(self, state: str) -> set[int]:
        return {link for link in self.task.links if self.link(link)["state"] == state}

    def charged(self, link: int) -> int:
        """The attempts that count of a link."""
        row = self.link(link)
        return int(row["attempt"] - (row["attempt_limit"] - 5))

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        with self.task.engine.connect() as connection:
            return list(connection.execute(text(statement), parameters).mappings())

    def generation(self, link: int) -> Any:
        (only,) = self.query("SELECT * FROM generation WHERE link_id = :link", link=link)
        return only


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    """Six links that wait, and a worker."""
    task = begin(engine, 6)
    with Lease(engine) as lease:
        yield Shop(task, lease)


def link_asked(request: Request) -> int:
    return request.key


def counted(requests: list[int], then: Mapping[int, Any] | None = None) -> Behaviour:
    """Answers well, or as `then` says for the n-th request; notes the links it was asked for."""

    def behave(request: Request, schema: Mapping[str, Any]) -> Reply:
        requests.append(link_asked(request))
        special = (then or {}).get(len(requests))
        return good_answer(request, schema) if special is None else special(request, schema)

    return behave


def test_a_batch_becomes_examples_of_the_rows_they_were_made_from(shop: Shop) -> None:
    def quote(request: Request, _: Mapping[str, Any]) -> Reply:
        row = request.messages[-1]["content"].rpartition("<source_row>")[2].partition("</source_row>")[0]
        return said(request, json.dumps({"input": f"What is {json.loads(row)['letter']}?", "output": "it"}))

    shop.run(quote)
    assert shop.in_state("transformed") == set(shop.task.links)
    told = shop.query(
        "SELECT example.input, content ->> 'letter' AS letter FROM example JOIN retrieval_link USING (link_id)"
        " JOIN source_row USING (dataset_id, row_id) WHERE link_id = ANY(:links)",
        links=shop.task.links,
    )
    assert len(told) == 6
    assert all(each["input"] == f"What is {each['letter']}?" for each in told)


def test_a_batch_s_answers_may_come_in_any_order(shop: Shop) -> None:
    shop.teach()
    shop.provider.backwards = True
    Runner(shop.task.engine, shop.lease, shop.stage, shop.stopping).run_batch(shop.task.lane)
    assert shop.in_state("transformed") == set(shop.task.links)
    assert all(shop.generation(link)["attempt"] == 1 for link in shop.task.links)


def test_links_calls_examples_and_checks_are_written_in_one_transaction(shop: Shop) -> None:
    shop.run()
    written = shop.query(
        "SELECT DISTINCT link_id, ARRAY[link.xmin, generation.xmin, example.xmin, check_result.xmin]::text[] AS of"
        " FROM retrieval_link AS link JOIN generation USING (link_id) JOIN example USING (generation_id, link_id)"
        " JOIN check_result USING (example_id) WHERE link_id = ANY(:links)",
        links=shop.task.links,
    )
    assert len(written) == 6
    assert all(len(set(each["of"])) == 1 for each in written)


def test_an_example_that_a_check_refuses_is_kept_and_its_link_rejected(shop: Shop) -> None:
    shop.run(lambda request, _: said(request, json.dumps({"input": "A!", "output": "yes"})))  # its worked example
    assert shop.in_state("rejected") == set(shop.task.links)
    assert shop.link(shop.task.links[0])["error"] == "copied_example: the example failed this check"
    (count,) = shop.query(
        "SELECT count(*) AS found, count(DISTINCT example_id) AS examples FROM check_result"
        " JOIN check_definition USING (check_id) WHERE name = 'copied_example' AND verdict = 'fail'"
    )
    assert dict(count) == {"found": 6, "examples": 6}


def test_told_to_stop_it_keeps_what_is_under_way_and_hands_the_rest_back(shop: Shop) -> None:
    shop.task.limit(tokens=MANY)
    asked: list[int] = []

    def stop(request: Request, _: Mapping[str, Any]) -> Reply:
        shop.stopping.set()
        return said(request, '{"input": "late", "output": "but there"}', usage=Usage(20, 3))

    shop.run(counted(asked, {3: stop}))
    assert len(asked) == 3
    assert shop.in_state("transformed") == set(asked)
    rest = set(shop.task.links) - set(asked)
    assert shop.in_state("retrieved") == rest
    assert {shop.charged(link) for link in rest} == {0}
    assert {spent for link, spent, _ in shop.task.reservations() if link in rest} == {0}
    assert not any(presumed for link, _, presumed in shop.task.reservations() if link in rest)
    assert shop.task.tokens()[1] == 0


def test_stopped_before_anything_is_asked_all_is_handed_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.task.limit(tokens=MANY)
    runner = shop.teach()
    claim = shop.stage.claim

    def claim_and_stop(*arguments: Any) -> Any:
        claims = claim(*arguments)
        shop.stopping.set()
        return claims

    monkeypatch.setattr(shop.stage, "claim", claim_and_stop)
    runner.run_batch(shop.task.lane)
    assert shop.provider.asked == []
    assert shop.in_state("retrieved") == set(shop.task.links)
    assert shop.task.tokens() == (0, 0)


def begun(shop: Shop) -> Iterator[Result]:
    """The results of all links, claimed and not yet asked for."""
    shop.stage.prepare(shop.task.lane)
    claims = shop.stage.claim(shop.task.lane, 6, queue.FIRST_PLACE)
    assert claims is not None
    return shop.stage.handle(shop.task.lane, claims)


class Hesitant(FakeProvider):
    """Takes its next request only when told."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.done = threading.Event()

    def _replies(self, requests: Iterable[Request], schema: Mapping[str, Any]) -> Iterator[Reply]:
        try:
            for request in requests:
                self.asked.append(request)
                yield good_answer(request, schema)
                assert self.go.wait(60)
        finally:
            self.done.set()


def test_left_in_the_middle_it_sends_nothing_more(shop: Shop) -> None:
    """For what was not sent by then is no longer paid for."""
    shop.task.limit(tokens=MANY)
    hesitant = Hesitant()
    shop.teach(provider=hesitant)
    with closing(begun(shop)) as results:  # type: ignore[type-var]
        next(results)
    hesitant.go.set()
    assert hesitant.done.wait(60)
    assert len(hesitant.asked) == 1


def test_left_in_the_middle_it_frees_what_was_never_sent(shop: Shop) -> None:
    """Whoever closes it hands its rows back, without knowing which of them were sent."""
    shop.task.limit(tokens=MANY)
    go, second = threading.Event(), threading.Event()
    asked: list[int] = []

    def wait(request: Request, schema: Mapping[str, Any]) -> Reply:
        second.set()
        assert go.wait(60)
        return good_answer(request, schema)

    shop.teach(counted(asked, {2: wait}))
    with closing(begun(shop)) as results:  # type: ignore[type-var]
        assert [claim.item_id for claim, _ in next(results).outcomes] == asked[:1]
        assert second.wait(60)
    go.set()
    ended = {link: spent for link, spent, _ in shop.task.reservations()}
    assert {link for link, spent in ended.items() if spent is None} == set(asked[:2])
    assert {spent for link, spent in ended.items() if link not in asked[:2]} == {0}


def test_a_teacher_that_refuses_to_go_on_costs_no_attempt(shop: Shop) -> None:
    shop.task.limit(tokens=MANY)
    asked: list[int] = []

    def refuse(*_: Any) -> Reply:
        raise TeacherError("the key is refused")

    with pytest.raises(TeacherError, match="the key is refused"):
        shop.run(counted(asked, {3: refuse}))
    assert shop.in_state("transformed") == set(asked[:2])
    assert shop.in_state("retrieved") == set(shop.task.links) - set(asked[:2])
    assert {shop.charged(link) for link in shop.task.links if link not in asked[:2]} == {0}
    # Nor money: whatever else was under way was answered first.
    assert {spent for link, spent, _ in shop.task.reservations() if link not in asked[:2]} == {0}
    assert not any(presumed for link, _, presumed in shop.task.reservations() if link not in asked[:2])


@pytest.mark.parametrize(
    ("failure", "state", "charged"),
    [
        ({"error": "server fault", "retry_after": 0.0}, "retrieved", 1),
        ({"error": "bad request"}, "failed", 1),
        ({"error": "slow down", "retry_after": 30.0, "rate_limited": True}, "retrieved", 0),
    ],
)
def test_with_a_failed_call_others_with_its_prompt_are_handed_back(
    shop: Shop, failure: dict[str, Any], state: str, charged: int
) -> None:
    shop.task.limit(tokens=MANY)
    twins = add_twins(shop.task, 3)
    asked: list[int] = []

    def fail(request: Request, schema: Mapping[str, Any]) -> Reply:
        asked.append(link_asked(request))
        if request.key in twins:
            return Reply(request.key, None, 0.1, **failure)
        return good_answer(request, schema)

    shop.run(fail)
    (leader,) = set(asked) & set(twins)
    assert shop.in_state("transformed") == set(shop.task.links)
    assert (shop.link(leader)["state"], shop.charged(leader)) == (state, charged)
    followers = set(twins) - {leader}
    assert {(shop.link(link)["state"], shop.charged(link)) for link in followers} == {("retrieved", 0)}
    assert shop.query("SELECT link_id FROM generation WHERE link_id = ANY(:links)", links=list(followers)) == []
    assert shop.task.tokens()[1] == 0


def test_rows_with_one_prompt_share_one_answer(shop: Shop) -> None:
    shop.task.limit(tokens=MANY)
    twins = add_twins(shop.task, 3)
    shop.run(lambda request, _: said(request, '{"input": "one", "output": "for all"}', usage=Usage(30, 4)))
    assert len(shop.provider.asked) == 7
    made = shop.query("SELECT * FROM generation WHERE link_id = ANY(:links) ORDER BY generation_id", links=twins)
    assert [each["reused_from"] for each in made] == [None, made[0]["generation_id"], made[0]["generation_id"]]
    assert [(each["requests"], each["prompt_tokens"]) for each in made] == [(1, 30), (0, None), (0, None)]
    assert {shop.link(link)["state"] for link in twins} == {"transformed"}
    assert shop.task.tokens() == (7 * 34, 0)


def test_rows_with_a_rejected_prompt_are_rejected_with_it(shop: Shop) -> None:
    twins = add_twins(shop.task, 3)
    shop.run(lambda request, _: said(request, "no"))
    assert {shop.link(link)["state"] for link in twins} == {"rejected"}
    assert len(shop.provider.asked) == 7


def test_nothing_hangs_on_an_answer_that_came_too_late(shop: Shop) -> None:
    """The asked row was cancelled meanwhile: its answer is refused, and its followers cannot use what is not there."""
    shop.task.limit(tokens=MANY)
    twins = add_twins(shop.task, 3)

    def cancel(request: Request, schema: Mapping[str, Any]) -> Reply:
        if request.key in twins:
            gone = {"state": "cancelled", "worker_id": None, "finished_at": func.now()}
            with shop.task.engine.begin() as connection:
                connection.execute(update(RetrievalLink).where(RetrievalLink.link_id == request.key).values(gone))
        return good_answer(request, schema)

    shop.run(cancel)
    (leader,) = {request.key for request in shop.provider.asked} & set(twins)
    assert shop.link(leader)["state"] == "cancelled"
    assert {shop.link(link)["state"] for link in twins if link != leader} == {"retrieved"}
    assert shop.query("SELECT 1 FROM generation WHERE link_id = ANY(:links)", links=twins) == []


def test_a_row_turned_away_unread_waits_without_an_attempt(shop: Shop) -> None:
    shop.task.limit(tokens=MANY)
    busy: dict[str, Any] = {"error": "429: slow down", "retry_after": 30.0, "rate_limited": True}
    shop.run(lambda request, _: Reply(request.key, None, 0.1, **busy))
    with shop.task.engine.connect() as connection:
        now = rows.clock(connection)
    for link in shop.task.links:
        row = shop.link(link)
        assert (row["state"], shop.charged(link), row["error"]) == ("retrieved", 0, "429: slow down")
        assert row["ready_at"] > now
        assert shop.generation(link)["outcome"] == "error"
    assert shop.task.tokens() == (0, 0)


def test_a_call_that_may_have_been_billed_counts_in_full(shop: Shop) -> None:
    shop.task.limit(tokens=MANY)
    silence: dict[str, Any] = {"error": "no answer in time", "retry_after": 0.0, "maybe_billed": True}
    shop.run(lambda request, _: Reply(request.key, None, 0.1, **silence))
    assert all(presumed for _, _, presumed in shop.task.reservations())
    assert all(shop.generation(link)["maybe_billed"] for link in shop.task.links)
    spent, held = shop.task.tokens()
    assert spent > 0
    assert held == 0


def test_what_each_call_came_to_is_kept(shop: Shop) -> None:
    sent = {"requests": 3, "failures": ("500: oops", "timeout"), "usage": Usage(50, 6), "finish_reason": "stop"}
    sent |= {"response_form": ResponseForm.TEXT}
    shop.run(lambda request, _: said(request, '```json\n{"input": "fenced", "output": "in"}\n```', **sent))
    made = shop.generation(shop.task.links[0])
    assert (made["requests"], made["failures"]) == (3, ["500: oops", "timeout"])
    assert (made["prompt_tokens"], made["completion_tokens"], made["finish_reason"]) == (50, 6, "stop")
    assert (made["outcome"], made["reading"], made["cuts"]) == ("parsed", "fenced", None)
    assert made["raw_answer"].startswith("```json")


def test_a_cut_row_says_so(shop: Shop) -> None:
    (link,) = add_twins(shop.task, 1, "word " * 3000)
    shop.run(context_tokens=1500)
    ((column, (kept, of)),) = shop.generation(link)["cuts"].items()
    assert (column, of) == ("letter", 15_000)
    assert 0 < kept < of
    assert shop.generation(shop.task.links[0])["cuts"] is None


def test_what_is_stored_is_not_asked_for(shop: Shop) -> None:
    shop.run()
    with shop.task.engine.begin() as connection:
        second = rows.add_version(connection, shop.task.task_id, 2)
        retrieval = rows.add_retrieval(connection, second, shop.task.lane[1])
        connection.execute(
            text(
                "INSERT INTO retrieval_link (task_version_id, encoder_id, dataset_id, row_id, input_column_id,"
                " output_column_id, input_score, output_score, dataset_score, score, rank, entered_by, state)"
                " SELECT :version, encoder_id, dataset_id, row_id, 1, 1, 0, 0, 0, 0, rank, :retrieval, 'retrieved'"
                " FROM retrieval_link WHERE link_id = ANY(:links)"
            ),
            {"version": second, "retrieval": retrieval, "links": shop.task.links},
        )
    shop.task.limit(tokens=0)  # and so it needs no money
    shop.teach().run_batch((second, shop.task.lane[1]))
    assert shop.provider.asked == []
    found = shop.query(
        "SELECT count(*) AS count FROM generation JOIN retrieval_link USING (link_id)"
        " WHERE task_version_id = :version AND reused_from IS NOT NULL AND state = 'transformed'",
        version=second,
    )
    assert found[0]["count"] == 6


def test_a_lane_is_finished_when_nothing_is_left_to_claim(shop: Shop) -> None:
    runner = shop.teach()
    runner.run_batch(shop.task.lane, limit=4)
    assert shop.finished == []
    runner.run_batch(shop.task.lane, limit=4)
    assert shop.finished == [shop.task.lane]


def test_as_many_examples_as_are_wanted_end_it(shop: Shop) -> None:
    """Of the answers every other one is no example."""
    shop.task.limit(examples=2)
    asked: list[int] = []
    answers = {number: lambda request, _: said(request, "no") for number in (1, 3, 5)}
    runner = shop.teach(counted(asked, answers), in_flight=1)
    counts = drain(shop.task.engine, shop.lease, runner.stage, [shop.task.lane])
    assert counts == {"transformed": 2, "rejected": 2, "retrieved": 2}
    assert shop.task.state().exhausted


def test_a_drain_ends_with_its_money(shop: Shop) -> None:
    most = LanguageModelTeacher(task_file(), FakeProvider())
    shop.teach(lambda request, _: said(request, "no", usage=Usage(MANY, 0)))
    with shop.task.engine.connect() as connection:
        from rebase_db.transform.rows import RowReader

        (row,) = RowReader().read(connection, shop.task.links[:1], MANY)
    needed = most.prepare(row).most
    assert needed.prompt_tokens is not None
    assert needed.completion_tokens is not None
    shop.task.limit(tokens=needed.prompt_tokens + needed.completion_tokens)
    counts = drain(shop.task.engine, shop.lease, shop.stage, [shop.task.lane])
    assert counts == {"rejected": 1, "retrieved": 5}
    assert shop.task.state().exhausted
