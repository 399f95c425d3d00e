"""Rows that are JSON objects, however they are packed in a file: their columns, and their cells.

Objects inside a row flatten to dotted names; a list is one cell of compact JSON text, and so is an empty object. The
columns are the union over the rows, in order of first appearance; a key that a row lacks, or holds as null, is no cell.
Each value is written by its own type. A key that holds an object in one row and something else in another gives both
columns (`a` and `a.b`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from rebase_db.errors import SourceError
from rebase_db.ingest.files import SourceFile
from rebase_db.ingest.row_faults import Judge, RowFaultError, RowFaults
from rebase_db.ingest.sample import Stride, stride
from rebase_db.ingest.source import ROW_KEY, Batch, BatchBuilder, Column, ReadOptions, RejectedRow, Split
from rebase_db.ingest.values import check_column_names, text_fault, value_text

_WHAT = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
_TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}

KeyPath = tuple[str, ...]
"""The keys from the row down to a value."""


class Element(NamedTuple):
    """One element of a file.

    Args:
        line: 1-based line on which it begins.
        size: Its bytes.
        suspect: Whether its strings may hold what no text can (they were written with escapes).
        load: Parses it; raises RowFaultError.
    """

    line: int
    size: int
    suspect: bool
    load: Callable[[], Any]


Elements = Callable[[SourceFile], Iterator[Element]]
"""The elements of a file from its beginning."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` that refuses an object with the same key twice, where JSON would drop the first value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RowFaultError(f"has the key {twice!r} twice in one object")
    return found


def parse(text: str) -> Any:
    """One JSON text; RowFaultError says where it breaks."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise RowFaultError(f"is broken JSON ({error.msg}, character {error.pos + 1})") from error
    except RecursionError as error:
        raise RowFaultError("is nested too deeply to be read") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise RowFaultError(f"cannot be read: {error}") from error


@dataclass(slots=True)
class _Seen:
    path: KeyPath
    types: set[str] = field(default_factory=set)


def open_objects(file: SourceFile, elements: Elements, config: str, split: str, options: ReadOptions) -> Split:
    """Go through a file of JSON objects once for its columns, after counting them if only a sample is wanted.

    Raises:
        SourceError: There are no rows, no row is an object, two keys come to one column name, or (under
            `OnError.FAIL`) a sampled row is faulty.
    """
    sample = None
    if options.max_rows is not None:
        sample = stride(sum(1 for _ in elements(file)), options.max_rows)
    rejected: list[RejectedRow] = []
    judge = partial(RowFaults, file.uri, str(file.path), options.on_error)
    sampled = partial(_sampled, file, elements, sample)
    read, columns = _columns(sampled(), judge(rejected))
    if not read:
        raise SourceError(f"{file.path}: there is no row in it.", hint="Fetch it again, or leave it out.")
    if rejected and not columns:
        raise SourceError(
            f"{file.path}: no row of it can be read; line {rejected[0].line} {rejected[0].reason}.",
            hint="Check that it is what its name says.",
        )
    named = [name for name, seen in columns.items() if seen.path != (ROW_KEY,)]
    check_column_names(named, str(file.path))
    return Split(
        config=config,
        split=split,
        uri=file.uri,
        revision=file.revision,
        rows=read if sample is None else sample.total,
        columns=tuple(Column(name, _type_name(columns[name].types)) for name in named),
        left_out=(),
        read=partial(_batches, sampled, [columns[name].path for name in named], judge),
    )


def _sampled(file: SourceFile, elements: Elements, sample: Stride | None) -> Iterator[tuple[int, Element]]:
    """The elements that are read, with their positions."""
    return ((index, element) for index, element in enumerate(elements(file)) if sample is None or index in sample)


def _columns(sampled: Iterator[tuple[int, Element]], faults: RowFaults) -> tuple[int, dict[str, _Seen]]:
    """The number of rows read, and the columns by name."""
    columns: dict[str, _Seen] = {}
    rows = 0
    for index, element in sampled:
        rows += 1
        try:
            row = _flat(element)
        except RowFaultError as fault:
            faults.report(fault, index, element.line)
            continue
        for path, value in row.items():
            name = ".".join(path)
            seen = columns.setdefault(name, _Seen(path))
            if seen.path != path:
                raise SourceError(
                    f"{faults.shown}: line {element.line}: {_written(path)} and {_written(seen.path)} would both be "
                    f"the column {name!r}.",
                    hint="Rename one of the keys.",
                )
            if value is not None:
                seen.types.add(_TYPE_NAMES[type(value)])
    objects = {seen.path[:depth] for seen in columns.values() for depth in range(1, len(seen.path))}
    # Null where other rows have an object is a missing object, not a column of its own.
    return rows, {name: seen for name, seen in columns.items() if seen.types or seen.path not in objects}


def _written(path: KeyPath) -> str:
    return f"the key {path[0]!r}" if len(path) == 1 else "the nested keys " + " > ".join(map(repr, path))


def _type_name(types: set[str]) -> str:
    if len(types) > 1:
        return f"mixed({', '.join(sorted(types))})"
    return next(iter(types), "null")


def _flat(element: Element) -> dict[KeyPath, Any]:
    """The values of a row by their path, in its order; RowFaultError where the row cannot be kept."""
    row = element.load()
    if not isinstance(row, dict):
        raise RowFaultError(f"is {_WHAT[type(row)]}, not a JSON object")
    if isinstance(row.get(ROW_KEY), list | dict):
        raise RowFaultError("is no plain value, as a row's key must be", column=ROW_KEY)
    flat: dict[KeyPath, Any] = {}
    pending: list[tuple[KeyPath, Iterator[tuple[str, Any]]]] = [((), iter(row.items()))]
    while pending:
        prefix, items = pending[-1]
        for key, value in items:
            path = (*prefix, key)
            _check_key(path, suspect=element.suspect)
            if isinstance(value, dict) and value:
                pending.append((path, iter(value.items())))
                break
            if element.suspect and value is not None and (reason := text_fault(_cell(path, value))):
                raise RowFaultError(reason, column=".".join(path))
            flat[path] = value
        else:
            pending.pop()
    return flat


def _check_key(path: KeyPath, *, suspect: bool) -> None:
    if not path[-1].strip():
        raise RowFaultError("has an empty key", column=".".join(path[:-1]) or None)
    if suspect and (reason := text_fault(path[-1])):
        raise RowFaultError(f"has the key {path[-1]!r}, which {reason}")


def _cell(path: KeyPath, value: object) -> str:
    try:
        return value_text(value)
    except RecursionError as error:
        raise RowFaultError("is nested too deeply to be written as text", column=".".join(path)) from error


def _batches(
    sampled: Callable[[], Iterator[tuple[int, Element]]],
    paths: list[KeyPath],
    judge: Judge,
    rejected: list[RejectedRow],
) -> Iterator[Batch]:
    faults = judge(rejected)
    builder = BatchBuilder(len(paths))
    for index, element in sampled():
        try:
            row = {path: _cell(path, value) for path, value in _flat(element).items() if value is not None}
        except RowFaultError as fault:
            faults.report(fault, index, element.line)
            continue
        if batch := builder.add(index, row.get((ROW_KEY,)), [row.get(path) for path in paths], element.size):
            yield batch
    if batch := builder.rest():
        yield batch
