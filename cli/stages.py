"""`rebase retrieve`, `freeze`, `distill`, `evaluate`: one step of a task at a time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from cli.database import JsonOption

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="The name of a task that was added.")]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Only ask for it, print its number, and leave the work to `rebase work`.")
]


def retrieve(
    task: TaskName,
    top_n: Annotated[int | None, typer.Option(min=1, help="Rows to keep.")] = None,
    scoring: Annotated[
        Literal["average-score", "average-rank", "max-rank"] | None, typer.Option(help="How part scores are combined.")
    ] = None,
    exclude_dataset: Annotated[
        list[str] | None, typer.Option(help="Leave out datasets with this name or glob; may be given again.")
    ] = None,
    mirrors: Annotated[
        Literal["first", "all"] | None, typer.Option(help="Of rows with equal content keep the best ranked, or all.")
    ] = None,
    detach: DetachOption = False,
    as_json: JsonOption = False,
) -> None:
    """Rank every row of the corpus for a task and keep the nearest.

    Only rows that have no score for it yet are scored. Prints what that did to the datasets of which rows were scored
    or links changed; with --json to all.
    """
    from cli.output import data, talk
    from cli.session import task_pipeline

    asked = {"top_n": top_n, "scoring": scoring, "exclude_datasets": exclude_dataset, "mirrors": mirrors}
    changed = {name: value for name, value in asked.items() if value is not None}
    with task_pipeline(task) as steps:
        steps.file = steps.file.model_copy(update={"retrieve": steps.file.retrieve.model_copy(update=changed)})
        if detach:
            retrieval_id = steps.ask_retrieval(steps.stored())
            talk.print(f"Retrieval {retrieval_id} is left to workers; `rebase status` shows how far they are.")
            data.print(retrieval_id)
            return
        steps.refuse_if_paused()
        steps.embed()
        task_version = steps.stored()
        before = steps.retrieval_receipt(task_version)
        steps.retrieve(task_version)
        receipt = steps.retrieval_receipt(task_version)
    if receipt is not None:
        print_receipt(receipt, new=before is None or before["retrieval_id"] != receipt["retrieval_id"], as_json=as_json)


def print_receipt(receipt: dict[str, Any], *, new: bool, as_json: bool) -> None:
    """Print what a retrieval did; `new` if it was computed just now."""
    from cli.output import emit_json, table, talk

    if as_json:
        emit_json(receipt | {"new": new})
        return
    if not new:
        talk.print(f"Nothing has changed since retrieval {receipt['retrieval_id']}, which did this:")
    numbers = ("ranked", "scored", "entered", "returned", "kept", "displaced")
    changing = ("scored", "entered", "returned", "displaced")
    changed = [one for one in receipt["datasets"] if any(one[name] for name in changing)]
    if changed:
        table(("dataset", *numbers), [tuple(one.values()) for one in changed], numbers=numbers)
    kept = receipt["rows_kept"] - receipt["rows_returned"]
    talk.print(
        f"{receipt['rows_scored']:,} rows scored, {receipt['rows_scored_anew']:,} of them anew: "
        f"{receipt['rows_entered']:,} entered, {receipt['rows_returned']:,} returned, {kept:,} kept, "
        f"{receipt['rows_displaced']:,} displaced, {receipt['mirrors_left_out']:,} mirrors left out.",
        soft_wrap=True,
    )
    if receipt["cutoff_score"] is not None:
        before = receipt["previous_cutoff_score"]
        same = receipt["previous_scoring"] == receipt["scoring"] and before is not None
        was = f", before {before:.4f}" if same else ""
        talk.print(f"The {receipt['scoring']} at the cut is {receipt['cutoff_score']:.4f}{was}.")


def freeze(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="The name of a task that was added.")] = None,
    name: Annotated[str | None, typer.Option(help="A name for the set.")] = None,
    successor_of: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="Freeze this set (set:NAME or its name) anew, in the same order, without what is retracted by now.",
        ),
    ] = None,
) -> None:
    """Freeze the accepted examples as a training set and print its name."""
    from cli.output import data, talk
    from cli.session import task_pipeline
    from rebase_db.licence.verdict import verdict_on_set, warnings

    if successor_of is not None:
        _freeze_successor(successor_of.removeprefix("set:"), task, name)
        return
    if task is None:
        raise typer.BadParameter("Name a task, or a set with --successor-of.")
    with task_pipeline(task) as steps:
        frozen = steps.freeze(steps.stored(), name)
        with steps.engine.connect() as connection:
            licences = list(warnings(verdict_on_set(connection, frozen.training_set_id)))
    talk.print(f"{frozen.size:,} examples, manifest {frozen.manifest_hash.hex()}")
    for line in licences:
        talk.print(line, markup=False, soft_wrap=True)
    data.print(frozen.name, markup=False, soft_wrap=True)


def _freeze_successor(set_name: str, task: str | None, name: str | None) -> None:
    from cli.output import data, talk
    from cli.session import open_database
    from rebase_db.distill.successor import freeze_successor

    with open_database().begin() as connection:
        found = freeze_successor(connection, set_name, task=task, name=name)
    if not found.left_out:
        talk.print(f"Nothing of {set_name} is retracted, so no other set is needed.", markup=False, soft_wrap=True)
    else:
        how = "left out" if found.made else "were left out before"
        talk.print(
            f"{found.frozen.size:,} examples, {found.left_out:,} of {set_name} {how}, "
            f"manifest {found.frozen.manifest_hash.hex()}",
            markup=False,
            soft_wrap=True,
        )
    data.print(found.frozen.name, markup=False, soft_wrap=True)


def distill(
    task: TaskName,
    training_set: Annotated[str | None, typer.Option(help="A frozen set; by default the present examples.")] = None,
    parent: Annotated[
        int | None, typer.Option(metavar="RUN", help="Start from this run's weights instead of the base model's.")
    ] = None,
    on: Annotated[
        Literal["new", "all"],
        typer.Option(help="With --parent: learn what that run has not learned from, or all of the set."),
    ] = "new",
    detach: DetachOption = False,
) -> None:
    """Train the task's student and print the run's number."""
    from cli.output import data, talk
    from cli.session import task_pipeline
    from rebase_db.distill.training_set import find_training_set

    with task_pipeline(task) as steps:
        steps.refuse_if_paused()
        if training_set is None:
            frozen = steps.freeze(steps.stored())
        else:
            with steps.engine.connect() as connection:
                frozen = find_training_set(connection, training_set)
        if detach:
            run_id = steps.ask_distill(frozen, parent, on)
            talk.print(f"Training run {run_id} is left to workers; `rebase status` shows how far it is.")
        else:
            run_id = steps.distill(frozen, parent, on)
        data.print(run_id)


def evaluate(task: TaskName, run: Annotated[int, typer.Option(help="The training run's number.")]) -> None:
    """Measure a training run on the task's benchmark."""
    from cli.output import data
    from cli.session import task_pipeline

    with task_pipeline(task) as steps:
        score = steps.evaluate(run)
    data.print(
        f"{score.metric} {score.value:.3f} (95 % interval {score.low:.3f} to {score.high:.3f}), "
        f"{score.items:,} items, majority class {score.majority:.3f}"
    )


def add_to(app: typer.Typer) -> None:
    """Register the command that comes before the teacher's."""
    app.command(rich_help_panel="Steps of a task")(retrieve)


def add_later_to(app: typer.Typer) -> None:
    """Register those that come after examples are made and checked."""
    for command in (freeze, distill, evaluate):
        app.command(rich_help_panel="Steps of a task")(command)
