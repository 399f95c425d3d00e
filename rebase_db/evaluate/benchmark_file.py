"""Benchmarks as files: JSON lines of held-out items with `input`, `output` and, if they have one, `id`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from rebase_db.errors import TaskError
from rebase_db.hashing import content_hash

if TYPE_CHECKING:
    from pathlib import Path

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """What a student is asked and what it should answer.

    `item_key` is the file's own id, or the position in digits where it has none; `position` counts items from 1.
    """

    item_key: str
    position: int
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The items of a file in its order.

    `name` is the file's name without its suffix. `content_hash` (tag `benchmark/v1`) is over keys, inputs and outputs
    alone: further columns, spacing or the file's name do not change it.
    """

    name: str
    items: tuple[BenchmarkItem, ...]
    content_hash: bytes


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark; columns other than `id`, `input` and `output` are left aside, and so are blank lines.

    Raises:
        TaskError: The file is missing, holds no item, or a line is not an item; the message names file and line.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise TaskError(
            f"The benchmark file {path} cannot be read: {error.strerror or error}.",
            hint="In a task file a relative path starts at that file's folder.",
        ) from error
    items: list[BenchmarkItem] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        item = _item(line, f"{path}, line {number}", len(items) + 1)
        first = line_of.setdefault(item.item_key, number)
        if first != number:
            raise TaskError(
                f"{path}, line {number}: the id {item.item_key!r} is that of line {first} already.",
                hint="Ids must be unique; a line without one goes by its position.",
            )
        items.append(item)
    if not items:
        raise TaskError(
            f"The benchmark file {path} holds no item.", hint='A line is {"input": "...", "output": "..."}.'
        )
    digest = content_hash("benchmark/v1", [[item.item_key, item.input, item.output] for item in items])
    return Benchmark(path.stem, tuple(items), digest)


def _item(line: bytes, place: str, position: int) -> BenchmarkItem:
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        _refuse(place, f"not UTF-8 (byte {error.start + 1})")
    except json.JSONDecodeError as error:
        _refuse(place, f"not JSON ({error.msg}, column {error.colno})")
    except RecursionError:
        _refuse(place, "JSON nested too deeply")
    if not isinstance(value, dict):
        _refuse(place, f"a JSON {_KINDS[type(value)]}, not an object")
    key = value.get("id")
    if key is None:
        key = position
    if isinstance(key, bool) or not isinstance(key, str | int):
        _refuse(place, "`id` is neither text nor a whole number")
    item = BenchmarkItem(str(key), position, _text(value, "input", place), _text(value, "output", place))
    if _UNSTORABLE.search(item.item_key):
        _refuse(place, "`id` holds a NUL or half of a surrogate pair")
    return item


_KINDS = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _text(value: dict[str, object], name: str, place: str) -> str:
    if name not in value:
        _refuse(place, f"`{name}` is missing")
    text = value[name]
    if not isinstance(text, str):
        _refuse(place, f"`{name}` is not text")
    if not text.strip():
        _refuse(place, f"`{name}` is blank")
    if _UNSTORABLE.search(text):
        _refuse(place, f"`{name}` holds a NUL or half of a surrogate pair, which no database text can")
    return text


def _refuse(place: str, reason: str) -> NoReturn:
    raise TaskError(f"{place}: {reason}.", hint='A line is {"id": "...", "input": "...", "output": "..."}.')
