"""The three query vectors of a task, however many examples it has.

The method scores a cell by the mean over examples k of cos(E(x_k), E(cell)). All vectors have unit length, so that mean
is the dot product with the mean of the example vectors, which is therefore not normalised again (method, step 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rebase_db.schema import TaskVector, TaskVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from rebase_db.embed.encoder import Encoder


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Means of the example inputs' and outputs' vectors, and the instruction's vector; each of shape (width,)."""

    input_mean: NDArray[np.float32]
    output_mean: NDArray[np.float32]
    instruction: NDArray[np.float32]


def compute_query_vectors(
    encoder: Encoder, examples: Sequence[dict[str, str]], retrieval_instruction: str
) -> QueryVectors:
    """Embed a task."""
    count = len(examples)
    texts = [example["input"] for example in examples] + [example["output"] for example in examples]
    vectors = encoder.encode([*texts, retrieval_instruction])
    return QueryVectors(vectors[:count].mean(axis=0), vectors[count : 2 * count].mean(axis=0), vectors[-1])


def store_query_vectors(connection: Connection, task_version_id: int, encoder_id: int, vectors: QueryVectors) -> None:
    """Keep a task's vectors; those already kept stay, since task versions and encoders do not change."""
    connection.execute(
        insert(TaskVector)
        .values(
            task_version_id=task_version_id,
            encoder_id=encoder_id,
            input_mean=vectors.input_mean.tolist(),
            output_mean=vectors.output_mean.tolist(),
            instruction=vectors.instruction.tolist(),
        )
        .on_conflict_do_nothing()
    )


def stored_query_vectors(
    connection: Connection, encoder_id: int, task_version_ids: Sequence[int]
) -> dict[int, QueryVectors]:
    """Vectors by task version, for those that are kept."""
    rows = connection.execute(
        select(TaskVector.task_version_id, TaskVector.input_mean, TaskVector.output_mean, TaskVector.instruction).where(
            TaskVector.encoder_id == encoder_id, TaskVector.task_version_id.in_(task_version_ids)
        )
    )
    return {
        version: QueryVectors(*(np.asarray(vector, np.float32) for vector in vectors)) for version, *vectors in rows
    }


def ensure_query_vectors(
    engine: Engine, load_encoder: Callable[[], Encoder], encoder_id: int, task_version_ids: Sequence[int]
) -> dict[int, QueryVectors]:
    """Vectors of all these task versions, computing and keeping those that are missing.

    No transaction is open while the encoder works.
    """
    with engine.connect() as connection:
        found = stored_query_vectors(connection, encoder_id, task_version_ids)
        missing = [version for version in dict.fromkeys(task_version_ids) if version not in found]
        if not missing:
            return found
        tasks = connection.execute(
            select(
                TaskVersion.task_version_id, TaskVersion.retrieval_examples, TaskVersion.retrieval_instruction
            ).where(TaskVersion.task_version_id.in_(missing))
        ).all()
    encoder = load_encoder()  # once: it may load the model anew each time
    new = {version: compute_query_vectors(encoder, examples, instruction) for version, examples, instruction in tasks}
    with engine.begin() as connection:
        for version, vectors in new.items():
            store_query_vectors(connection, version, encoder_id, vectors)
    return found | new
