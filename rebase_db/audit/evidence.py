"""What the texts of outputs and rows have in common: the words, and pairs of words, that few others have.

Numbers and names are words too, which is what is left of a row that was translated. Which words say something is seen
from the data alone: one that many rows have, or many outputs (the form of a prompt, "premise", "which of the
following"), weighs little. Weights are in nats: a word that one in 1,000 has weighs ln 1000 = 6.9.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rebase_db.check.normal import plain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_LEAST_WEIGHT = 1.5
EDGES = np.array([1e-6, 4, 8, 14, 22, 32, 50], dtype=np.float32)
"""Between the levels of evidence: sums of weights. Level 0 is nothing in common, the highest is plain quotation."""
LEVELS = len(EDGES) + 1


def every_word(word: str) -> bool:
    """Takes all words as evidence."""
    del word
    return True


def features(texts: Iterable[str], use: Callable[[str], bool] = every_word) -> frozenset[str]:
    """The words of texts for which `use` holds, and the pairs of neighbours of such words."""
    found: set[str] = set()
    for text in texts:
        words = plain_words(text)
        used = [use(word) for word in words]
        found.update(word for word, one in zip(words, used, strict=True) if one)
        found.update(
            f"{words[place]} {words[place + 1]}" for place in range(len(words) - 1) if used[place] and used[place + 1]
        )
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What `outputs` and `rows` share: their features, and the weight of each feature that both sides have."""

    outputs: Sequence[frozenset[str]]
    rows: Sequence[frozenset[str]]
    weights: dict[str, float]

    @classmethod
    def between(cls, outputs: Sequence[frozenset[str]], rows: Sequence[frozenset[str]]) -> Evidence:
        """Weigh the features of both sides."""
        of_outputs = Counter(feature for each in outputs for feature in each)
        of_rows = Counter(feature for each in rows for feature in each)
        weights = {}
        for feature, count in of_outputs.items():
            if feature in of_rows:
                weight = min(math.log(len(outputs) / count), math.log(len(rows) / of_rows[feature]))
                if weight > _LEAST_WEIGHT:
                    weights[feature] = weight
        return cls(outputs, rows, weights)

    def sums(self) -> Iterator[NDArray[np.float32]]:
        """For each output the sum of weights of what it shares with each row, in nats."""
        holders: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(self.rows):
            for feature in row:
                if feature in self.weights:
                    holders[feature].append(place)
        arrays = {feature: np.array(places) for feature, places in holders.items()}
        for output in self.outputs:
            sums = np.zeros(len(self.rows), dtype=np.float32)
            # In one order everywhere: sums of floats depend on it, and they are cut into levels.
            for feature in sorted(each for each in output if each in arrays):
                sums[arrays[feature]] += self.weights[feature]
            yield sums

    def levels(self) -> NDArray[np.int8]:
        """The level of evidence between each output and each row, shape (outputs, rows)."""
        levels = np.zeros((len(self.outputs), len(self.rows)), dtype=np.int8)
        for place, sums in enumerate(self.sums()):
            levels[place] = np.searchsorted(EDGES, sums, side="right")
        return levels

    def contents(self) -> NDArray[np.int64]:
        """A number for each row, the same for rows with the same features."""
        numbers: dict[frozenset[str], int] = {}
        return np.array([numbers.setdefault(row, len(numbers)) for row in self.rows], dtype=np.int64)

    def weight(self, output: int, row: int) -> float:
        """The sum of weights of what an output and a row share, in nats."""
        return sum(self.weights.get(feature, 0.0) for feature in self.outputs[output] & self.rows[row])

    def shared(self, output: int, row: int, most: int = 5) -> list[str]:
        """The features an output and a row share, the weightiest first; no word twice."""
        both = [feature for feature in self.outputs[output] & self.rows[row] if feature in self.weights]
        chosen: list[str] = []
        seen: set[str] = set()
        for feature in sorted(both, key=lambda each: (-self.weights[each], -len(each), each)):
            if not seen & set(feature.split()):
                chosen.append(feature)
                seen.update(feature.split())
        return chosen[:most]
