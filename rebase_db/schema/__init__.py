"""The tables, one module a stage, in the order data flows."""

from rebase_db.schema import hot, lineage, provenance, seal, views
from rebase_db.schema.base import Base
from rebase_db.schema.budget import Budget, Reservation
from rebase_db.schema.check import CheckDefinition, CheckResult, Judgement
from rebase_db.schema.corpus import (
    Cell,
    ChangedRow,
    Dataset,
    DatasetColumn,
    DatasetSplit,
    Ingest,
    IngestColumn,
    IngestRejection,
    IngestSplit,
    RemovedRow,
    SourceRow,
    TextValue,
)
from rebase_db.schema.distill import Metric, TrainingRun, TrainingSet, TrainingSetMember, TrainingSetMix
from rebase_db.schema.encoder import EmbedChunk, Embedding, Encoder
from rebase_db.schema.evaluate import Benchmark, BenchmarkItem, Evaluation, Prediction
from rebase_db.schema.published import LikelySource, Publication, PublishedExample, PublishedRank
from rebase_db.schema.retraction import RetractedDataset, RetractedRow, Retraction
from rebase_db.schema.retrieval import (
    Retrieval,
    RetrievalDataset,
    RetrievalExclusion,
    RetrievalLink,
    RetrievalMirror,
    RowScore,
    TaskVector,
)
from rebase_db.schema.runtime import Event, Worker
from rebase_db.schema.task import Task, TaskVersion
from rebase_db.schema.transform import Example, ExampleParent, Generation, Prompt, Teacher

seal.add_columns()
provenance.attach()
seal.attach()
hot.attach("embed_chunk", "retrieval", "retrieval_link", "training_run")
views.attach()
lineage.attach()

__all__ = [
    "Base",
    "Benchmark",
    "BenchmarkItem",
    "Budget",
    "Cell",
    "ChangedRow",
    "CheckDefinition",
    "CheckResult",
    "Dataset",
    "DatasetColumn",
    "DatasetSplit",
    "EmbedChunk",
    "Embedding",
    "Encoder",
    "Evaluation",
    "Event",
    "Example",
    "ExampleParent",
    "Generation",
    "Ingest",
    "IngestColumn",
    "IngestRejection",
    "IngestSplit",
    "Judgement",
    "LikelySource",
    "Metric",
    "Prediction",
    "Prompt",
    "Publication",
    "PublishedExample",
    "PublishedRank",
    "RemovedRow",
    "Reservation",
    "RetractedDataset",
    "RetractedRow",
    "Retraction",
    "Retrieval",
    "RetrievalDataset",
    "RetrievalExclusion",
    "RetrievalLink",
    "RetrievalMirror",
    "RowScore",
    "SourceRow",
    "Task",
    "TaskVector",
    "TaskVersion",
    "Teacher",
    "TextValue",
    "TrainingRun",
    "TrainingSet",
    "TrainingSetMember",
    "TrainingSetMix",
    "Worker",
]
