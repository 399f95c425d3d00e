"""Arrow columns as text, whole columns at a time: structs flattened, labels named, binary values left out.

A 32-bit float is written with the shortest digits that tell it from other 32-bit floats (0.1, not 0.10000000149011612).
Timestamps are ISO 8601, with the offset of their zone where they have one. A ClassLabel of -1, which `datasets` writes
for "no label known", stays `-1`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from rebase_db.errors import SourceError
from rebase_db.ingest.features import Feature, field_of, is_media, item_of, kind, label_names, type_name
from rebase_db.ingest.row_faults import RowFaultError, RowFaults
from rebase_db.ingest.source import BATCH_BYTES, ROW_KEY, Batch, Column, LeftOutColumn
from rebase_db.ingest.values import NUL_REASON, check_column_names, float_text, json_text, text_fault, value_text

_BINARY = (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view)
_UNKNOWN_LABEL = -1
_UNFIT = (ValueError, KeyError, OverflowError, RecursionError, NotImplementedError)
"""How one value that has no text form shows; Arrow's own errors are among them."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of cells: the fields from the schema down to it, and its feature."""

    path: tuple[str, ...]
    source_type: str
    feature: Feature | None

    @property
    def name(self) -> str:
        """Its dotted name."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read of a schema: the cells, the source's row key, and what is left out."""

    leaves: list[Leaf]
    key: Leaf | None
    left_out: tuple[LeftOutColumn, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the split."""
        return tuple(Column(leaf.name, leaf.source_type) for leaf in self.leaves)


def plan(schema: pa.Schema, features: dict[str, Any], shown: str) -> Plan:
    """Decide what is read of `schema`.

    Args:
        schema: The schema of the source.
        features: The `datasets` features by column, as far as there are any.
        shown: The source, for messages.

    Raises:
        SourceError: Column names are empty, repeated or no text, or nothing is left to read.
    """
    leaves: list[Leaf] = []
    left_out: list[LeftOutColumn] = []
    for field in schema:
        for leaf, reason in _leaves((field.name,), field.type, features.get(field.name)):
            if reason:
                left_out.append(LeftOutColumn(leaf.name, reason))
            else:
                leaves.append(leaf)
    try:
        check_column_names([leaf.name for leaf in leaves], shown)
    except SourceError as error:
        if left_out and not leaves:
            names = ", ".join(column.name for column in left_out)
            raise SourceError(f"{shown}: no column of it is text (left out: {names}).", hint=error.hint) from None
        raise
    if any(leaf.path[0] == ROW_KEY and leaf.path != (ROW_KEY,) for leaf in leaves):
        raise SourceError(f"{shown}: the row key {ROW_KEY!r} is no plain value.", hint="Rename that column.")
    key = next((leaf for leaf in leaves if leaf.path == (ROW_KEY,)), None)
    return Plan([leaf for leaf in leaves if leaf is not key], key, tuple(left_out))


def _leaves(path: tuple[str, ...], kind_of: pa.DataType, feature: Feature | None) -> Iterator[tuple[Leaf, str]]:
    """The columns below one field, and why one is left out ('' where it is not)."""
    if is_media(feature):
        yield Leaf(path, str(kind_of), feature), f"{kind(feature)} values are no text"
    elif pt.is_struct(kind_of) and kind_of.num_fields:
        for field in kind_of:
            yield from _leaves((*path, field.name), field.type, field_of(feature, field.name))
    else:
        yield Leaf(path, type_name(feature) or str(kind_of), feature), _unreadable(kind_of, feature)


def _unreadable(kind_of: pa.DataType, feature: Feature | None) -> str:
    """Why values of this type cannot be shown as text; '' where they can."""
    for part, inner in _parts(kind_of, feature):
        if is_media(inner):
            return f"it holds {kind(inner)} values, which are no text"
        if any(is_kind(part) for is_kind in _BINARY):
            return f"binary values ({part}) are no text"
        if pt.is_union(part) or pt.is_interval(part) or pt.is_run_end_encoded(part):
            return f"values of type {part} have no text form here"
    return ""


def _parts(kind_of: pa.DataType, feature: Feature | None) -> Iterator[tuple[pa.DataType, Feature | None]]:
    """A type and the types of all that its values are made of."""
    yield kind_of, feature
    if isinstance(kind_of, pa.BaseExtensionType) and not isinstance(kind_of, pa.UuidType):
        yield from _parts(kind_of.storage_type, feature)
    elif pt.is_dictionary(kind_of):
        yield from _parts(kind_of.value_type, feature)
    elif pt.is_map(kind_of):
        yield from _parts(kind_of.key_type, None)
        yield from _parts(kind_of.item_type, None)
    elif _is_list(kind_of):
        yield from _parts(kind_of.value_type, item_of(feature))
    elif pt.is_struct(kind_of):
        for field in kind_of:
            yield from _parts(field.type, field_of(feature, field.name))


def _is_list(kind_of: pa.DataType) -> bool:
    return bool(
        pt.is_list(kind_of)
        or pt.is_large_list(kind_of)
        or pt.is_fixed_size_list(kind_of)
        or pt.is_list_view(kind_of)
        or pt.is_large_list_view(kind_of)
    )


def batches_of(rows: pa.RecordBatch, what: Plan, index: Sequence[int], faults: RowFaults) -> Iterator[Batch]:
    """Rows as text, in batches of about 4 MB.

    Args:
        rows: Rows with the planned columns; one that is missing is all null.
        what: The plan.
        index: The rows' positions in their split.
        faults: Told of each faulty row, in order.
    """
    step = max(1, len(rows) * BATCH_BYTES // max(BATCH_BYTES, rows.nbytes))
    for start in range(0, len(rows), step):
        batch = _batch(rows.slice(start, step), what, index[start : start + step], faults)
        if batch.source_index:
            yield batch


def _batch(rows: pa.RecordBatch, what: Plan, index: Sequence[int], faults: RowFaults) -> Batch:
    found: dict[int, RowFaultError] = {}
    cells = [_cells(rows, leaf, found) for leaf in what.leaves]
    keys: list[str | None] = _cells(rows, what.key, found) if what.key else [None] * len(rows)
    if not found:
        return Batch(list(index), keys, cells)
    for row in sorted(found):
        faults.report(found[row], index[row])
    kept = [row for row in range(len(rows)) if row not in found]
    return Batch(
        [index[row] for row in kept],
        [keys[row] for row in kept],
        [[column[row] for row in kept] for column in cells],
    )


def _cells(rows: pa.RecordBatch, leaf: Leaf, found: dict[int, RowFaultError]) -> list[str | None]:
    """One column as text; the first fault of a row goes into `found`."""
    if leaf.path[0] not in rows.schema.names:
        return [None] * len(rows)
    array = rows.column(leaf.path[0])
    if len(leaf.path) > 1:
        array = pc.struct_field(array, list(leaf.path[1:]))
    try:
        return _texts(array, leaf.feature)
    except _UNFIT:
        return [_text(array.slice(row, 1), row, leaf, found) for row in range(len(array))]


def _text(cell: pa.Array, row: int, leaf: Leaf, found: dict[int, RowFaultError]) -> str | None:
    try:
        return _texts(cell, leaf.feature)[0]
    except _UNFIT as error:
        found.setdefault(row, RowFaultError(_reason(error), column=leaf.name))
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, _UnfitError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply to be written as text"
    return f"cannot be written as text ({error})"


class _UnfitError(ValueError):
    """A value that no cell can hold; the message is the reason, as a verb phrase."""


def _texts(array: pa.Array, feature: Feature | None) -> list[str | None]:  # noqa: PLR0911 - one for each kind of type
    """A column as text; one of _UNFIT if any value of it cannot be."""
    kind_of = array.type
    if kind(feature) == "Json" and isinstance(kind_of, pa.JsonType):
        return _each(array.storage, lambda text: _fit(value_text(json.loads(text))))
    if isinstance(kind_of, pa.BaseExtensionType) and not isinstance(kind_of, pa.UuidType):
        return _texts(array.storage, feature)
    if pt.is_dictionary(kind_of):
        return _texts(array.dictionary_decode(), feature)
    if pt.is_string(kind_of) or pt.is_large_string(kind_of) or pt.is_string_view(kind_of):
        return _checked(array)
    if names := label_names(feature) if pt.is_integer(kind_of) else None:
        return _each(array, lambda number: _fit(_label(number, names)))
    if pt.is_integer(kind_of) or pt.is_boolean(kind_of) or pt.is_null(kind_of):
        return _list(array.cast(pa.string()))
    if pt.is_floating(kind_of):
        return _each(_readable(array), float_text)
    if pt.is_date(kind_of) or pt.is_timestamp(kind_of) or pt.is_time(kind_of):
        return _list(_iso(array.cast(pa.string())))
    convert = _converter(kind_of, feature) if _is_list(kind_of) or pt.is_struct(kind_of) or pt.is_map(kind_of) else None
    if convert:
        return _each(_readable(array), lambda value: _fit(json_text(convert(value))))
    return _each(_readable(array), value_text)


def _checked(array: pa.Array) -> list[str | None]:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise _UnfitError("is not UTF-8") from error
    texts = array.cast(pa.large_string()) if pt.is_string_view(array.type) else array
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise _UnfitError(NUL_REASON)
    return _list(array)


def _list(array: pa.Array) -> list[str | None]:
    texts: list[str | None] = array.to_pylist()
    return texts


def _each(array: pa.Array, text_of: Callable[[Any], str]) -> list[str | None]:
    return [None if value is None else text_of(value) for value in array.to_pylist(maps_as_pydicts="strict")]


def _fit(text: str) -> str:
    if reason := text_fault(text):
        raise _UnfitError(reason)
    return text


def _label(number: int, names: list[str]) -> str:
    if 0 <= number < len(names):
        return names[number]
    if number == _UNKNOWN_LABEL:
        return str(number)
    raise _UnfitError(f"is the label {number}, which has no name (there are {len(names)})")


def _iso(texts: pa.Array) -> pa.Array:
    """Arrow's `2024-05-06 07:08:09.000000+0200` as `2024-05-06T07:08:09+02:00`."""
    if pc.any(pc.starts_with(texts, "<")).as_py():  # Arrow's "<value out of range: …>"
        raise _UnfitError("is a date that no calendar has")
    for pattern, replacement in (
        (r"^(\S+) ", r"\1T"),
        (r"\.0+($|[Z+-])", r"\1"),
        (r"Z$", "+00:00"),
        (r"([+-]\d\d)(\d\d)$", r"\1:\2"),
    ):
        texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
    return texts


def _readable(array: pa.Array) -> pa.Array:
    """The same values in types that Python reads without loss, at any depth.

    Nanoseconds become microseconds, or ArrowInvalid (a ValueError) where that loses something; 32-bit floats become the
    doubles of their shortest digits.
    """
    precise = _swapped(array.type, _in_microseconds)
    if precise != array.type:
        array = array.cast(precise)
    digits = _swapped(precise, lambda leaf: pa.string() if pt.is_float32(leaf) else leaf)
    if digits != precise:
        array = array.cast(digits).cast(_swapped(precise, lambda leaf: pa.float64() if pt.is_float32(leaf) else leaf))
    return array


def _in_microseconds(leaf: pa.DataType) -> pa.DataType:
    if pt.is_timestamp(leaf) and leaf.unit == "ns":
        return pa.timestamp("us", leaf.tz)
    if pt.is_duration(leaf) and leaf.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if pt.is_time64(leaf) else leaf


def _swapped(kind_of: pa.DataType, swap: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type with `swap` applied to its leaves."""
    if pt.is_list(kind_of) or pt.is_large_list(kind_of) or pt.is_fixed_size_list(kind_of):
        value = kind_of.value_field.with_type(_swapped(kind_of.value_type, swap))
        if pt.is_fixed_size_list(kind_of):
            return pa.list_(value, kind_of.list_size)
        return pa.list_(value) if pt.is_list(kind_of) else pa.large_list(value)
    if pt.is_struct(kind_of):
        return pa.struct([field.with_type(_swapped(field.type, swap)) for field in kind_of])
    if pt.is_map(kind_of):
        return pa.map_(_swapped(kind_of.key_type, swap), _swapped(kind_of.item_type, swap))
    return swap(kind_of)


_Convert = Callable[[Any], Any]


def _converter(kind_of: pa.DataType, feature: Feature | None) -> _Convert | None:
    """What names the labels and decodes the JSON texts inside a value, or None where there are none."""
    if isinstance(kind_of, pa.JsonType):
        return json.loads
    if names := label_names(feature) if pt.is_integer(kind_of) else None:
        return lambda number: _label(number, names)
    if _is_list(kind_of):
        return _over_items(_converter(kind_of.value_type, item_of(feature)))
    if pt.is_struct(kind_of):
        found = {field.name: _converter(field.type, field_of(feature, field.name)) for field in kind_of}
        return _over_fields({name: convert for name, convert in found.items() if convert})
    return None


def _over_items(convert: _Convert | None) -> _Convert | None:
    if convert is None:
        return None
    return lambda items: [None if item is None else convert(item) for item in items]


def _over_fields(converts: dict[str, _Convert]) -> _Convert | None:
    if not converts:
        return None
    return lambda value: {
        name: converts[name](part) if name in converts and part is not None else part for name, part in value.items()
    }
