"""The model card of a student: Markdown behind YAML front matter in the model hub's format.

It names no licence for the model: what a model inherits of the data it was trained on is for its owner to decide, and
the duties are there to decide by.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.distill.student import CARD
from rebase_db.export.card import provenance, quoted, table
from rebase_db.export.facts import learned_facts, run_facts, set_facts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rebase_db.export.facts import RunFacts, SetFacts


def write_model_card(connection: Connection, training_run_id: int) -> Path:
    """Write a finished run's card beside its weights; it is not part of what the artifact's hash is over."""
    run = run_facts(connection, training_run_id)
    path = Path(run.artifact_path or "") / CARD
    learned = learned_facts(connection, set_facts(connection, run.training_set_id), run)
    path.write_text(model_card(learned, run), encoding="utf-8")
    return path


def model_card(training_set: SetFacts, run: RunFacts) -> str:
    """The card as Markdown; the same facts give the same bytes. The set's are of all that the run has learned from."""
    hashes = {
        "training set": f"{training_set.name}, {training_set.size} examples, "
        f"manifest `{training_set.manifest_hash.hex()}`",
        **{
            f"started from run {each['training_run_id']}": f"{each['training_set']}, {each['size']} examples, "
            f"manifest `{each['manifest_hash'].hex()}`; artifact `{each['artifact_hash'].hex()}`"
            for each in run.before
        },
        **({"examples learned from in all": training_set.examples} if run.before else {}),
        **{name.replace("_", " "): value for name, value in sorted(run.hyperparameters.items()) if name != "seed"},
        "seed": run.seed,
        "made by": f"rebase-db {run.code_version}",
        "artifact": f"`{run.artifact_hash.hex()}`" if run.artifact_hash else "none",
    }
    sections = [
        f"---\n{_front_matter(training_set, run)}\n---",
        f"# {training_set.task}",
        quoted(training_set.instruction),
        f"A {run.student} that answers with one of: {', '.join(training_set.labels)}."
        if training_set.labels
        else f"A {run.student}.",
        "## Scores\n\n" + _scores(run),
        "## Training\n\n"
        + table(["what", "value"], [["base model", f"{run.base} ({run.base_revision})"], *map(list, hashes.items())]),
        *provenance(training_set),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(training_set: SetFacts, run: RunFacts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    kind = "text-classification" if run.student == "classifier" else "text-generation"
    results = [
        EvalResult(
            task_type=kind,
            task_name=training_set.task,
            dataset_type=score["benchmark"],
            dataset_name=score["benchmark"],
            metric_type=score["metric"],
            metric_value=round(score["value"], 4),
        )
        for score in run.scores
    ]
    front = ModelCardData(
        library_name="transformers",
        base_model=run.base,
        tags=["rebase-db", "retrieval-based-distillation", run.student],
        pipeline_tag=kind,
        datasets=sorted(source.name for source in training_set.sources),
        model_name=training_set.task if results else None,
        eval_results=results or None,
    )
    yaml: str = front.to_yaml(line_break="\n")
    return yaml


def _scores(run: RunFacts) -> str:
    if not run.scores:
        return "Not evaluated."
    return table(
        ["benchmark", "metric", "score", "95 % interval", "majority class", "items"],
        [
            [
                score["benchmark"],
                score["metric"],
                f"{score['value']:.1%}",
                f"{score['low']:.1%} to {score['high']:.1%}",
                f"{score['majority']:.1%}",
                score["items"],
            ]
            for score in run.scores
        ],
    )
