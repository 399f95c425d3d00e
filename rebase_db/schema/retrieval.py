"""Retrieve: runs, the part scores of every row scored, the links that made the cut, and the mirrors that did not."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from rebase_db.schema.base import (
    Base,
    BigInt,
    BigKey,
    CreatedAt,
    IntKey,
    JobColumns,
    SmallInt,
    Timestamp,
    after_create,
    job_checks,
)
from rebase_db.states import JOB, LINK

SCORINGS = ("average-score", "average-rank", "max-rank")
MIRRORS = ("first", "all")


class Retrieval(JobColumns, Base):
    """A retrieval run: what was asked, and what it found when it was done.

    `weights` are those of the input, output and dataset score; null where each has the same. `max_share` is the largest
    share of the ranking that one dataset may have, above 0 and below 1; null where any may have all of it.
    `retractions_seen` counts the retractions, and the returns from one, that the corpus it scored had behind it, and
    `loads_seen` the loads.
    """

    __tablename__ = "retrieval"

    retrieval_id: Mapped[IntKey]
    task_version_id: Mapped[int] = mapped_column(ForeignKey("task_version.task_version_id"))
    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.encoder_id"))
    top_n: Mapped[int]
    scoring: Mapped[str]
    mirrors: Mapped[str]
    weights: Mapped[list[float] | None] = mapped_column(ARRAY(DOUBLE_PRECISION))
    max_share: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    created_at: Mapped[CreatedAt]
    rows_scored: Mapped[int | None]
    rows_entered: Mapped[int | None]
    rows_kept: Mapped[int | None]
    rows_displaced: Mapped[int | None]
    mirrors_left_out: Mapped[int | None]
    cutoff_score: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    retractions_seen: Mapped[int | None]
    loads_seen: Mapped[int | None]

    __table_args__ = (
        # Links refer to all three, so that a link's run is always one of its own task version and encoder.
        UniqueConstraint("retrieval_id", "task_version_id", "encoder_id"),
        CheckConstraint("top_n > 0", name="top_n"),
        CheckConstraint(f"scoring IN {SCORINGS!r}", name="scoring"),
        CheckConstraint(f"mirrors IN {MIRRORS!r}", name="mirrors"),
        CheckConstraint(
            "weights IS NULL OR cardinality(weights) = 3 AND 0 <= ALL (weights) AND 0 < ANY (weights)"
            " AND scoring = 'average-score'",
            name="weights",
        ),
        CheckConstraint("max_share > 0 AND max_share < 1", name="max_share"),
        CheckConstraint("(state = 'done') = (rows_scored IS NOT NULL)", name="done_has_counts"),
        *job_checks(JOB),
        Index(
            "retrieval_waiting_idx",
            "encoder_id",
            "ready_at",
            "retrieval_id",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("retrieval_running_idx", "worker_id", postgresql_where=text("state = 'running'")),
        Index(None, "task_version_id", "encoder_id"),
    )


class RetrievalExclusion(Base):
    """A dataset a retrieval was told to leave out of the ranking. Its rows are scored all the same."""

    __tablename__ = "retrieval_exclusion"

    retrieval_id: Mapped[int] = mapped_column(ForeignKey("retrieval.retrieval_id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)


class RetrievalDataset(Base):
    """What a retrieval did to a dataset's rows: those it ranked and scored anew, and what became of its links.

    `scored` rows had no score for the task before. Links `entered` for the first time, `returned`, were `kept`, or were
    `displaced`.
    """

    __tablename__ = "retrieval_dataset"

    retrieval_id: Mapped[int] = mapped_column(ForeignKey("retrieval.retrieval_id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    ranked: Mapped[int]
    scored: Mapped[int]
    entered: Mapped[int]
    returned: Mapped[int]
    kept: Mapped[int]
    displaced: Mapped[int]


class TaskVector(Base):
    """The query vectors of a task version: the mean of its example vectors (not unit), and its instruction's vector.

    Kept as computed (float32, little-endian bytes would not be readable from SQL, so as an array), so that every score
    can be recomputed.
    """

    __tablename__ = "task_vector"

    task_version_id: Mapped[int] = mapped_column(ForeignKey("task_version.task_version_id"), primary_key=True)
    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.encoder_id"), primary_key=True)
    input_mean: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    output_mean: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    instruction: Mapped[list[float]] = mapped_column(ARRAY(REAL))


class RowScore(Base):
    """Part scores of all rows of a dataset for a task version, as parallel arrays in the order of `row_ids`.

    Any other weighting, cap, exclusion or rank-based scoring is exact from these, without touching a vector.
    """

    __tablename__ = "row_score"

    task_version_id: Mapped[int] = mapped_column(primary_key=True)
    encoder_id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    retrieval_id: Mapped[int]
    dataset_score: Mapped[float] = mapped_column(REAL)
    row_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    input_scores: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    output_scores: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    input_columns: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    output_columns: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))

    __table_args__ = (
        ForeignKeyConstraint(
            ["retrieval_id", "task_version_id", "encoder_id"],
            ["retrieval.retrieval_id", "retrieval.task_version_id", "retrieval.encoder_id"],
        ),
        CheckConstraint(
            "cardinality(input_scores) = cardinality(row_ids) AND cardinality(output_scores) = cardinality(row_ids)"
            " AND cardinality(input_columns) = cardinality(row_ids)"
            " AND cardinality(output_columns) = cardinality(row_ids)",
            name="parallel",
        ),
    )


# Scores do not compress; without this every read and write would pay for trying.
for _column in ("row_ids", "input_scores", "output_scores", "input_columns", "output_columns"):
    after_create(RowScore.__table__, f"ALTER TABLE row_score ALTER COLUMN {_column} SET STORAGE EXTERNAL")


class RetrievalLink(JobColumns, Base):
    """A source row that came near a task: its part scores, the cells that won them, its rank, and its state.

    Scores are those of the run that entered it and never change; `rank` and `score` are its place in the newest
    ranking. A displaced link keeps its lineage and its examples but is no longer claimed, and so does one of a
    retracted row (`retracted_at`, as of the row).
    """

    __tablename__ = "retrieval_link"

    link_id: Mapped[BigKey]
    task_version_id: Mapped[int]
    encoder_id: Mapped[int]
    dataset_id: Mapped[int]
    row_id: Mapped[int]
    input_column_id: Mapped[SmallInt]
    output_column_id: Mapped[SmallInt]
    input_score: Mapped[float] = mapped_column(REAL)
    output_score: Mapped[float] = mapped_column(REAL)
    dataset_score: Mapped[float] = mapped_column(REAL)
    score: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    rank: Mapped[int]
    entered_by: Mapped[int]
    displaced_by: Mapped[int | None]
    retracted_at: Mapped[Timestamp | None]

    __table_args__ = (
        UniqueConstraint("task_version_id", "encoder_id", "dataset_id", "row_id"),
        ForeignKeyConstraint(
            ["entered_by", "task_version_id", "encoder_id"],
            ["retrieval.retrieval_id", "retrieval.task_version_id", "retrieval.encoder_id"],
        ),
        ForeignKeyConstraint(
            ["displaced_by", "task_version_id", "encoder_id"],
            ["retrieval.retrieval_id", "retrieval.task_version_id", "retrieval.encoder_id"],
        ),
        # To the winning cells, so that link -> cell -> text -> vector is a chain of keys; a cell implies its row.
        ForeignKeyConstraint(
            ["dataset_id", "row_id", "input_column_id"], ["cell.dataset_id", "cell.row_id", "cell.column_id"]
        ),
        ForeignKeyConstraint(
            ["dataset_id", "row_id", "output_column_id"], ["cell.dataset_id", "cell.row_id", "cell.column_id"]
        ),
        CheckConstraint("rank > 0", name="rank"),
        *job_checks(LINK),
        Index(
            "retrieval_link_retrieved_idx",
            "task_version_id",
            "encoder_id",
            "ready_at",
            "rank",
            postgresql_where=text("state = 'retrieved' AND displaced_by IS NULL AND retracted_at IS NULL"),
        ),
        # For counting: rows enter it once, when they are finished, so claiming does not pay for it.
        Index(
            "retrieval_link_finished_idx",
            "task_version_id",
            "encoder_id",
            "state",
            postgresql_where=text("finished_at IS NOT NULL AND displaced_by IS NULL AND retracted_at IS NULL"),
        ),
        Index("retrieval_link_transforming_idx", "worker_id", postgresql_where=text("state = 'transforming'")),
        Index(None, "dataset_id", "row_id"),
    )


class RetrievalMirror(Base):
    """A row left out of a ranking because a better ranked row has the same content."""

    __tablename__ = "retrieval_mirror"

    retrieval_id: Mapped[int] = mapped_column(ForeignKey("retrieval.retrieval_id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True)
    kept_link_id: Mapped[BigInt] = mapped_column(BigInteger, ForeignKey("retrieval_link.link_id"))

    __table_args__ = (
        ForeignKeyConstraint(["dataset_id", "row_id"], ["source_row.dataset_id", "source_row.row_id"]),
        Index(None, "kept_link_id"),
    )
