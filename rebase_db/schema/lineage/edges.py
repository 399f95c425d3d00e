"""The graph of records: which kinds come of which, and where the database says so.

`lineage.parents`, `lineage.children` and `lineage.trace` are made from this list, so that what is above a record and
what is below it are read from the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

KEYS = {
    "licence": ("stated_licence",),
    "dataset": ("dataset_id",),
    "load": ("dataset_id", "ingest_id"),
    "row": ("dataset_id", "row_id"),
    "task": ("task_id",),
    "encoder": ("encoder_id",),
    "retrieval": ("retrieval_id",),
    "link": ("link_id",),
    "teacher": ("teacher_id",),
    "prompt": ("prompt_id",),
    "call": ("generation_id",),
    "example": ("example_id",),
    "judgement": ("judgement_id",),
    "set": ("training_set_id",),
    "run": ("training_run_id",),
    "benchmark": ("benchmark_id",),
    "evaluation": ("evaluation_id",),
    "publication": ("publication_id",),
    "published": ("published_example_id",),
    "retraction": ("retraction_id",),
}
"""Every kind of record in the graph, with the columns of its key; as text the key is their values, a slash between."""


@dataclass(frozen=True)
class Edge:
    """One way from a kind of record to another, in the direction that data flows.

    Args:
        source: What to read it from, as after FROM.
        parent: The columns of the source that hold the parent's key, where they are not called as in `KEYS`.
        child: The same for the child's.
        role: An expression for what the one is to the other, where kinds alone do not say it.
        order: What children come by, the first ones being those shown; as an index has them, wherever they are many.
        begin: A condition that lets the search for children begin where they are; `{0}` and `{1}` are the key's parts.
        count: A scalar query for the number of children, where that is on record.
        parents: Whether a child may have many, what they come by, and what counts them.
    """

    parent_kind: str
    child_kind: str
    source: str
    parent: tuple[str, ...] = ()
    child: tuple[str, ...] = ()
    role: str = "NULL"
    order: str = ""
    begin: str = ""
    count: str = ""
    parents: Parents | None = None


@dataclass(frozen=True)
class Parents:
    """What there is to say of parents that may be many."""

    order: str
    count: str = ""


# A guess is said to be one wherever it is shown.
_LIKELY = (
    "(SELECT dataset_id, row_id, published_example_id, max(confidence) AS confidence FROM likely_source"
    " GROUP BY dataset_id, row_id, published_example_id) AS likely"
)
_LIKELY_ROLE = (
    "CASE WHEN confidence = 1 THEN 'as its publisher states'"
    # Rounded to neither certainty.
    " ELSE 'likely, a guess: ' || least(greatest(round(CAST(confidence AS numeric), 2), 0.01), 0.99) END"
)
_AFTER_EARLIER_LOADS = (
    "row_id > (SELECT coalesce(sum(rows_added), 0) FROM ingest_split AS before"
    " WHERE before.dataset_id = {0} AND before.ingest_id < {1})"
)

EDGES = (
    Edge(
        "licence",
        "dataset",
        "(SELECT coalesce(licence, 'unknown') AS stated_licence, dataset_id FROM dataset) AS licensed",
        order="dataset_id",
    ),
    Edge("dataset", "load", "ingest", order="ingest_id"),
    Edge(
        "load",
        "row",
        "source_row",
        order="row_id",
        # Rows are numbered load by load.
        begin=_AFTER_EARLIER_LOADS,
        count="SELECT sum(rows_added) FROM ingest_split WHERE dataset_id = {0} AND ingest_id = {1}",
    ),
    Edge("row", "row", "changed_row", parent=("dataset_id", "previous_row_id"), role="'changed into'"),
    Edge("retraction", "dataset", "retracted_dataset", order="dataset_id", parents=Parents("retraction_id")),
    Edge(
        "retraction", "row", "retracted_row", order="dataset_id, row_id", role="'covered'",
        parents=Parents("retraction_id"),
    ),
    Edge("task", "retrieval", "retrieval INNER JOIN task_version USING (task_version_id)", order="retrieval_id"),
    Edge("encoder", "retrieval", "retrieval", order="retrieval_id"),
    Edge("row", "link", "retrieval_link", order="link_id"),
    Edge(
        "retrieval",
        "link",
        # Through all three columns, of which the first two lead an index; in its order.
        "retrieval_link INNER JOIN retrieval ON retrieval.task_version_id = retrieval_link.task_version_id"
        " AND retrieval.encoder_id = retrieval_link.encoder_id AND retrieval.retrieval_id = retrieval_link.entered_by",
        count="SELECT rows_entered FROM retrieval WHERE retrieval_id = {0}",
    ),
    Edge("link", "call", "generation", order="attempt"),
    Edge("teacher", "call", "generation"),
    Edge("prompt", "call", "generation"),
    Edge("call", "call", "generation", parent=("reused_from",), role="'used its answer again'"),
    Edge("call", "example", "example"),
    Edge(
        "example", "example", "example_parent", parent=("parent_id",), role="'made from it'", order="example_id",
        parents=Parents("parent_id"),
    ),
    Edge("teacher", "judgement", "judgement"),
    Edge("prompt", "judgement", "judgement"),
    Edge("judgement", "example", "judgement", role="'judged it'", parents=Parents("judgement_id")),
    Edge(
        "example",
        "set",
        "training_set_member",
        order="training_set_id",
        parents=Parents("position", "SELECT size FROM training_set WHERE training_set_id = {0}"),
    ),
    Edge("task", "set", "training_set INNER JOIN task_version USING (task_version_id)", order="training_set_id"),
    Edge("set", "run", "training_run", order="training_run_id"),
    Edge("run", "evaluation", "evaluation", order="evaluation_id"),
    Edge("benchmark", "evaluation", "evaluation", order="evaluation_id"),
    Edge("task", "publication", "publication", order="publication_id"),
    Edge("publication", "published", "published_example", order="position"),
    Edge(
        "row",
        "publication",
        # Without places of rows that are not in the database.
        "(SELECT * FROM published_rank WHERE dataset_id IS NOT NULL) AS ranked",
        role="'ranked ' || rank || ' in it'",
        order="publication_id, rank",
        parents=Parents("rank"),
    ),
    Edge(
        "row", "published", _LIKELY, role=_LIKELY_ROLE, order="published_example_id",
        parents=Parents("confidence DESC, dataset_id, row_id"),
    ),
)  # fmt: skip
"""Every edge; a record's own attributes, such as its checks' verdicts, are no edges."""
