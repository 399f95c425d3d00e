"""Measuring a training run on a benchmark file, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.distill.runs import read_run
from rebase_db.errors import TrainingError
from rebase_db.evaluate.store import ItemPrediction, Score, find_score, register_benchmark, write_evaluation

if TYPE_CHECKING:
    from sqlalchemy import Engine

METRIC = "accuracy"


def evaluate_run(engine: Engine, training_run_id: int, benchmark_path: str) -> Score:
    """The accuracy of a finished run, computed once: the same run and benchmark find the score that is there.

    Raises:
        TrainingError: The run is not done, or its artifact is gone.
    """
    from rebase_db.evaluate.benchmark_file import read_benchmark

    file = read_benchmark(Path(benchmark_path))
    with engine.begin() as connection:
        benchmark_id = register_benchmark(connection, file, benchmark_path)
        score = find_score(connection, training_run_id, benchmark_id, METRIC)
        run = read_run(connection, training_run_id)
    if score is not None:
        return score
    if run.artifact_path is None:
        raise TrainingError(f"Training run {training_run_id} is {run.state}, so there is nothing to evaluate.")
    from rebase_db.distill.classifier import load_classifier
    from rebase_db.evaluate import metrics

    predictions = load_classifier(Path(run.artifact_path)).predict([item.input for item in file.items])
    gold = [item.output for item in file.items]
    answers = [
        ItemPrediction(item.position, prediction.label, prediction.score, metrics.same(prediction.label, item.output))
        for item, prediction in zip(file.items, predictions, strict=True)
    ]
    correct = sum(answer.correct for answer in answers)
    low, high = metrics.wilson_interval(correct, len(answers))
    score = Score(0, METRIC, correct / len(answers), low, high, metrics.majority_share(gold), len(answers))
    with engine.begin() as connection:
        write_evaluation(connection, training_run_id, benchmark_id, score, answers)
    return score
