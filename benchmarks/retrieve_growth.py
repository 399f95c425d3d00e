"""Retrieval for every published task after the corpus grew by about 1 %, against retrieval of the whole corpus.

- `whole corpus`: 31 tasks, nothing scored before.
- `1 % in new datasets`: some small datasets come to the rest of the corpus.
- `1 % in all datasets`: each dataset has a hundredth more rows than before, so the scores of every dataset are written.
- `…, to part scores`: what is stored is read and the rest scored; the remainder is ranking and writing, most of it
  the new ranks of links that stay.
- `nothing new, other top_n`: the same corpus, ranked anew from stored scores.
"""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

from benchmarks.common import Timings, arguments, data_folder, fresh_database, server
from benchmarks.instalments import part_of
from benchmarks.real_corpus import fill_vectors
from benchmarks.retrieve import TOP_N, add_tasks, retrieve
from rebase_db.embed.encoder import load_encoder
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.snapshot import score_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

    from rebase_db.ingest.source import SourceDataset

SHARE = 0.01
SMALL = 200
"""Rows of a dataset that may come later whole."""

Parts = tuple[list["SourceDataset"], list["SourceDataset"]]


def new_datasets(sources: list[SourceDataset]) -> Parts:
    """All but some small datasets, and these."""
    sizes = {source.name: sum(split.rows or 0 for split in source.splits) for source in sources}
    wanted = SHARE * sum(sizes.values())
    late: list[SourceDataset] = []
    for source in random.Random(1).sample(sources, len(sources)):  # noqa: S311
        if sizes[source.name] < SMALL and sum(sizes[one.name] for one in late) < wanted:
            late.append(source)
    return [source for source in sources if source not in late], late


def new_rows(sources: list[SourceDataset]) -> Parts:
    """Of every dataset most rows, and all."""
    most = [part_of(source, 1 - SHARE) for source in sources]
    whole = [part_of(source, 1) for source in sources]
    return [part for part in most if part], [part for part in whole if part]


def measure(url: str, data: Path, timings: Timings, name: str, parts: Callable[[list[SourceDataset]], Parts]) -> None:
    """Load, retrieve, grow, retrieve."""
    early, late = parts(list(open_sources([str(data / "corpus")])))
    with fresh_database(url) as engine:
        for source in early:
            load_dataset(engine, source)
        encoder_id = fill_vectors(engine, data)
        versions = add_tasks(engine, data)
        encoder = load_encoder()
        queries = ensure_query_vectors(engine, lambda: encoder, encoder_id, versions)
        timings.measure("whole corpus", lambda: retrieve(engine, encoder_id, versions))
        for source in late:
            load_dataset(engine, source)
        fill_vectors(engine, data)
        timings.measure(f"{name}, to part scores", lambda: score_tasks(engine, encoder_id, queries))
        timings.measure(name, lambda: retrieve(engine, encoder_id, versions))
        again(engine, encoder_id, versions, timings)


def again(engine: Engine, encoder_id: int, versions: list[int], timings: Timings) -> None:
    """Rank what is scored, for fewer rows."""
    timings.measure("nothing new, other top_n", lambda: retrieve(engine, encoder_id, versions, TOP_N // 2))


def main() -> None:
    """Measure and print."""
    parsed = arguments(__doc__ or "").parse_args()
    data = data_folder(parsed)
    timings = Timings()
    with server() as url:
        for _ in range(parsed.repeats):
            measure(url, data, timings, "1 % in new datasets", new_datasets)
            measure(url, data, timings, "1 % in all datasets", new_rows)
    timings.table("whole corpus", "retrieval of all tasks")
    whole = statistics.median(timings.seconds["whole corpus"])
    for name, seconds in timings.seconds.items():
        print(f"{name}: {statistics.median(seconds) / whole:.1%} of the whole corpus")


if __name__ == "__main__":
    main()
