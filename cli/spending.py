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
MUCH_MONEY = 100
"""From here on, cents are exact enough."""
MOST = 10**15
"""Of money and of tokens; more is a slip of the keyboard."""
MOST_EXAMPLES = 10**9


def transform(
    task: TaskName,
    max_cost: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Spend at most this in all, in the currency of the prices.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, max=MOST, help="Use at most so many tokens in all.")] = None,
    max_examples: Annotated[
        int | None, typer.Option(min=0, max=MOST_EXAMPLES, help="Go on until so many are accepted, then end.")
    ] = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Lift the limits that were set before.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Only set the limits, and leave the work to `rebase work`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and ask nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have the teacher rewrite every retrieved row that has no answer yet, and check the examples.

    Limits are the task's, over all its runs, workers and versions, and stay until they are changed.
    """
    from cli.output import emit_json, talk
    from cli.session import task_pipeline
    from rebase_db.errors import TeacherError
    from rebase_db.transform.budget import Limits
    from workers.spending import budget_of, estimate_lane, set_limits

    limits = Limits(max_cost if max_cost is None else _money(max_cost), max_tokens, max_examples)
    with task_pipeline(task) as steps:
        stored = steps.stored()
        if dry_run:
            lane = stored.task_version_id, steps.encoder_id
            found = estimate_lane(steps.engine, lane, steps.teaching.teacher, max_examples)
            if as_json:
                emit_json({name: _plain(getattr(found, name)) for name in found.__slots__})
            else:
                _print_estimate(found)
            return
        set_limits(steps.engine, steps.file, limits, lift=no_limits)
        counts = {} if detach else steps.transform(stored)
        state = budget_of(steps.engine, steps.file)
        failure = steps.failed_transform(stored) if counts.get("failed") else None
    if as_json:
        emit_json({"rows": counts, "budget": None if state is None else _budget(state)})
    elif detach:
        talk.print("The limits are set; workers transform what waits." if state else "Workers transform what waits.")
    else:
        _print_outcome(counts, state)
    if failure is not None:
        said = f"{counts['failed']:,} rows failed for good, the first with: {failure}"
        if not counts.get("transformed", 0) + counts.get("distilled", 0):
            raise TeacherError(f"No row was transformed. {said}", hint="Mend the cause and run this again.")
        talk.print(f"{said}\n`rebase retry {task}` asks for them again.", markup=False, soft_wrap=True)


def _print_outcome(counts: dict[str, int], state: BudgetState | None) -> None:
    from cli.output import data, talk

    rows = ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
    talk.print(f"Rows: {rows}." if rows else "No row was retrieved yet.")
    if state is not None:
        data.print(_spent(state), soft_wrap=True)
        if state.exhausted and counts.get("retrieved"):
            talk.print(
                f"A limit ended it: {counts['retrieved']:,} rows still wait. Set a higher one to go on.", soft_wrap=True
            )


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
    if not any(row["calls"] for row in found.calls):
        talk.print("No call was made yet.")
        return
    counted = ("calls", "reused", "errors")
    lines = [
        (
            "all" if row["by"] == "all" else f"{row['by']} {row['name']}",
            *(row[name] for name in counted),
            row["prompt_tokens"] + row["completion_tokens"],
            _amount(row["cost"]),
            row["accepted"],
            _amount(row["cost_per_accepted"]),
        )
        for row in found.calls
    ]
    lines += [
        (f"judge {row['name']}", row["calls"], "", "", row["prompt_tokens"] + row["completion_tokens"],
         _amount(row["cost"]), "", "")
        for row in found.judges
    ]  # fmt: skip
    columns = ["of", *counted, "tokens", "cost", "accepted", "cost each"]
    table(columns, lines, numbers=columns[1:])
    if state is not None:
        data.print(_spent(state), soft_wrap=True)


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST:
        raise typer.BadParameter(
            f"{text!r} is no amount of money: write a number such as 2.50.", param_hint="--max-cost"
        )
    return amount


def _amount(money: Decimal | None) -> str:
    if money is None:
        return "-"
    if money >= MUCH_MONEY:
        return f"{money:,.2f}"
    return f"{money:.4f}" if money == 0 or money >= SMALLEST_MONEY else f"{money:.2e}"


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


def _limits(limits: Limits) -> dict[str, object]:
    return {"cost": _plain(limits.cost), "tokens": limits.tokens, "examples": limits.examples}


def _budget(state: BudgetState) -> dict[str, object]:
    return {
        "limits": _limits(state.limits),
        "spent": {"cost": _plain(state.spent_cost), "tokens": state.spent_tokens, "presumed": state.presumed_tokens},
        "held": {"cost": _plain(state.held_cost), "tokens": state.held_tokens},
        "exhausted": state.exhausted,
    }


def _spent(state: BudgetState) -> str:
    limits = state.limits
    parts = [f"{_of(f'{state.spent_tokens:,}', None if limits.tokens is None else f'{limits.tokens:,}')} tokens"]
    if state.spent_cost or limits.cost is not None:  # 0 is also what calls without a price add up to
        parts.append(f"cost {_of(_amount(state.spent_cost), None if limits.cost is None else _amount(limits.cost))}")
    if state.presumed_tokens:
        parts.append(f"{state.presumed_tokens:,} of the tokens presumed for calls without an end")
    if state.held_tokens:
        parts.append(f"{state.held_tokens:,} tokens set aside for calls under way")
    if limits.examples is not None:
        parts.append(f"ends at {limits.examples:,} accepted examples")
    return f"Spent so far: {'; '.join(parts)}."


def _of(spent: str, limit: str | None) -> str:
    return spent if limit is None else f"{spent} of {limit}"


def _print_estimate(found: Estimate) -> None:
    from cli.output import data, duration

    if not found.rows:
        data.print("No row waits for an answer: nothing would be sent.")
        return
    cut = f", {found.cut:,} of them cut to fit" if found.cut else ""
    stored = f"; {found.stored:,} rows get an answer that is stored" if found.stored else ""
    data.print(f"{found.rows:,} rows wait: {found.prompts:,} prompts to send{cut}{stored}.", soft_wrap=True)
    if not found.prompts:
        return
    answers = f"at most {found.most_answer_tokens:,} answer tokens"
    if found.answer_tokens is not None:
        answers = f"about {found.answer_tokens:,} answer tokens (at most {found.most_answer_tokens:,})"
    data.print(f"Tokens: about {found.prompt_tokens:,} of the prompts, {answers}.", soft_wrap=True)
    if found.most_cost is None:
        data.print("Cost: unknown, for the teacher has no input_price and output_price.")
    elif found.cost is None:
        data.print(f"Cost: at most {_amount(found.most_cost)}.")
    else:
        data.print(f"Cost: about {_amount(found.cost)} (at most {_amount(found.most_cost)}).")
    if found.seconds is not None:
        data.print(
            f"Time: about {duration(found.seconds)}, if answers take as long as they took so far.", soft_wrap=True
        )


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Steps of a task")(transform)
    app.command(rich_help_panel="Steps of a task")(costs)
