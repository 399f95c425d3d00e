"""Records: a training set's members as JSON Lines, and beside them every source row each was made from.

`examples.jsonl` has a record a member with its own row; `sources.jsonl` one for each member and row behind it, also
those of the examples it was made from. Members with retracted rows say so; erased ones have null for their texts.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rebase_db.export.members import members
from rebase_db.licence.duty import in_order
from rebase_db.licence.known import read_licence

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from sqlalchemy import Connection

    from rebase_db.export.members import Making, Member

EXAMPLES = "examples.jsonl"
SOURCES = "sources.jsonl"

FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    EXAMPLES: {
        "position": ("sc:Integer", "Place in the set, from 1"),
        "example": ("sc:Integer", "Number in the database it was made in"),
        "input": ("sc:Text", "What the student is given"),
        "output": ("sc:Text", "What it is to answer"),
        "rationale": ("sc:Text", "How the answer is reached, where the task asks for it"),
        "hash": ("sc:Text", "SHA-256 of input, output and rationale (tag example/v1)"),
        "duties": ("sc:Text", "What the licences of all rows behind it ask"),
        "retracted": ("sc:Boolean", "Whether a row behind it has been withdrawn"),
        "erased": ("sc:Boolean", "Whether its texts were erased"),
    },
    SOURCES: {
        "position": ("sc:Integer", "Place of the example in the set"),
        "example": ("sc:Integer", "The example"),
        "maker": ("sc:Integer", "The example that was made of this row: the same, or one it was made from"),
    },
}
"""The fields of each file with type and meaning; those of the source row follow in both."""

ROW_FIELDS: dict[str, tuple[str, str]] = {
    "source": ("sc:Text", "The source row: dataset, config, split and index"),
    "dataset": ("sc:Text", "Its dataset"),
    "config": ("sc:Text", "Its config"),
    "split": ("sc:Text", "Its split"),
    "source_index": ("sc:Integer", "Its index in the split, from 0"),
    "source_key": ("sc:Text", "Its key at the source, where it has one"),
    "revision": ("sc:Text", "The revision of the dataset it was read in"),
    "source_hash": ("sc:Text", "SHA-256 of its content (tag source_row/v1)"),
    "licence": ("sc:Text", "The licence as the dataset states it"),
    "source_duties": ("sc:Text", "What that licence asks"),
    "source_retracted": ("sc:Boolean", "Whether the row has been withdrawn"),
    "source_erased": ("sc:Boolean", "Whether its content was erased"),
}
LISTS = {"duties", "source_duties"}
"""Fields with a list of values."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of records as it is, or would be, written."""

    name: str
    records: int
    size: int
    sha256: str


def example_record(member: Member) -> dict[str, Any]:
    """A member with its own row."""
    own = member.own
    return {
        "position": member.position,
        "example": own.example_id,
        "input": member.input,
        "output": member.output,
        "rationale": member.rationale,
        "hash": own.example_hash.hex(),
        "duties": member.duties,
        "retracted": member.retracted,
        "erased": own.example_erased,
        **_row(own),
    }


def source_records(member: Member) -> list[dict[str, Any]]:
    """Every row behind a member, its own first."""
    return [
        {
            "position": member.position,
            "example": member.own.example_id,
            "maker": making.example_id,
            **_row(making),
        }
        for making in member.makings
    ]


def _row(making: Making) -> dict[str, Any]:
    return {
        "source": making.row,
        "dataset": making.dataset,
        "config": making.config,
        "split": making.split,
        "source_index": making.source_index,
        "source_key": making.source_key,
        "revision": making.revision,
        "source_hash": making.row_hash.hex(),
        "licence": making.licence,
        "source_duties": in_order(read_licence(making.licence).duties),
        "source_retracted": making.retracted_at is not None,
        "source_erased": making.row_erased,
    }


def write_records(connection: Connection, training_set_id: int, folder: Path | None) -> list[RecordFile]:
    """Stream both files into a folder, or only count and hash what they would be, where it is None."""
    with ExitStack() as stack:
        sinks = [
            _Sink(name, stack.enter_context((folder / name).open("wb")) if folder else None)
            for name in (EXAMPLES, SOURCES)
        ]
        for member in members(connection, training_set_id):
            sinks[0].write(example_record(member))
            for record in source_records(member):
                sinks[1].write(record)
    return [RecordFile(sink.name, sink.records, sink.size, sink.digest.hexdigest()) for sink in sinks]


class _Sink:
    """Counts and hashes lines on their way into a file, if there is one."""

    def __init__(self, name: str, handle: BinaryIO | None) -> None:
        self.name = name
        self.handle = handle
        self.records = self.size = 0
        self.digest = hashlib.sha256()

    def write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        self.records += 1
        self.size += len(line)
        self.digest.update(line)
        if self.handle:
            self.handle.write(line)
