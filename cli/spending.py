"""`rebase transform` and `rebase costs`: having rows rewritten, within limits, and what that took."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from cli.stages import TaskName

if TYPE_CHECKING:
    from rebase_db.transform.budget import BudgetState, Limits
    from rebase_db.transform.estimate import Estimate

SMALLEST_MONEY = Decimal("0.0001")


def transform(
    task: TaskName,
    max_cost: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Spend at most this in all, in the currency of the prices.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="Use at most so many tokens in all.")] = None,
    max_examples: Annotated[int | None, typer.Option(min=0, help="Go on until so many are accepted, then end.")] = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Lift the limits that were set before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and ask nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have the teacher rewrite every retrieved row that has no answer yet, and check the examples.

    Limits are the task's, over all its runs, workers and versions, and stay until they are changed.
    """
    from cli.output import data, emit_json, talk
    from cli.session import task_pipeline
    from rebase_db.transform.budget import Limits

    limits = Limits(max_cost if max_cost is None else _money(max_cost), max_tokens, max_examples)
    with task_pipeline(task) as steps:
        stored = steps.stored()
        if dry_run:
            found = steps.estimate(stored, max_examples)
            if as_json:
                emit_json({name: _plain(getattr(found, name)) for name in found.__slots__})
            else:
                _print_estimate(found)
            return
        steps.limit(limits, lift=no_limits)
        counts = steps.transform(stored)
        state = steps.budget()
    if as_json:
        emit_json({"rows": counts, "budget": None if state is None else _budget(state)})
        return
    talk.print(
        ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items())) or "No row was retrieved yet."
    )
    if state is not None:
        data.print(_spent(state), soft_wrap=True)
        if state.exhausted and counts.get("retrieved"):
            talk.print(f"The budget ended it: {counts['retrieved']:,} rows wait. A higher limit goes on.")


def costs(task: TaskName, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what a task's calls took: by dataset, by prompt and by teacher, for each accepted example."""
    from cli.output import data, emit_json, table, talk
    from cli.session import open_database
    from rebase_db.analytics.costs import read_costs
    from rebase_db.task.store import find_task
    from rebase_db.transform.budget import read_budget

    with open_database().connect() as connection:
        find_task(connection, task)
        found, state = read_costs(connection, task), read_budget(connection, task)
    if as_json:
        rows = {
            kind: [{key: _plain(value) for key, value in row.items()} for row in given]
            for kind, given in (("calls", found.calls), ("judges", found.judges))
        }
        emit_json({**rows, "budget": None if state is None else _budget(state)})
        return
    if not found.calls:
        talk.print("No call was made yet.")
        return
    counted = ("calls", "reused", "errors", "accepted")
    lines = [
        (
            row["by"],
            row["name"] if row["by"] != "all" else "",
            *(row[name] for name in counted),
            row["prompt_tokens"] + row["completion_tokens"],
            _amount(row["cost"]),
            _amount(row["cost_per_accepted"]),
        )
        for row in found.calls
    ]
    lines += [
        ("judge", row["name"], row["calls"], "", "", "", row["prompt_tokens"] + row["completion_tokens"],
         _amount(row["cost"]), "")
        for row in found.judges
    ]  # fmt: skip
    columns = ["by", "name", *counted, "tokens", "cost", "an example"]
    table(columns, lines, numbers=columns[2:])
    if state is not None:
        data.print(_spent(state), soft_wrap=True)


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(
            f"{text!r} is no amount of money: write a number such as 2.50.", param_hint="--max-cost"
        )
    return amount


def _amount(money: Decimal | None) -> str:
    if money is None:
        return "-"
    return f"{money:,.4f}" if money == 0 or money >= SMALLEST_MONEY else f"{money:.2e}"


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


def _limits(limits: Limits) -> dict[str, object]:
    return {"cost": _plain(limits.cost), "tokens": limits.tokens, "examples": limits.examples}


def _budget(state: BudgetState) -> dict[str, object]:
    return {
        "limits": _limits(state.limits),
        "spent": {"cost": _plain(state.spent_cost), "tokens": state.spent_tokens},
        "held": {"cost": _plain(state.held_cost), "tokens": state.held_tokens},
        "exhausted": state.exhausted,
    }


def _spent(state: BudgetState) -> str:
    limits = state.limits
    parts = [
        f"{state.spent_tokens:,} tokens" + (f" of {limits.tokens:,}" if limits.tokens is not None else ""),
        f"{_amount(state.spent_cost)} money" + (f" of {_amount(limits.cost)}" if limits.cost is not None else ""),
    ]
    held = f", {state.held_tokens:,} tokens set aside" if state.held_tokens else ""
    wanted = f"; ends at {limits.examples:,} accepted examples" if limits.examples is not None else ""
    return f"Spent {' and '.join(parts)}{held}{wanted}."


def _print_estimate(found: Estimate) -> None:
    from cli.output import data

    cut = f", {found.cut:,} of them cut to fit" if found.cut else ""
    data.print(f"{found.rows:,} rows wait: {found.prompts:,} prompts to send{cut}, {found.stored:,} answers stored.")
    answers = f"at most {found.most_answer_tokens:,} answer tokens"
    if found.answer_tokens is not None:
        answers = f"about {found.answer_tokens:,} answer tokens ({answers})"
    data.print(f"About {found.prompt_tokens:,} prompt tokens, {answers}.", soft_wrap=True)
    if found.most_cost is None:
        data.print("Cost unknown: the teacher has no prices.")
    elif found.cost is None:
        data.print(f"At most {_amount(found.most_cost)} money.")
    else:
        data.print(f"About {_amount(found.cost)} money, at most {_amount(found.most_cost)}.")
    if found.seconds is not None:
        data.print(f"About {found.seconds:,.0f} s, as answers took so far.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Steps of a task")(transform)
    app.command(rich_help_panel="Steps of a task")(costs)
