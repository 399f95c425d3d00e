"""The model card of a student: Markdown behind YAML front matter, from the facts of its lineage alone.

The front matter follows the model hub's card format (base_model, model-index, ...), so that it is indexed there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class SourceFact:
    """A dataset with rows behind the training set: how many of its examples, and its licence ("" if unstated)."""

    dataset: str
    examples: int
    licence: str


@dataclass(frozen=True, slots=True)
class ScoreFact:
    """A score on a benchmark with its 95 % interval and the majority class's score; all shares of 1."""

    benchmark: str
    metric: str
    value: float
    low: float
    high: float
    majority: float
    items: int


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the database knows of a training run; hashes are 32 bytes, `prompt_hash` is None for a template teacher."""

    task: str
    instruction: str
    labels: Sequence[str]
    student: str
    base: str
    base_revision: str
    training_set: str
    manifest_hash: bytes
    examples: int
    sources: Sequence[SourceFact]
    teacher: str
    prompt_hash: bytes | None
    hyperparameters: Mapping[str, Any]
    seed: int
    code_version: str
    artifact_hash: bytes
    scores: Sequence[ScoreFact]


def render_model_card(facts: CardFacts) -> str:
    """The card as Markdown; the same facts give the same bytes."""
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True, width=1000)
    training = {
        "base model": f"{facts.base} ({facts.base_revision})",
        "training set": f"{facts.training_set}, {facts.examples} examples, manifest `{facts.manifest_hash.hex()}`",
        "teacher": facts.teacher,
        "prompt": "none" if facts.prompt_hash is None else f"`{facts.prompt_hash.hex()}`",
        **{name.replace("_", " "): value for name, value in sorted(facts.hyperparameters.items()) if name != "seed"},
        "seed": facts.seed,
        "made by": f"rebase-db {facts.code_version}",
        "artifact": f"`{facts.artifact_hash.hex()}`",
    }
    sections = [
        f"---\n{front}---",
        f"# {facts.task}",
        "\n".join(f"> {line}".rstrip() for line in facts.instruction.strip().splitlines()),
        f"A {facts.student} that answers with one of: {', '.join(facts.labels)}."
        if facts.labels
        else f"A {facts.student}.",
        "## Scores\n\n" + (_scores(facts.scores) if facts.scores else "Not evaluated."),
        "## Training\n\n" + _table(["what", "value"], [[name, value] for name, value in training.items()]),
        "## Sources\n\nThe licence of each dataset holds for what was derived from it.\n\n"
        + _table(["dataset", "examples", "licence"], [_source_row(source) for source in facts.sources]),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    front: dict[str, Any] = {
        "library_name": "transformers",
        "base_model": facts.base,
        "tags": ["rebase-db", "retrieval-based-distillation", facts.student],
    }
    if facts.student == "classifier":
        front["pipeline_tag"] = "text-classification"
    front["datasets"] = sorted({source.dataset for source in facts.sources})
    if facts.scores:
        results = [
            {
                "task": {"type": front.get("pipeline_tag", "text-generation"), "name": facts.task},
                "dataset": {"name": score.benchmark, "type": score.benchmark},
                "metrics": [{"type": score.metric, "value": round(score.value, 4)}],
            }
            for score in facts.scores
        ]
        front["model-index"] = [{"name": facts.task, "results": results}]
    return front


def _source_row(source: SourceFact) -> list[Any]:
    return [source.dataset, source.examples, source.licence or "not stated"]


def _scores(scores: Sequence[ScoreFact]) -> str:
    return _table(
        ["benchmark", "metric", "score", "95 % interval", "majority class", "items"],
        [
            [
                score.benchmark,
                score.metric,
                f"{score.value:.1%}",
                f"{score.low:.1%} to {score.high:.1%}",
                f"{score.majority:.1%}",
                score.items,
            ]
            for score in scores
        ],
    )


def _table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    # A bar or a line break in a dataset's name or licence would end the cell.
    return " ".join(str(value).split()).replace("|", "\\|")
