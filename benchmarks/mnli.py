"""MNLI from real data, end to end: the whole corpus and one large NLI dataset in, a template teacher, the classifier.

Nothing of MNLI is among the sources. The score is the accuracy on 3,000 items of MNLI's matched development set, beside
the majority class.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import yaml

from benchmarks.common import arguments, data_folder, fresh_database, server
from benchmarks.real_corpus import fill_vectors, load_corpus
from cli.output import TerminalReporter
from rebase_db.lease import Lease
from rebase_db.task.load import load_task
from workers.pipeline import Pipeline

INPUT = "Premise: {{ %s }} Hypothesis: {{ %s }}"
LABELS = {"entailment": "Entailment", "entails": "Entailment", "neutral": "Neutral", "contradiction": "Contradiction"}


def rule(premise: str, hypothesis: str, label: str) -> dict[str, object]:
    """How rows with these columns become examples."""
    return {
        "columns": [premise, hypothesis, label],
        "input": INPUT % (premise, hypothesis),
        "output": "{{ " + label + " }}",
        "labels": LABELS,
    }


def task(data: Path, folder: Path, top_n: int, epochs: int) -> Path:
    """The task file, with the instruction and examples of the published MNLI task."""
    published = json.loads((data / "tasks.json").read_text())["mnli"]
    wanted = {
        "name": "mnli",
        "instruction": published["instruction"],
        "retrieval_instruction": published["retrieval_instruction"],
        "labels": ["Entailment", "Neutral", "Contradiction"],
        "examples": published["retrieval_examples"],
        "sources": [str(data / "corpus"), str(data / "extra" / "counterfactual_nli")],
        "retrieve": {"top_n": top_n},
        "teacher": {
            "provider": "template",
            "rules": [rule("premise", "hypothesis", "label"), rule("sentence1", "sentence2", "gold_label")],
        },
        "student": {"kind": "classifier", "epochs": epochs, "max_tokens": 96},
        "evaluate": {"benchmark": str(data / "eval" / "mnli_dev_matched_3000.jsonl")},
    }
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(wanted, sort_keys=False))
    return path


def main() -> None:
    """Run and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--top-n", type=int, default=9000)
    parser.add_argument("--epochs", type=int, default=2)
    parsed = parser.parse_args()
    data = data_folder(parsed)
    with tempfile.TemporaryDirectory() as folder, server() as url, fresh_database(url) as engine:
        file = load_task(task(data, Path(folder), parsed.top_n, parsed.epochs))
        load_corpus(engine, file.sources)
        fill_vectors(engine, data)
        with Lease(engine) as lease:
            summary = Pipeline(engine, lease, TerminalReporter(), file).run()
    score = summary.score
    if score is None:
        raise SystemExit("no score")
    print(f"retrieved {summary.retrieval['rows_linked']:,} of {summary.retrieval['rows_scored']:,} rows")
    print(f"accepted {summary.training_set.size:,} examples: {summary.links}")
    print(f"accuracy {score.value:.3f}, 95 % interval {score.low:.3f} to {score.high:.3f}, {score.items:,} items")
    print(f"majority class {score.majority:.3f}")


if __name__ == "__main__":
    main()
