"""`rebase what-if`: what another ranking of a task would change, and having it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.database import JsonOption
from cli.stages import TaskName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rebase_db.task.file import Retrieve
    from rebase_db.what_if.difference import Difference, Entrants, Part, Side

_DATASETS_SHOWN = 15
_WEIGHT_HELP = "What the {} score counts; only the proportion matters."


def what_if(
    task: TaskName,
    top_n: Annotated[int | None, typer.Option(min=1, help="Rows to keep.")] = None,
    scoring: Annotated[
        Literal["average-score", "average-rank", "max-rank"] | None, typer.Option(help="How part scores are combined.")
    ] = None,
    input_weight: Annotated[float | None, typer.Option(help=_WEIGHT_HELP.format("input"))] = None,
    output_weight: Annotated[float | None, typer.Option(help=_WEIGHT_HELP.format("output"))] = None,
    dataset_weight: Annotated[float | None, typer.Option(help=_WEIGHT_HELP.format("dataset"))] = None,
    max_share: Annotated[
        float | None, typer.Option(help="The largest share that one dataset may have of the rows to keep; 1 is all.")
    ] = None,
    mirrors: Annotated[
        Literal["first", "all"] | None, typer.Option(help="Of rows with equal content keep the best ranked, or all.")
    ] = None,
    exclude_dataset: Annotated[
        list[str] | None, typer.Option(help="Leave out datasets with this name or glob too; may be given again.")
    ] = None,
    exclude_licence: Annotated[
        list[str] | None,
        typer.Option(help="Leave out datasets under this licence, or with this duty, too; may be given again."),
    ] = None,
    include_dataset: Annotated[
        list[str] | None, typer.Option(help="Take in datasets that are left out now; may be given again.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK.KEY=VALUE", help="Another setting of a check; may be given again."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Have the ranking so.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what another ranking, or another cut of the checks, would change in a task's rows and training set.

    From what is stored: no row is scored again, and nobody is asked. What is not given is as in the present ranking.
    """
    import dataclasses

    from cli.output import emit_json
    from cli.session import open_database
    from rebase_db.task.store import find_task_file
    from rebase_db.what_if import answer, cuts
    from rebase_db.what_if.options import Options

    options = Options(
        top_n, scoring, input_weight, output_weight, dataset_weight, max_share, mirrors,
        tuple(exclude_dataset or ()), tuple(exclude_licence or ()), tuple(include_dataset or ()),
    )  # fmt: skip
    engine = open_database()
    with engine.connect() as connection:
        file = find_task_file(connection, task)
    changed = cuts.with_cuts(file, check or ())
    if apply and check:
        cuts.refuse_to_apply(file, changed)
    asked = answer.what_if(engine, file, changed, options)
    applied = _apply(task, asked) if apply else None
    keys = asked.settings.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        emit_json({**dataclasses.asdict(asked.difference), "settings": keys, "applied": applied})
        return
    _show(asked.difference)
    if applied is not None:
        _show_receipt(applied)
    if asked.settings != file.retrieve:
        _show_keys(asked.settings, file.retrieve, applied=apply)


def _apply(task: str, asked: Any) -> dict[str, int]:
    from cli.session import task_pipeline
    from rebase_db.what_if.answer import refuse_other_lane

    with task_pipeline(task) as steps:
        steps.refuse_if_paused()
        stored = steps.stored()
        refuse_other_lane(asked, task, (stored.task_version_id, steps.encoder_id))
        steps.file = steps.file.model_copy(update={"retrieve": asked.settings})
        steps.embed()
        return steps.retrieve(stored)


def _show(found: Difference) -> None:
    from cli.output import data, table, talk

    before, after = found.present, found.then
    lines: list[tuple[str, object, object]] = [
        ("rows", before.rows, after.rows),
        ("score at the cut", _score(before.cutoff_score), _score(after.cutoff_score)),
        ("examples in the set", before.examples, after.examples),
    ]
    lines += [(f"  {label}", number, (after.labels or {})[label]) for label, number in (before.labels or {}).items()]
    names = dict.fromkeys((*before.kept_out, *after.kept_out))
    lines += [(f"kept out by {name}", before.kept_out.get(name, 0), after.kept_out.get(name, 0)) for name in names]
    table(["", "now", "then"], lines, numbers=["now", "then"])
    data.print()
    data.print(
        f"{found.entering:,} rows enter, {found.leaving:,} leave, {found.staying:,} stay.", soft_wrap=True, markup=False
    )
    if found.entering:
        data.print(_entrants(found.entrants), soft_wrap=True, markup=False)
    for title, parts in (("dataset", found.datasets), ("licence", found.licences)):
        _show_parts(title, parts)
    for line in _asides(found, after):
        talk.print(line, soft_wrap=True, markup=False)


def _asides(found: Difference, after: Side) -> list[str]:
    said = []
    if after.rows < after.top_n:
        said.append(f"There are no more than {after.rows:,} rows to keep, of the {after.top_n:,} asked for.")
    if found.unscored:
        said.append(
            f"{found.unscored:,} rows came after the last retrieval and have no scores yet: they are not in this."
        )
    said += [
        f"{name} has not said anything of {number:,} of the examples: they are taken as they are."
        for name, number in after.unsaid.items()
    ]
    return said


def _show_parts(title: str, parts: Sequence[Part]) -> None:
    from cli.output import data, table, talk

    numbers = ["now", "then", "enter", "leave"]
    moving = [part for part in parts if part.entering or part.leaving]
    if not moving:
        return
    data.print()
    table(
        [title, *numbers],
        [[part.name, part.before, part.after, part.entering, part.leaving] for part in moving[:_DATASETS_SHOWN]],
        numbers=numbers,
    )
    if len(moving) > _DATASETS_SHOWN:
        talk.print(f"{len(moving) - _DATASETS_SHOWN:,} more {title}s change; --json has all.")


def _entrants(found: Entrants) -> str:
    parts = [
        (found.accepted, "have an example that is accepted"),
        (found.kept_out, "have one that a check keeps out"),
        (found.rejected, "had an answer that made no example"),
        (found.failed, "failed or were cancelled"),
        (found.to_ask, "would have to be asked for"),
    ]
    said = "; ".join(f"{number:,} {what}" for number, what in parts if number)
    return f"Of those that enter {said}{_takes(found) if found.to_ask else ''}."


def _takes(found: Entrants) -> str:
    if found.prompt_tokens is None or found.completion_tokens is None:
        return ", which nobody knows the cost of before the first call"
    if not found.prompt_tokens + found.completion_tokens:
        return ", of no model"
    money = "" if found.cost is None else f", at a cost of {found.cost:.4f}"
    return f" ({found.prompt_tokens:,} + {found.completion_tokens:,} tokens{money}, as calls took so far)"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _show_receipt(counts: Mapping[str, int]) -> None:
    from cli.output import talk

    talk.print(
        f"The ranking is that now: {counts['rows_entered']:,} entered, {counts['rows_kept']:,} kept, "
        f"{counts['rows_displaced']:,} displaced, {counts['mirrors_left_out']:,} mirrors left out.",
        soft_wrap=True,
    )


def _show_keys(settings: Retrieve, before: Retrieve, *, applied: bool) -> None:
    """What to write into the task file."""
    import yaml

    from cli.output import talk

    new, old = settings.model_dump(mode="json"), before.model_dump(mode="json")
    changed = {key: value for key, value in new.items() if value != old[key]}
    why = "The task file says otherwise" if applied else "--apply does it once"
    lines = yaml.safe_dump({"retrieve": changed}, sort_keys=False)
    talk.print(f"{why}; to keep it, write into the task file:\n{lines}", markup=False, end="", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("what-if", rich_help_panel="Steps of a task")(what_if)
