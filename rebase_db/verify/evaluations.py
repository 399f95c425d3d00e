"""Scores, recomputed from the predictions behind them."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rebase_db.evaluate.metrics import normalise, same, wilson_interval
from rebase_db.evaluate.run import METRIC
from rebase_db.verify.lie import Lie
from rebase_db.verify.read import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

PREDICTIONS = """\
SELECT
    evaluation.evaluation_id, evaluation.metric, evaluation.items, evaluation.value, evaluation.low, evaluation.high,
    evaluation.majority, item.position, item.output, prediction.output, prediction.correct
FROM evaluation
LEFT JOIN benchmark_item AS item USING (benchmark_id)
LEFT JOIN prediction
    ON prediction.evaluation_id = evaluation.evaluation_id AND prediction.position = item.position
ORDER BY evaluation.evaluation_id"""


def check_evaluations(connection: Connection) -> Iterator[Lie]:
    """A prediction for every item, each judged right; and value, interval and majority as these give them."""
    for (number, metric, *stated), rows in groupby(stream(connection, PREDICTIONS), key=itemgetter(*range(7))):
        gold: Counter[str] = Counter()
        correct = 0
        for *_, position, expected, output, judged in rows:
            if output is None:
                if position is not None:
                    yield Lie("evaluation", {"evaluation_id": number}, f"there is no prediction of item {position}")
                continue
            gold[normalise(expected)] += 1
            right = same(output, expected)
            correct += right
            if right != judged:
                key = {"evaluation_id": number, "position": position}
                yield Lie("prediction", key, "correct is not what its output says", str(right), str(judged))
        items = gold.total()
        if metric != METRIC or not items:
            continue
        low, high = wilson_interval(correct, items)
        truth = (items, correct / items, low, high, max(gold.values()) / items)
        for name, true, found in zip(("items", "value", "low", "high", "majority"), truth, stated, strict=True):
            if true != found:
                what = f"{name} is not what its predictions say"
                yield Lie("evaluation", {"evaluation_id": number}, what, str(true), str(found))
