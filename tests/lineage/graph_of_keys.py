"""The graph of records in plain Python, walked over the foreign keys of the tables as they are stored."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from rebase_db.schema import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection

Key = tuple[str, str]
"""Kind and key."""


class KeyGraph:
    """Parents and children of every record of a database that is small enough to be read whole."""

    def __init__(self, connection: Connection) -> None:
        self.parents: dict[Key, set[Key]] = defaultdict(set)
        self.children: dict[Key, set[Key]] = defaultdict(set)
        self.all: set[Key] = set()
        self._connection = connection
        for read in (self._read_corpus, self._read_tasks, self._read_calls, self._read_sets, self._read_others):
            read()

    def _read_corpus(self) -> None:
        for row in self._rows("dataset"):
            self._add("licence", row["licence"] or "unknown", "dataset", row["dataset_id"])
        for row in self._rows("ingest"):
            self._add("dataset", row["dataset_id"], "load", (row["dataset_id"], row["ingest_id"]))
        for row in self._rows("source_row"):
            load = (row["dataset_id"], row["ingest_id"])
            self._add("load", load, "row", (row["dataset_id"], row["row_id"]))
        for row in self._rows("changed_row"):
            previous = (row["dataset_id"], row["previous_row_id"])
            self._add("row", previous, "row", (row["dataset_id"], row["row_id"]))

    def _read_tasks(self) -> None:
        tasks = {row["task_version_id"]: row["task_id"] for row in self._rows("task_version")}
        for row in self._rows("retrieval"):
            self._add("task", tasks[row["task_version_id"]], "retrieval", row["retrieval_id"])
            self._add("encoder", row["encoder_id"], "retrieval", row["retrieval_id"])
        for row in self._rows("retrieval_link"):
            self._add("row", (row["dataset_id"], row["row_id"]), "link", row["link_id"])
            self._add("retrieval", row["entered_by"], "link", row["link_id"])
        for row in self._rows("training_set"):
            self._add("task", tasks[row["task_version_id"]], "set", row["training_set_id"])

    def _read_calls(self) -> None:
        for row in self._rows("generation"):
            for kind, column in (("link", "link_id"), ("teacher", "teacher_id"), ("prompt", "prompt_id")):
                self._add(kind, row[column], "call", row["generation_id"])
            if row["reused_from"] is not None:
                self._add("call", row["reused_from"], "call", row["generation_id"])
        for row in self._rows("example"):
            self._add("call", row["generation_id"], "example", row["example_id"])
        for row in self._rows("judgement"):
            for kind, column in (("teacher", "teacher_id"), ("prompt", "prompt_id")):
                self._add(kind, row[column], "judgement", row["judgement_id"])
            self._add("judgement", row["judgement_id"], "example", row["example_id"])
        for row in self._rows("example_parent"):
            self._add("example", row["parent_id"], "example", row["example_id"])

    def _read_sets(self) -> None:
        for row in self._rows("training_set_member"):
            self._add("example", row["example_id"], "set", row["training_set_id"])
        for row in self._rows("training_run"):
            self._add("set", row["training_set_id"], "run", row["training_run_id"])
        for row in self._rows("evaluation"):
            self._add("run", row["training_run_id"], "evaluation", row["evaluation_id"])
            self._add("benchmark", row["benchmark_id"], "evaluation", row["evaluation_id"])

    def _read_others(self) -> None:
        for row in self._rows("publication"):
            self._add("task", row["task_id"], "publication", row["publication_id"])
        for row in self._rows("published_example"):
            self._add("publication", row["publication_id"], "published", row["published_example_id"])
        for row in self._rows("published_rank"):
            if row["dataset_id"] is not None:
                self._add("row", (row["dataset_id"], row["row_id"]), "publication", row["publication_id"])
        for row in self._rows("likely_source"):
            self._add("row", (row["dataset_id"], row["row_id"]), "published", row["published_example_id"])
        for row in self._rows("retracted_row"):
            self._add("retraction", row["retraction_id"], "row", (row["dataset_id"], row["row_id"]))
        for row in self._rows("retracted_dataset"):
            self._add("retraction", row["retraction_id"], "dataset", row["dataset_id"])

    def reached(self, start: Key, direction: str) -> set[Key]:
        """Every record above or below one, without it."""
        ways = self.parents if direction == "up" else self.children
        found: set[Key] = set()
        waiting = [start]
        while waiting:
            for other in ways[waiting.pop()] - found:
                found.add(other)
                waiting.append(other)
        return found

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(select(Base.metadata.tables[table])).mappings()]

    def _add(self, parent_kind: str, parent: Any, child_kind: str, child: Any) -> None:
        above, below = (parent_kind, _text(parent)), (child_kind, _text(child))
        self.parents[below].add(above)
        self.children[above].add(below)
        self.all |= {above, below}


def _text(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
