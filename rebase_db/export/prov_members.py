"""The record level of a PROV document: each example with its row, its call, and the examples it was made from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from rebase_db.export.prov_graph import call_name, example_name, prov_name
from rebase_db.export.words import in_utc

if TYPE_CHECKING:
    from rebase_db.export.members import Making, Member
    from rebase_db.export.prov_graph import ProvGraph


def add_member(graph: ProvGraph, member: Member, set_name: str | None = None) -> None:
    """Write a member of the set, or of another one that is named, with all that it was made from."""
    # Those it was made from come first, as they are older.
    for making in sorted(member.makings, key=lambda each: each.example_id):
        _making(graph, making)
    example = example_name(member.own)
    graph.document.hadMember(set_name or graph.set_name, example)
    if set_name is None:
        graph.document.used(graph.freeze_name, example)


def _making(graph: ProvGraph, making: Making) -> None:
    """An example with its row and its call, and the examples it was made from."""
    example = example_name(making)
    if not graph.new(example):
        return
    graph.examples[making.example_id] = example
    row = _row(graph, making)
    graph.entity(
        example,
        [
            ("prov:type", "example"),
            ("rebase:example", making.example_id),
            ("rebase:hash", making.example_hash.hex()),
            *([("rebase:erased", True)] if making.example_erased else []),
        ],
    )
    call = _call(graph, making)
    graph.document.used(call, row)
    graph.document.wasGeneratedBy(example, call, in_utc(making.example_made_at))
    graph.document.wasDerivedFrom(example, row, call)
    graph.document.wasAttributedTo(example, graph.teacher_name(making.teacher_id))
    for parent in making.parents:
        graph.document.used(call, graph.examples[parent])
        graph.document.wasDerivedFrom(example, graph.examples[parent], call)


def _row(graph: ProvGraph, making: Making) -> str:
    name = prov_name("row", making.dataset_id, making.row_id, of=making.row_hash)
    if not graph.new(name):
        return name
    split = graph.splits[making.dataset_id][making.config, making.split, making.ingest_id]
    graph.entity(
        name,
        [
            ("prov:type", "row"),
            ("prov:label", making.row),
            ("rebase:hash", making.row_hash.hex()),
            ("rebase:licence", making.licence or "not stated"),
            *([("rebase:erased", True)] if making.row_erased else []),
        ],
    )
    load = graph.load_name(graph.source(making.dataset_id), making.ingest_id)
    graph.document.wasDerivedFrom(name, split, load)
    graph.document.wasGeneratedBy(name, load)
    for retraction in making.retractions:
        when = in_utc(making.retracted_at) if making.retracted_at else None
        graph.document.wasInvalidatedBy(name, graph.retraction_name(retraction), when)
    return name


def _call(graph: ProvGraph, making: Making) -> str:
    name = call_name(making.generation_id, making)
    graph.known.add(name)
    began = making.answered_at - dt.timedelta(seconds=making.latency_seconds)
    graph.activity(
        name,
        began,
        making.answered_at,
        [("prov:type", "call"), ("rebase:promptHash", making.rendered_hash.hex())],
    )
    graph.document.wasAssociatedWith(name, graph.teacher_name(making.teacher_id), graph.prompt_name(making.prompt_id))
    graph.document.wasAssociatedWith(name, graph.software(making.code_version))
    graph.document.wasInformedBy(name, graph.retrieval_name(making.retrieval_id))
    if making.reused_from is not None:
        asked = call_name(making.reused_from, making)
        graph.asked.add(asked)
        graph.document.wasInformedBy(name, asked)
    return name
