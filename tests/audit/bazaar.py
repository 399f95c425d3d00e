"""A small publication in the form of the authors of ReBase, made up here, with known defects at known places.

40 reviews of stalls, half of them in a mirror as well, are ranked; an output was made of each ranked row,
but two answers were lost. Some outputs keep nothing of their row's words.
"""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.task.file import TaskFile

if TYPE_CHECKING:
    from pathlib import Path

LOST = (12, 30)
"""Ranks, from 1, whose answers were lost."""
MUTE = (5, 20, 41)
"""Ranks whose output has none of its row's words."""
_SYLLABLES = [consonant + vowel for consonant in "bdklmn" for vowel in "aeiou"]

TASK = TaskFile.model_validate(
    {
        "name": "stalls/mood",
        "instruction": "Say how the customer of a stall feels.",
        "labels": ["glad", "cross", "calm"],
        "reasoning": True,
        "examples": [
            {"input": "Review: The soup was cold.", "output": "Cold soup is bad, so the answer is cross."},
            {"input": "Review: What lovely rugs!", "output": "Rugs are praised, so the answer is glad."},
        ],
    }
)


@dataclass(frozen=True)
class Bazaar:
    """The folder, the rows by rank as (dataset, key), and the rank each output was made from."""

    folder: Path
    ranked: list[tuple[str, str]]
    made_from: list[int]
    texts: dict[str, str]


def words(chance: random.Random, count: int) -> str:
    """Made-up words, hardly any of them twice."""
    return " ".join("".join(chance.choices(_SYLLABLES, k=4)) for _ in range(count))


def build(folder: Path) -> Bazaar:
    """Write the corpus, the ranking and the outputs."""
    chance = random.Random(17)  # noqa: S311 - no secret
    texts = {
        f"r{number}": f"The stall sells {words(chance, 6)} at {chance.randint(100, 9999)}." for number in range(40)
    }
    for dataset, keys in (("bazaar/reviews", list(texts)), ("mirror/reviews", list(texts)[:20])):
        place = folder / "corpus" / dataset.replace("/", "__")
        place.mkdir(parents=True)
        lines = [json.dumps({"__row_id": key, "text": texts[key], "stars": str(int(key[1:]) % 5)}) for key in keys]
        (place / "default.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "corpus" / "licences.json").write_text(json.dumps({"bazaar/reviews": "MIT"}), encoding="utf-8")
    ranked: list[tuple[str, str]] = []
    for key in texts:
        ranked.append(("bazaar/reviews", key))
        if int(key[1:]) < 20:
            ranked.append(("mirror/reviews", key))
    (folder / "retrieved").mkdir()
    with (folder / "retrieved" / "stalls__mood.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["rank", "score", "dataset_id", "config_id", "row_id", "best_input_cell", "best_output_cell"])
        for rank, (dataset, key) in enumerate(ranked):
            writer.writerow([rank, 1 - rank / 100, dataset, "default", key, texts[key], str(int(key[1:]) % 5)])
    made_from = [rank for rank in range(1, len(ranked) + 1) if rank not in LOST]
    outputs: list[dict[str, object]] = []
    for rank in made_from:
        text = texts[ranked[rank - 1][1]].removeprefix("The stall sells ")
        seen = (
            f"Review: nothing of it is left, {words(chance, 5)}."
            if rank in MUTE
            else f"Review: They had {text} {words(chance, 5)}."
        )
        outputs.append({"task": "mood", "index": len(outputs), "input": seen, "output": "So the answer is glad."})
    outputs[-1]["input"] = "Review: the soup was COLD!"
    outputs[-1]["output"] = "Cold soup, so the answer is cross."
    outputs[-2]["input"] = outputs[-3]["input"]
    outputs[-2]["output"] = outputs[-3]["output"]
    (folder / "rebase_outputs").mkdir()
    lines = [json.dumps(output) for output in outputs]
    (folder / "rebase_outputs" / "stalls__mood.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Bazaar(folder, ranked, made_from, texts)
