"""Retrieval for every published task at once, against a loop over the cells and against pure NumPy in memory.

- `rebase`: what the retrieve stage does for 31 waiting retrievals: vectors and cells from the database, part scores,
  ranking, mirrors; part scores, links and mirrors into the database.
- `rebase, scoring alone`: the same from the database to part scores, without ranking and writing.
- `NumPy in memory`: the same scores, winning columns and top 3,000, from arrays that are in memory and stay there.
- `loop over cells`: for each task, row and cell the mean cosine with each example, as the authors do it; vectors in
  memory. Measured on a few tasks (`--loop-tasks`) and multiplied.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import Timings, arguments, data_folder, fresh_database, peak_mib, peak_of, server
from benchmarks.real_corpus import fill_vectors, load_corpus
from rebase_db import queue
from rebase_db.embed.encoder import load_encoder
from rebase_db.lease import Lease
from rebase_db.retrieve.corpus import description_vectors, keys_of, read_cells, read_live, read_vectors
from rebase_db.retrieve.query_vectors import ensure_query_vectors, stored_query_vectors
from rebase_db.retrieve.run import request_retrieval
from rebase_db.retrieve.score import score_rows
from rebase_db.task.file import TaskFile
from rebase_db.task.store import add_task
from workers.runner import drain
from workers.stages.retrieve import RetrieveStage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Engine

TOP_N = 3000


def add_tasks(engine: Engine, data: Path) -> list[int]:
    """Every published task; their versions."""
    versions = []
    for name, task in json.loads((data / "tasks.json").read_text()).items():
        file = TaskFile.model_validate(
            {
                "name": name,
                "instruction": task["instruction"],
                "retrieval_instruction": task["retrieval_instruction"],
                "examples": task["retrieval_examples"],
            }
        )
        with engine.begin() as connection:
            versions.append(add_task(connection, file).task_version_id)
    return versions


class InMemory:
    """The corpus as arrays."""

    def __init__(self, engine: Engine, encoder_id: int, versions: list[int]) -> None:
        encoder = load_encoder()
        found = ensure_query_vectors(engine, lambda: encoder, encoder_id, versions)
        self.queries = [found[version] for version in versions]
        with engine.connect() as connection:
            cells = list(read_cells(connection, read_live(connection)[0]))
            texts = np.concatenate([keys_of(part.dataset_id, part.text_ids) for part in cells])
            self.vectors = np.empty((len(texts), 384), np.float32)
            for keys, vectors in read_vectors(connection, encoder_id, texts):
                self.vectors[np.searchsorted(texts, keys)] = vectors
            descriptions = description_vectors(connection, encoder_id, [part.dataset_id for part in cells])
        firsts = np.cumsum([0, *(len(part.text_ids) for part in cells)])[:-1]
        self.text_of_cell = np.concatenate([first + part.places for first, part in zip(firsts, cells, strict=True)])
        self.column_of_cell = np.concatenate([part.column_ids for part in cells])
        lengths = np.concatenate([np.diff(np.append(part.starts, len(part.places))) for part in cells])
        self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self.lengths = lengths
        rows = [len(part.row_ids) for part in cells]
        self.descriptions = np.repeat(np.stack([descriptions[part.dataset_id] for part in cells]), rows, axis=0)

    def numpy(self) -> list[NDArray[np.int64]]:
        """Top rows of every task."""
        sides = np.stack([q.input_mean for q in self.queries] + [q.output_mean for q in self.queries])
        cosines = (self.vectors @ sides.T)[self.text_of_cell]
        best = np.maximum.reduceat(cosines, self.starts, axis=0)
        winners = np.where(
            cosines == np.repeat(best, self.lengths, axis=0), self.column_of_cell[:, np.newaxis], np.int16(32767)
        )
        np.minimum.reduceat(winners, self.starts, axis=0)
        described = self.descriptions @ np.stack([q.instruction for q in self.queries]).T
        half = len(self.queries)
        scores = (best[:, :half] + best[:, half:] + described) / 3
        top = np.argpartition(-scores, TOP_N, axis=0)[:TOP_N]
        return [column[np.argsort(-scores[column, task])] for task, column in enumerate(top.T)]

    def loop(self, tasks: int, examples: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        """Some tasks, cell by cell."""
        ends = np.append(self.starts[1:], len(self.text_of_cell))
        for task in range(tasks):
            inputs, outputs = examples[task]
            instruction = self.queries[task].instruction
            scores = []
            for row, (start, end) in enumerate(zip(self.starts, ends, strict=True)):
                cells = [self.vectors[text] for text in self.text_of_cell[start:end]]
                best_input = max(sum(float(x @ cell) for x in inputs) / len(inputs) for cell in cells)
                best_output = max(sum(float(y @ cell) for y in outputs) / len(outputs) for cell in cells)
                scores.append((best_input + best_output + float(instruction @ self.descriptions[row])) / 3)
            sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:TOP_N]


def retrieve(engine: Engine, encoder_id: int, versions: list[int], top_n: int = TOP_N) -> None:
    """All tasks through the stage."""
    with engine.begin() as connection:
        for version in versions:
            request_retrieval(
                connection,
                version,
                encoder_id,
                top_n=top_n,
                scoring="average-score",
                mirrors="first",
                exclude_datasets=[],
            )
    with Lease(engine) as lease:
        counts = drain(engine, lease, RetrieveStage(engine, lambda _: load_encoder()), [(encoder_id,)])
    if counts.get(queue.RETRIEVE.machine.ready, 0) or counts.get("failed", 0):
        sys.exit(f"retrieval ended with {counts}")


def score(engine: Engine, encoder_id: int, versions: list[int]) -> None:
    """The part of it that NumPy does too, from the database: part scores and winning columns of every row."""
    with engine.connect() as connection:
        queries = stored_query_vectors(connection, encoder_id, versions)
        live, _ = read_live(connection)
        for _ in score_rows(connection, encoder_id, [queries[version] for version in versions], live):
            pass


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--loop-tasks", type=int, default=1)
    parser.add_argument("--only-rebase", action="store_true", help="retrieve once and exit (for peak memory)")
    parsed = parser.parse_args()
    data = data_folder(parsed)
    timings = Timings()
    with server() as url:
        for repeat in range(parsed.repeats):
            with fresh_database(url) as engine:
                load_corpus(engine, [str(data / "corpus")])
                encoder_id = fill_vectors(engine, data)
                versions = add_tasks(engine, data)
                if parsed.only_rebase:
                    retrieve(engine, encoder_id, versions)
                    print(f"{peak_mib():.0f} MiB")
                    return
                memory = InMemory(engine, encoder_id, versions)
                encoder = load_encoder()
                tasks = list(json.loads((data / "tasks.json").read_text()).values())[: parsed.loop_tasks]
                examples = [
                    (
                        encoder.encode([example["input"] for example in task["retrieval_examples"]]),
                        encoder.encode([example["output"] for example in task["retrieval_examples"]]),
                    )
                    for task in tasks
                ]
                timings.measure("rebase", lambda: retrieve(engine, encoder_id, versions))  # noqa: B023 - run at once
                timings.measure("rebase, scoring alone", lambda: score(engine, encoder_id, versions))  # noqa: B023
                timings.measure("NumPy in memory", memory.numpy)
                if repeat == 0:
                    timings.measure("loop over cells", lambda: memory.loop(len(tasks), examples))  # noqa: B023
                    timings.seconds["loop over cells"][0] *= len(versions) / len(tasks)
    print(f"{len(versions)} tasks, top {TOP_N:,}; the loop measured on {parsed.loop_tasks} of them and multiplied.")
    timings.table("rebase", "retrieval of all tasks")
    peak, model = peak_of("retrieve", "--data", str(parsed.data), "--only-rebase"), peak_of("embed", "--only-load")
    print(f"\nPeak memory: {peak:.0f} MiB, of which {model:.0f} MiB the model.")


if __name__ == "__main__":
    main()
