"""Texts of a registered benchmark in what students are to be trained on.

Items are known by their word n-grams, `words` words long. Half of an n-gram's words at least must be the item's own:
phrases of five words that many items of a benchmark have are the form of its questions ("… is a humorous edit of this
artist …"), and any example of the same task has to share them. An item that is nothing but form, or has no text of
`words` words, is found where it is the whole text, or stands in it whole and is short; then it must have 5 words and 10
characters: below that, sharing it is chance. Hits are found by hash and then read word by word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rebase_db.check.define import excerpt
from rebase_db.check.normal import joined, ngram_hashes, plain_words, repeat_key, word_hashes, words
from rebase_db.check.verdict import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_LEAST_WORDS = 5
_LEAST_CHARACTERS = 10
# A phrase of more items of a benchmark than this, and than this share of them, is form. One SQuAD passage has up to
# some 25 questions, each an item that holds the whole passage.
_PHRASE = 5
_FORM_ITEMS = 30
_FORM_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One item of a benchmark; `item_id` as its file has it."""

    benchmark: str
    item_id: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of an item: all its words; of a short one, its words and signs as well, since the rest is so little."""

    item: int
    words: tuple[str, ...]
    short: str | None


class GramIndex:
    """The n-grams of benchmarks' items, made once, then asked of many texts.

    Raises:
        ValueError: `words` is below 1.
    """

    def __init__(self, items: Iterable[BenchmarkItem], words: int = 13) -> None:
        if words < 1:
            raise ValueError(f"n-grams of {words} words cannot be made: give at least 1")
        self._n = words
        self._items: list[tuple[str, str]] = []
        self._texts: list[_Text] = []
        self._whole: dict[str, int] = {}
        for place, item in enumerate(items):
            self._items.append((item.benchmark, item.item_id))
            self._texts.extend(self._read(place, item))
        self._short_lengths = sorted({len(one.words) for one in self._texts if one.short is not None})
        self._make_grams()

    def __len__(self) -> int:
        """Items, those without a text long enough to be found among them."""
        return len(self._items)

    def _read(self, place: int, item: BenchmarkItem) -> Iterator[_Text]:
        texts = (item.input, item.output)
        taken = [tuple(plain_words(text)) for text in texts]
        # The short answer to a long question is no item by itself.
        long = any(len(parts) >= self._n for parts in taken)
        for text, parts in zip(texts, taken, strict=True):
            if len(parts) >= self._n:
                yield _Text(place, parts, None)
                self._whole.setdefault(repeat_key(text), place)
            elif not long and len(parts) >= _LEAST_WORDS and len(joined(short := words(text))) >= _LEAST_CHARACTERS:
                yield _Text(place, parts, f" {' '.join(short)} ")

    def _make_grams(self) -> None:
        lengths = np.fromiter((len(one.words) for one in self._texts), dtype=np.int64, count=len(self._texts))
        text = np.repeat(np.arange(len(lengths)), lengths)
        place = np.arange(len(text)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        items = np.fromiter((one.item for one in self._texts), dtype=np.int64, count=len(self._texts))
        hashes = word_hashes(word for one in self._texts for word in one.words)
        gram = ngram_hashes(hashes, self._n)
        inside = place[: len(gram)] + self._n <= lengths[text[: len(gram)]]
        own = np.concatenate(([0], np.cumsum(~self._form(hashes, text, place, lengths, items))))
        kept = np.flatnonzero(inside & (2 * (own[self._n :][: len(gram)] - own[: len(gram)]) >= self._n))
        gram, text, place = gram[kept], text[kept], place[kept]
        short = [number for number, one in enumerate(self._texts) if one.short is not None]
        whole = [ngram_hashes(word_hashes(self._texts[one].words), len(self._texts[one].words)) for one in short]
        gram = np.concatenate([gram, *whole])
        text = np.concatenate([text, np.array(short, dtype=np.int64)])
        place = np.concatenate([place, np.zeros(len(short), dtype=np.int64)])
        # One entry for each n-gram of an item, however often it has it.
        item = items[text]
        order = np.lexsort((item, gram))
        gram, item, text, place = gram[order], item[order], text[order], place[order]
        first = np.ones(len(gram), dtype=np.bool_)
        first[1:] = (gram[1:] != gram[:-1]) | (item[1:] != item[:-1])
        self._gram, self._item, self._text, self._start = gram[first], item[first], text[first], place[first]
        self._total = np.bincount(self._item, minlength=len(self._items))

    def _form(
        self,
        hashes: NDArray[np.uint64],
        text: NDArray[np.int64],
        place: NDArray[np.int64],
        lengths: NDArray[np.int64],
        items: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Of each word of all texts, whether it is in a phrase that too many items of its benchmark have."""
        size = min(_PHRASE, self._n)
        phrase = ngram_hashes(hashes, size)
        starts = np.flatnonzero(place[: len(phrase)] + size <= lengths[text[: len(phrase)]])
        names = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in self._items))}
        of_item = np.fromiter((names[name] for name, _ in self._items), dtype=np.int64, count=len(self._items))
        most = np.maximum(_FORM_ITEMS, _FORM_SHARE * np.bincount(of_item, minlength=len(names)))
        item = items[text[starts]]
        _, number = np.unique(phrase[starts], return_inverse=True)
        pairs = np.unique(number * max(1, len(self._items)) + item)
        phrases, benchmarks = pairs // max(1, len(self._items)), of_item[pairs % max(1, len(self._items))]
        keys, counts = np.unique(phrases * max(1, len(names)) + benchmarks, return_counts=True)
        common = keys[counts > most[keys % max(1, len(names))]] if len(keys) else keys
        begins = starts[np.isin(number * max(1, len(names)) + of_item[item], common)]
        form = np.zeros(len(hashes), dtype=np.bool_)
        for offset in range(size):
            form[begins + offset] = True
        return form

    def find(self, text: str, overlap: float = 0.0) -> Finding:
        """What `text` shares with the item it shares the largest part of.

        Args:
            text: Of an example or of a cell.
            overlap: From 0 to 1: the share of an item's n-grams that must be there; at 0, one is enough.

        Returns:
            Score: that share, 0 where nothing is shared. Evidence: the benchmark, the item, the share of its n-grams,
            how many items have something in `text`, and words that both have.
        """
        whole = self._whole.get(repeat_key(text))
        if whole is not None:
            benchmark, item_id = self._items[whole]
            evidence = {"benchmark": benchmark, "item": item_id, "overlap": 1.0, "items": 1, "text": excerpt(text)}
            return Finding(failed=True, score=1.0, evidence=evidence)
        shared = self._shared(plain_words(text), text)
        if not shared:
            return Finding(failed=False, score=0.0)
        share = {item: len(entries) / int(self._total[item]) for item, entries in shared.items()}
        item = max(share, key=lambda place: (share[place], -place))
        if share[item] < overlap:
            return Finding(failed=False, score=share[item])
        benchmark, item_id = self._items[item]
        evidence = {
            "benchmark": benchmark,
            "item": item_id,
            "overlap": round(share[item], 4),
            "items": sum(one >= overlap for one in share.values()),
            "text": excerpt(" ".join(self._words_of(min(shared[item], key=lambda one: int(self._start[one]))))),
        }
        return Finding(failed=True, score=share[item], evidence=evidence)

    def find_in(self, texts: Mapping[str, str], overlap: float = 0.0) -> Finding:
        """The same for several texts, such as a row's cells; evidence also names the text (`field`)."""
        worst = Finding(failed=False, score=0.0)
        for name, text in texts.items():
            finding = self.find(text, overlap)
            if (finding.failed, finding.score) > (worst.failed, worst.score):
                worst = Finding(finding.failed, finding.score, {"field": name, **finding.evidence})
        return Finding(worst.failed, worst.score, worst.evidence if worst.failed else {})

    def _words_of(self, entry: int) -> tuple[str, ...]:
        start = int(self._start[entry])
        return self._texts[int(self._text[entry])].words[start : start + self._n]

    def _shared(self, parts: Sequence[str], text: str) -> dict[int, list[int]]:
        """Entries of the index that are in the text, by item."""
        hashes = word_hashes(parts)
        shared: dict[int, list[int]] = {}
        signed: str | None = None
        for n in {self._n, *self._short_lengths}:
            grams = ngram_hashes(hashes, n)
            lows = np.searchsorted(self._gram, grams, side="left")
            highs = np.searchsorted(self._gram, grams, side="right")
            seen: set[int] = set()
            for place in np.flatnonzero(highs > lows).tolist():
                low = int(lows[place])
                if low in seen:
                    continue
                seen.add(low)
                here = tuple(parts[place : place + n])
                for entry in range(low, int(highs[place])):
                    if self._words_of(entry) != here:
                        continue
                    short = self._texts[int(self._text[entry])].short
                    if short is not None:
                        signed = signed if signed is not None else f" {' '.join(words(text))} "
                        if short not in signed:
                            continue
                    shared.setdefault(int(self._item[entry]), []).append(entry)
        return shared
