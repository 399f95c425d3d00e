"""Which row each output was made from, where nothing says so: the likeliest way through the rows, by text and order.

Published outputs stand in the order of their ranking, but those that failed are missing without a trace: output j was
made from row j + d, with a d that grows where something is missing. This is a hidden Markov model. The state is the
row; a step goes to the next row, now and then further (over missing outputs) or back, rarely anywhere, and some outputs
come from none of the rows. What a state shows is the level of evidence between the output and its row. How often a
level occurs with an output's own row, and how often a step goes further, are learned from the data itself (expectation
maximisation); how often it occurs by chance is counted. The forward and backward pass give the probability of each row
for each output, given all the others.

Whether the order means anything at all is a hypothesis too. It must earn its probability by explaining the evidence
better than chance does, else every confidence stays below `PRIOR_ORDER`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rebase_db.audit.evidence import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_PAIRS = 50_000_000
"""Outputs times rows that are aligned by their order, in at most some 900 MB."""
PRIOR_ORDER = 0.3
"""How likely it is, before any text is read, that outputs are in the order of the ranking."""
MOST_CONFIDENT = 0.999
KEPT = 4
LEAST = 0.02
_ITERATIONS = 8
_SMOOTHING = 50.0
# In nats: beyond the first a gain decides, below the second it changes no decision.
_CERTAIN, _ENOUGH = 100.0, 1.0
# Nats an output; no order of texts that are merely alike gains as much.
_BEYOND_CHANCE = 2.0
# Over how many missing outputs a step goes is geometric; up to 32 of them, and the rest is left to jumps.
_FURTHER, _DOUBLINGS = 0.6, (1, 2, 4, 8, 16)
_MOST_BACK = 4
# Not learned: with enough jumps, or steps of any length, any outputs fit any rows, each on the row that is by chance
# most like it. So the share of steps over missing outputs is learned, within bounds, and nothing else of the order.
_JUMP, _STAY_OR_BACK = 0.0005, 0.002
_MOST_OVER, _MOST_INSERTED = 0.2, 0.1
# Pseudo-counts, of which the data's own are soon many more: to the next row, over missing ones, to none.
_COUNTS = np.array([50.0, 1.0, 0.2])
_SHOWN = np.array([8.0] + [2.0] * (LEVELS - 1))
# What fitting the model to the data gains by chance, in nats: half a logarithm a parameter (BIC), roughly.
_FITTED = LEVELS + 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that an output may come from.

    Args:
        row: Its place among the rows, from 0.
        probability: Given all the evidence there is.
        by_text: What the output's own text says without the order, of the row or one with the same content.
        by_order: What the other outputs say without this output's text; 0 where order was not looked at.
    """

    row: int
    probability: float
    by_text: float
    by_order: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """For each output the likeliest rows, the likeliest first.

    Args:
        candidates: By output.
        order: How likely it is that outputs and rows have one order.
        shown: The share of outputs with each level of evidence to their own row, as it was learned.
        by_chance: The share of all pairs with each level.
    """

    candidates: list[list[Candidate]]
    order: float
    shown: list[float]
    by_chance: list[float]


@dataclass(slots=True)
class _Model:
    """Probabilities: to go to the next row, over missing outputs, to use no row, and of the level an output shows."""

    onward: float
    over: float
    inserted: float
    shown: Floats

    @classmethod
    def of_counts(cls, counts: Floats, shown: Floats) -> _Model:
        """From how often a step went to the next row, over missing ones, and how often an output used no row."""
        over, inserted = np.minimum(counts[1:] / counts.sum(), (_MOST_OVER, _MOST_INSERTED)).tolist()
        ordered = 1 - _JUMP - _STAY_OR_BACK
        return cls(ordered * (1 - over - inserted), ordered * over, ordered * inserted, shown / shown.sum())


def align(levels: NDArray[np.int8], contents: NDArray[np.int64] | None = None) -> Alignment:
    """Align outputs with rows that are in the same order but for what is missing.

    Args:
        levels: Of evidence between each output and each row, shape (outputs, rows), from 0 to `LEVELS` - 1; at most
            `MOST_PAIRS` of them.
        contents: A number for each row, the same for rows of the same content, which no text can tell apart.
    """
    model, passed = _fit(levels)
    by_chance = 0.0
    if passed.likelihood < _BEYOND_CHANCE * len(levels):
        # What texts that are merely alike gain from being put in an order is seen from an order that is surely wrong.
        by_chance = max(0.0, _fit(levels[:, ::-1])[1].likelihood)
    gain = passed.likelihood - by_chance - _FITTED * math.log(len(levels) + 1) / 2
    odds = PRIOR_ORDER / (1 - PRIOR_ORDER) * math.exp(min(max(gain, -_CERTAIN), _CERTAIN))
    order = min(MOST_CONFIDENT, odds / (1 + odds))
    if contents is None:
        contents = np.arange(levels.shape[1])
    candidates = passed.candidates(order, contents)
    return Alignment(candidates, order, model.shown.tolist(), passed.chance.everywhere.tolist())


def _fit(levels: NDArray[np.int8]) -> tuple[_Model, _Pass]:
    """The model learned from the data, and the pass over the data under it."""
    chance, model = _Chance(levels), _Model.of_counts(_COUNTS, _SHOWN)
    passed = _Pass(chance, model)
    for _ in range(_ITERATIONS):
        model, before = passed.learn(), passed.likelihood
        del passed  # a pass holds as many numbers as there are pairs
        passed = _Pass(chance, model)
        if passed.likelihood - before < _ENOUGH:
            break
    return model, passed


class _Chance:
    """How often a level occurs between an output and a row that have nothing to do with each other.

    A long row has words of every output, and an output that is nothing but form those of every row: what counts is how
    often the level occurs with this row, or with this output, in other pairs, whichever is more.
    """

    def __init__(self, levels: NDArray[np.int8]) -> None:
        outputs, rows = levels.shape
        self.levels = levels
        counts = np.bincount(levels.ravel(), minlength=LEVELS) + 0.5
        self.everywhere: Floats = counts / counts.sum()
        of_rows = np.stack([(levels == level).sum(axis=0) for level in range(LEVELS)], axis=1)
        of_outputs = np.stack([(levels == level).sum(axis=1) for level in range(LEVELS)], axis=1)
        # Less the pair itself, whose level is what is to be judged.
        by_row = self._smoothed(of_rows, outputs)
        by_output = self._smoothed(of_outputs, rows)
        self.of = np.empty((outputs, rows), dtype=np.float32)
        """For each output and row, how often their level occurs by chance."""
        places = np.arange(rows)
        for output, level in enumerate(levels):
            self.of[output] = np.sqrt(by_row[places, level] * by_output[output, level])

    def _smoothed(self, counts: NDArray[np.int64], total: int) -> Floats:
        others = np.maximum(counts - 1.0, 0.0)
        return np.asarray((others + _SMOOTHING * self.everywhere) / (total - 1 + _SMOOTHING), dtype=np.float64)


def _further(weights: Floats) -> Floats:
    """At each place the weights of the places before it, each by how likely a step goes as much too far."""
    summed = weights * (1 - _FURTHER)
    for places in _DOUBLINGS:
        added = summed[:-places] * _FURTHER**places
        summed[places:] += added
    return np.concatenate(([0.0], summed[:-1]))


class _Pass:
    """One forward pass over the outputs; going back then gives counts to learn from, or the candidates.

    `last` is the distribution of the row that was used last, one place further: place 0 is "none yet".
    """

    def __init__(self, chance: _Chance, model: _Model) -> None:
        self.chance, self.levels, self.model = chance, chance.levels, model
        outputs, rows = self.levels.shape
        self.lasts = np.zeros((outputs + 1, rows + 1), dtype=np.float32)
        self.scales = np.zeros(outputs)
        self.lasts[0, 0] = 1
        for output in range(outputs):
            last = self.lasts[output].astype(np.float64)
            made = self._step(last) * self._ratio(output)
            after = model.inserted * last
            after[1:] += made
            self.scales[output] = after.sum()
            self.lasts[output + 1] = after / self.scales[output]
        self.likelihood = float(np.log(self.scales).sum())

    def _ratio(self, output: int) -> Floats:
        """For each row, how much likelier its level with an output is if the output was made from it."""
        return np.asarray(self.model.shown[self.levels[output]] / self.chance.of[output])

    def _step(self, last: Floats) -> Floats:
        """The distribution of the next row, before its text is seen; what steps out at the end is lost."""
        rows = len(last) - 1
        # The last row is one less than its place, so the next row is the place.
        made = self.model.onward * last[:-1] + self.model.over * _further(last)[:-1]
        for back in range(min(_MOST_BACK, rows)):
            made[: rows - back] += _STAY_OR_BACK / _MOST_BACK * last[1 + back :]
        return np.asarray(made + _JUMP * last.sum() / rows)

    def _back(self, output: int, later: Floats) -> tuple[Floats, Floats]:
        """From what comes after an output: the weight of each row it may use, and the same before it, by last row."""
        ahead = self._ratio(output) * later[1:] / self.scales[output]
        before = self.model.inserted * later / self.scales[output] + _JUMP * ahead.mean()
        before[:-1] += self.model.onward * ahead
        before[:-1] += self.model.over * _further(ahead[::-1])[::-1]
        for back in range(min(_MOST_BACK, len(ahead))):
            before[1 + back :] += _STAY_OR_BACK / _MOST_BACK * ahead[: len(ahead) - back]
        return ahead, before

    def learn(self) -> _Model:
        """The model that the data would have been drawn from, were this one right."""
        model, later = self.model, np.ones(self.lasts.shape[1])
        shown = _SHOWN.copy()
        counts = _COUNTS.copy()
        for output in range(len(self.scales) - 1, -1, -1):
            last = self.lasts[output].astype(np.float64)
            ahead, before = self._back(output, later)
            counts[0] += model.onward * last[:-1] @ ahead
            counts[1] += model.over * _further(last)[:-1] @ ahead
            counts[2] += model.inserted * (last @ later) / self.scales[output]
            shown += np.bincount(self.levels[output], weights=self._step(last) * ahead, minlength=LEVELS)
            later = before
        return _Model.of_counts(counts, shown)

    def candidates(self, order: float, contents: NDArray[np.int64]) -> list[list[Candidate]]:
        """The likeliest rows of each output, their probabilities times that of the order."""
        found: list[list[Candidate]] = []
        later = np.ones(self.lasts.shape[1])
        for output in range(len(self.scales) - 1, -1, -1):
            last = self.lasts[output].astype(np.float64)
            ratio = self._ratio(output)
            expected = self._step(last)
            used = expected * ratio * later[1:]
            elsewhere = float((self.model.inserted * last * later).sum())
            probability = used / (used.sum() + elsewhere)
            by_order = expected * later[1:]
            by_order /= by_order.sum() + elsewhere
            by_text = np.bincount(contents, weights=ratio)[contents] / ratio.sum()
            best = np.argpartition(-probability, min(KEPT, len(probability)) - 1)[:KEPT]
            best = best[np.lexsort((best, -probability[best]))]
            found.append(
                [
                    Candidate(
                        int(row),
                        min(MOST_CONFIDENT, order * float(probability[row])),
                        float(by_text[row]),
                        float(by_order[row]),
                    )
                    for row in best
                    if order * probability[row] >= LEAST
                ]
            )
            _, later = self._back(output, later)
        return found[::-1]
