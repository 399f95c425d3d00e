"""Two encoders' hit lists for a task, side by side, before one takes the other's place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select

from rebase_db.errors import RebaseError
from rebase_db.reference import decimal
from rebase_db.retrieve.corpus import keys_of, require_embedded
from rebase_db.retrieve.options import plain_share, plain_weights
from rebase_db.retrieve.query_vectors import ensure_query_vectors
from rebase_db.retrieve.rank import rank_rows
from rebase_db.retrieve.snapshot import score_tasks
from rebase_db.schema import Dataset, Encoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder as LoadedEncoder
    from rebase_db.retrieve.corpus import Keys
    from rebase_db.retrieve.rank import Weights

DEPTHS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
MOVES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Overlap:
    """Of the first `depth` rows of two lists, how many are in both."""

    depth: int
    both: int
    share: float


@dataclass(frozen=True, slots=True)
class Move:
    """A row and its place in each list; None where it is not in it."""

    dataset: str
    row_id: int
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class DatasetMoves:
    """Rows of a dataset in the first list, in the second, and in both."""

    dataset: str
    before: int
    after: int
    both: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two hit lists.

    `entered` are the best of the second list that are not in the first, `left` the best of the first that are not in
    the second, `moved` those in both whose places are furthest apart.
    """

    top_n: int
    overlaps: list[Overlap]
    datasets: list[DatasetMoves]
    entered: list[Move]
    left: list[Move]
    moved: list[Move]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def find_encoder(connection: Connection, said: str) -> int:
    """The encoder with this number, or the newest with this name.

    Raises:
        RebaseError: There is none.
    """
    query = select(Encoder.encoder_id).order_by(Encoder.encoder_id.desc()).limit(1)
    query = query.where(Encoder.encoder_id == number if (number := decimal(said)) is not None else Encoder.name == said)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise RebaseError(
            f"No encoder {said!r} is in this database.",
            hint="`rebase encoders` lists them; `rebase embed --encoder NAME` adds one.",
        )
    return int(found)


def compare_encoders(
    engine: Engine,
    load_encoder: Callable[[int], LoadedEncoder],
    task_version_id: int,
    encoder_ids: tuple[int, int],
    *,
    top_n: int,
    scoring: str,
    excluded: AbstractSet[int],
    drop_mirrors: bool,
    weights: Weights | None = None,
    max_share: float | None = None,
) -> Comparison:
    """Rank the corpus for a task under each of two encoders and compare. Links and stored scores stay as they are.

    Args:
        engine: The database.
        load_encoder: Called for an encoder under which the task has no query vectors yet.
        task_version_id: The task.
        encoder_ids: The encoder it has, and the other.
        top_n: Rows of each list.
        scoring: How part scores are combined.
        excluded: Datasets that are not ranked.
        drop_mirrors: Whether of equal rows only the best is ranked.
        weights: Of the part scores.
        max_share: The largest share of the list that one dataset may have.

    Raises:
        RebaseError: Not every text has a vector under both.
    """
    lists = []
    for encoder_id in encoder_ids:
        with engine.connect() as connection:
            require_embedded(connection, encoder_id)
        queries = ensure_query_vectors(engine, lambda: load_encoder(encoder_id), encoder_id, [task_version_id])  # noqa: B023 - called at once
        snapshot, scores = score_tasks(engine, encoder_id, queries)
        rows = snapshot.candidates(scores[task_version_id])
        chosen = rank_rows(
            rows,
            top_n=top_n,
            scoring=scoring,
            excluded=excluded,
            drop_mirrors=drop_mirrors,
            weights=weights if plain_weights(weights) else None,
            max_share=plain_share(max_share),
        ).chosen
        lists.append(keys_of(rows.dataset_ids[chosen], rows.row_ids[chosen]))
    with engine.connect() as connection:
        names = {key: name for key, name in connection.execute(select(Dataset.dataset_id, Dataset.name))}  # noqa: C416
    first, second = lists
    return compare_lists(first, second, top_n, names)


def compare_lists(first: Keys, second: Keys, top_n: int, names: dict[int, str]) -> Comparison:
    """Compare two lists of rows, best first."""
    before = {key: place for place, key in enumerate(first.tolist(), 1)}
    after = {key: place for place, key in enumerate(second.tolist(), 1)}
    longest = max(len(first), len(second))
    depths = [depth for depth in DEPTHS if depth < min(top_n, longest)] + [min(top_n, longest)]
    overlaps = []
    for depth in depths:
        both = int(np.isin(first[:depth], second[:depth]).sum())
        overlaps.append(Overlap(depth, both, both / depth if depth else 1.0))

    def move(key: int) -> Move:
        return Move(names[key >> 32], key & 0xFFFF_FFFF, before.get(key), after.get(key))

    common = [key for key in before if key in after]
    of = {dataset_id: [0, 0, 0] for dataset_id in sorted({key >> 32 for key in (*before, *after)})}
    for place, keys in enumerate((before, after, common)):
        for key in keys:
            of[key >> 32][place] += 1
    datasets = [DatasetMoves(names[dataset_id], *counts) for dataset_id, counts in of.items()]
    datasets.sort(key=lambda one: (-abs(one.after - one.before), one.dataset))
    common.sort(key=lambda key: (-abs(after[key] - before[key]), before[key]))
    return Comparison(
        top_n,
        overlaps,
        datasets,
        [move(key) for key in after if key not in before][:MOVES_SHOWN],
        [move(key) for key in before if key not in after][:MOVES_SHOWN],
        [move(key) for key in common[:MOVES_SHOWN] if after[key] != before[key]],
    )
