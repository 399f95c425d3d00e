"""Spending from the command line: looking before it, limits on it, and what came of it."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebase_db.errors import TaskError, TeacherError, UnknownNameError
from rebase_db.schema import Base
from rebase_db.transform.providers.token_estimate import estimated_tokens, most_tokens
from tests.cli.conftest import TASK
from tests.cli.spending_shop import PRICES, SpendingShop, open_shop
from tests.transform.stub_server import Asked, Reply, StubServer, good_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from typer.testing import Result

USED = {"prompt_tokens": 400, "completion_tokens": 100}
COST = Decimal("0.006")  # 400 tokens at 10 a million, 100 at 20


@pytest.fixture
def shop(
    engine: Engine, teacher: StubServer, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> SpendingShop:
    """Twenty links that wait."""
    teacher.behaviour = lambda _: Reply(usage=USED)
    return open_shop(engine, teacher, invoke, monkeypatch)


def row_counts(shop: SpendingShop) -> dict[str, int]:
    return {name: shop.query(f"SELECT count(*) FROM {name}")[0][0] for name in Base.metadata.tables}  # noqa: S608


def most(shop: SpendingShop) -> int:
    """The most that any of the calls that were made can take in tokens, as little as that is above their prompts."""
    return max(most_tokens(asked.body["messages"]) for asked in shop.server.asked) + 1000 + 400


def server_tokens(shop: SpendingShop) -> int:
    return len(shop.server.asked) * sum(USED.values())


def test_a_dry_run_writes_and_asks_nothing(shop: SpendingShop) -> None:
    before = row_counts(shop)
    shop.transform("--dry-run")
    shop.transform("--dry-run", "--max-tokens", "5", "--json")
    after = row_counts(shop)
    signed_on = after.pop("worker") - before.pop("worker")
    assert signed_on == 2  # as every command does
    assert after == before
    assert shop.server.asked == []


def test_a_dry_run_tells_what_is_sent_afterwards(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    told = shop.said("transform", TASK, "--dry-run")
    shop.transform()
    sent = [asked.body["messages"] for asked in shop.server.asked]
    prompts = sum(map(estimated_tokens, sent))
    assert told == {
        "rows": 20,
        "stored": 0,
        "prompts": len(sent),
        "cut": 0,
        "prompt_tokens": prompts,
        "answer_tokens": None,
        "most_answer_tokens": 20 * 1000,
        "cost": None,
        "most_cost": float(Decimal(prompts * 10 + 20_000 * 20) / 1_000_000),
        "seconds": None,
    }


def test_a_dry_run_learns_from_the_answers_so_far(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    shop.transform("--max-examples", "5")
    told = shop.said("transform", TASK, "--dry-run")
    assert (told["rows"], told["prompts"], told["answer_tokens"]) == (15, 15, 1500)
    assert told["cost"] == float(Decimal(told["prompt_tokens"] * 10 + 1500 * 20) / 1_000_000)
    assert told["cost"] < told["most_cost"]
    (seconds,) = shop.query("SELECT avg(latency_seconds) * 15 / 16 FROM generation WHERE requests > 0 AND link_id > 1")[
        0
    ]
    assert told["seconds"] == pytest.approx(seconds)


def test_a_dry_run_of_so_many_rows(shop: SpendingShop) -> None:
    told = shop.said("transform", TASK, "--dry-run", "--max-examples", "3")
    assert (told["rows"], told["prompts"]) == (3, 3)


def test_a_dry_run_counts_what_another_teacher_would_answer_anew(shop: SpendingShop) -> None:
    shop.transform()
    assert shop.said("transform", TASK, "--dry-run")["rows"] == 0
    shop.teach(model="another")
    told = shop.said("transform", TASK, "--dry-run")
    assert (told["rows"], told["prompts"], told["stored"]) == (20, 20, 0)
    assert shop.states() == {"transformed": 20}


def test_a_dry_run_counts_what_is_stored(shop: SpendingShop) -> None:
    shop.transform()
    shop.teach(model="another")
    shop.transform()
    shop.teach()
    told = shop.said("transform", TASK, "--dry-run")
    assert (told["rows"], told["prompts"], told["stored"]) == (20, 0, 20)
    assert (told["prompt_tokens"], told["most_answer_tokens"]) == (0, 0)


def test_a_dry_run_in_words(shop: SpendingShop) -> None:
    first = shop.transform("--dry-run").stdout.splitlines()
    assert first[0] == "20 rows wait: 20 prompts to send."
    assert first[1].startswith("Tokens: about ")
    assert first[2] == "Cost: unknown, for the teacher has no input_price and output_price."
    shop.teach(**PRICES)
    shop.transform("--max-examples", "5")
    later = shop.transform("--dry-run").stdout.splitlines()
    assert later[0] == "15 rows wait: 15 prompts to send."
    assert "about 1,500 answer tokens (at most 15,000)." in later[1]
    assert later[2].startswith("Cost: about ")
    assert later[3].startswith("Time: about ")
    shop.transform("--no-limits")
    assert shop.transform("--dry-run").stdout == "No row waits for an answer: nothing would be sent.\n"


def test_tokens_are_kept_to_and_a_higher_limit_goes_on(shop: SpendingShop) -> None:
    result = shop.transform("--max-tokens", "7000")
    asked = len(shop.server.asked)
    assert 7000 - most(shop) < server_tokens(shop) <= 7000
    assert shop.states() == {"transformed": asked, "retrieved": 20 - asked}
    assert result.stdout == f"Spent so far: {asked * 500:,} of 7,000 tokens.\n"
    assert f"A limit ended it: {20 - asked} rows still wait. Set a higher one to go on." in result.stderr
    shop.transform("--max-tokens", "7000")
    assert len(shop.server.asked) == asked  # nothing is left of it
    shop.transform("--max-tokens", "100000")
    assert shop.states() == {"transformed": 20}
    assert len(shop.server.asked) == 20


def test_money_is_kept_to(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    result = shop.transform("--max-cost", "0.10")
    asked = len(shop.server.asked)
    assert Decimal("0.10") - COST * 8 < asked * COST <= Decimal("0.10")
    assert result.stdout == f"Spent so far: {asked * 500:,} tokens; cost {asked * COST:.4f} of 0.1000.\n"
    assert shop.states()["retrieved"] == 20 - asked
    shop.transform("--no-limits")
    assert shop.states() == {"transformed": 20}


def test_a_limit_holds_though_calls_fail(shop: SpendingShop) -> None:
    """Of a call that was not answered nobody knows what it took, so it counts in full."""
    lock = threading.Lock()
    failing = [True] * 3

    def fail_at_first(_: Asked) -> Reply:
        with lock:
            return Reply(drop=True) if failing and failing.pop() else Reply(usage=USED)

    shop.server.behaviour = fail_at_first
    shop.transform("--max-tokens", "12000")
    assert server_tokens(shop) <= 12_000
    (spent, held, presumed) = shop.query(
        "SELECT spent_tokens, held_tokens,"
        " (SELECT count(*) FROM reservation WHERE presumed AND task_id = budget.task_id)"
        " FROM budget JOIN task USING (task_id) WHERE name = 'spell-out'"
    )[0]
    assert held == 0
    assert spent <= 12_000
    assert presumed == 3


def test_limits_may_be_replaced(shop: SpendingShop) -> None:
    shop.transform("--max-tokens", "2000", "--max-examples", "1")
    told = shop.said("transform", TASK, "--no-limits", "--max-examples", "5")
    assert told["budget"]["limits"] == {"cost": None, "tokens": None, "examples": 5}
    assert told["rows"] == {"transformed": 5, "retrieved": 15}


def test_a_key_that_is_refused_costs_nothing(shop: SpendingShop) -> None:
    shop.server.behaviour = lambda _: Reply(status=401)
    result = shop.invoke("transform", TASK, "--max-tokens", "20000")
    assert isinstance(result.exception, TeacherError)
    shop.server.behaviour = lambda _: Reply(usage=USED)
    counts = shop.said("transform", TASK)
    assert counts["rows"] == {"transformed": 20}
    assert counts["budget"]["spent"]["tokens"] == 20 * sum(USED.values())


@pytest.mark.parametrize("wanted", [1, 8, 20, 25])
def test_so_many_examples_are_accepted_and_no_more(shop: SpendingShop, wanted: int) -> None:
    counts = shop.said("transform", TASK, "--max-examples", str(wanted))["rows"]
    assert counts.get("transformed") == min(wanted, 20)
    assert len(shop.server.asked) == min(wanted, 20)


def test_examples_that_repeat_others_do_not_count(shop: SpendingShop) -> None:
    """Which shows only once they are compared, after the last was answered."""
    same = json.dumps({"input": "always the same", "output": "yes"})
    lock = threading.Lock()
    repeats = [True] * 6

    def repeat_at_first(asked: Asked) -> Reply:
        with lock:
            repeated = bool(repeats) and repeats.pop()
        return Reply(content=same if repeated else good_answer(asked), usage=USED)

    shop.server.behaviour = repeat_at_first
    counts = shop.said("transform", TASK, "--max-examples", "8")["rows"]
    assert counts == {"transformed": 8, "rejected": 5, "retrieved": 7}
    assert len(shop.server.asked) == 13


def test_answers_that_are_none_do_not_count(shop: SpendingShop) -> None:
    lock = threading.Lock()
    numbers = iter(range(20))

    def every_other(_: Asked) -> Reply:
        with lock:
            return Reply(content="hm" if next(numbers) % 2 else None, usage=USED)

    shop.server.behaviour = every_other
    counts = shop.said("transform", TASK, "--max-examples", "6")["rows"]
    assert counts["transformed"] == 6
    assert counts["retrieved"] > 0


def test_more_examples_may_be_wanted_later(shop: SpendingShop) -> None:
    shop.transform("--max-examples", "3")
    shop.transform("--max-examples", "7")
    assert shop.states() == {"transformed": 7, "retrieved": 13}


@pytest.mark.parametrize("amount", ["abc", "-1", "NaN", "sNaN", "1e400", "Infinity", "", "1,5"])
def test_what_is_no_amount_of_money_is_refused(shop: SpendingShop, amount: str) -> None:
    shop.teach(**PRICES)
    result = shop.invoke("transform", TASK, "--max-cost", amount)
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert f"{amount!r} is no amount of money: write a number such as 2.50." in said
    assert shop.query("SELECT 1 FROM budget JOIN task USING (task_id) WHERE name = 'spell-out'") == []


@pytest.mark.parametrize("option", ["--max-tokens", "--max-examples"])
@pytest.mark.parametrize("number", ["abc", "-1", "1.5", "99999999999999999999999999"])
def test_what_is_no_number_is_refused(shop: SpendingShop, option: str, number: str) -> None:
    result = shop.invoke("transform", TASK, option, number)
    assert result.exit_code == 2
    assert option in result.stderr
    assert shop.server.asked == []


def test_no_cost_is_kept_to_that_nobody_knows(shop: SpendingShop) -> None:
    result = shop.invoke("transform", TASK, "--max-cost", "1")
    assert isinstance(result.exception, TaskError)
    assert result.exception.message == "What task 'spell-out' costs is not known, so no cost can be kept to."
    assert result.exception.hint is not None
    assert "input_price" in result.exception.hint
    assert shop.server.asked == []


@pytest.mark.parametrize("command", ["costs", "transform"])
def test_an_unknown_task_is_met_with_the_nearest_name(shop: SpendingShop, command: str) -> None:
    result = shop.invoke(command, "spel-out")
    assert isinstance(result.exception, UnknownNameError)
    assert "spell-out" in str(result.exception.hint)


def test_costs_before_any_call(shop: SpendingShop) -> None:
    result = shop.invoke("costs", TASK)
    assert (result.stdout, result.stderr) == ("", "No call was made yet.\n")


def test_costs_add_up_by_dataset_prompt_and_teacher(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    answers: list[Any] = [None] * 14 + ["hm"] * 6
    lock = threading.Lock()

    def behave(_: Asked) -> Reply:
        with lock:
            return Reply(content=answers.pop(), usage=USED)

    shop.server.behaviour = behave
    shop.transform("--max-tokens", "1000000")
    told = shop.said("costs", TASK)
    assert {call["by"] for call in told["calls"]} == {"all", "dataset", "prompt", "teacher"}
    for call in told["calls"]:
        assert call["cost_per_accepted"] == pytest.approx(call["cost"] / 14)
        figures = {name: call[name] for name in call if name not in {"by", "name", "cost_per_accepted"}}
        assert figures == {
            "calls": 20,
            "reused": 0,
            "errors": 0,
            "rejected_answers": 6,
            "examples": 14,
            "accepted": 14,
            "prompt_tokens": 8000,
            "completion_tokens": 2000,
            "cost": 0.12,
        }
    assert told["budget"] == {
        "limits": {"cost": None, "tokens": 1_000_000, "examples": None},
        "spent": {"cost": 0.12, "tokens": 10_000, "presumed": 0},
        "held": {"cost": 0.0, "tokens": 0},
        "exhausted": False,
    }


def test_costs_of_two_teachers_sum_up_and_what_is_reused_is_paid_once(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    shop.transform()
    shop.teach(model="another", **PRICES)
    shop.transform()
    shop.teach(**PRICES)
    shop.transform()
    told = shop.said("costs", TASK)
    by = {kind: [call for call in told["calls"] if call["by"] == kind] for kind in ("all", "teacher", "dataset")}
    (everything,) = by["all"]
    assert (everything["calls"], everything["reused"], everything["accepted"]) == (60, 20, 20)
    assert everything["cost"] == pytest.approx(float(40 * COST))
    assert everything["cost_per_accepted"] == pytest.approx(float(2 * COST))
    assert sorted((call["name"], call["calls"], call["reused"], call["accepted"]) for call in by["teacher"]) == [
        ("openai another", 20, 0, 0),
        ("openai m", 40, 20, 20),
    ]
    for kind in by.values():
        assert sum(call["cost"] for call in kind) == pytest.approx(everything["cost"])
        assert sum(call["prompt_tokens"] for call in kind) == everything["prompt_tokens"] == 40 * 400
    assert len(shop.server.asked) == 40


def test_costs_as_a_table_fit_the_terminal(shop: SpendingShop) -> None:
    shop.teach(**PRICES)
    shop.transform("--max-examples", "5")
    lines = shop.invoke("costs", TASK).stdout.splitlines()
    assert lines[0].split() == ["of", "calls", "reused", "errors", "tokens", "cost", "accepted", "cost", "each"]
    assert [line.split() for line in lines[1:5]] == [
        [*name.split(), "5", "0", "0", "2,500", "0.0300", "5", "0.0060"]
        for name in ("all", "teacher openai m", "prompt rewrite-v2", "dataset letters")
    ]
    assert lines[-1] == "Spent so far: 2,500 tokens; cost 0.0300; ends at 5 accepted examples."
    assert all(len(line) <= 80 for line in lines)


def test_costs_without_prices_are_not_made_up(shop: SpendingShop) -> None:
    shop.transform("--max-examples", "5")
    result = shop.invoke("costs", TASK)
    assert result.stdout.splitlines()[1].split() == ["all", "5", "0", "0", "2,500", "-", "5", "-"]
    assert result.stdout.splitlines()[-1] == "Spent so far: 2,500 tokens; ends at 5 accepted examples."


def test_detached_it_only_sets_the_limits(shop: SpendingShop) -> None:
    result = shop.invoke("transform", TASK, "--max-examples", "3", "--detach")
    assert result.exit_code == 0, result.output
    assert "The limits are set; workers transform what waits." in result.stderr
    assert shop.server.asked == []
    told = json.loads(shop.invoke("costs", TASK, "--json").stdout)
    assert told["budget"]["limits"]["examples"] == 3


def test_rows_that_failed_are_told_with_their_error(shop: SpendingShop) -> None:
    first = iter(range(1))
    shop.server.behaviour = lambda _: (
        Reply() if next(first, None) is not None else Reply(status=400, message="no such field")
    )
    result = shop.invoke("transform", TASK)
    assert result.exit_code == 0, result.output
    assert "19 rows failed for good, the first with: HTTP 400: no such field" in result.stderr
    assert f"`rebase retry {TASK}` asks for them again." in result.stderr


def test_it_is_an_error_when_nothing_but_failures_came_of_it(shop: SpendingShop) -> None:
    shop.server.behaviour = lambda _: Reply(status=400, message="no such field")
    with pytest.raises(
        TeacherError, match=r"No row was transformed\. 20 rows failed for good, the first with: HTTP 400"
    ):
        shop.invoke("transform", TASK, catch_exceptions=False)
