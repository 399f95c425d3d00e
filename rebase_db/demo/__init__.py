"""The demo: a task file, the corpus it retrieves from and the benchmark its student is measured on.

All of it is data, written for this project (README.md beside this file has the provenance):

    task.yaml                            route a shop customer's message to one of five teams
    benchmark.jsonl                      60 held-out messages, twelve a team: {id, input, output}
    corpus/<dataset>/<config>.<ending>   ten datasets of 531 rows in CSV, TSV, JSON Lines, Parquet, and TSV with gzip
    corpus/descriptions.json             {dataset: description}
    corpus/licences.json                 {dataset: SPDX licence identifier}
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def demo_folder() -> Path:
    """The folder with `task.yaml`, as it lies in the installed package; read it, never write to it."""
    return Path(str(files(__name__)))
