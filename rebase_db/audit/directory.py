"""Which file of a directory is what: the ranking, the rows and the outputs of one task.

    <dir>/retrieved/<task>.parquet          the ranking: rank, score, dataset_id, config_id, row_id, best cells
    <dir>/rebase_outputs/<task>.jsonl       the outputs: input, output
    <dir>/corpus/<dataset>/<config>.parquet the rows, in the form that `rebase ingest` reads

Folders may also be called `ranking`, `outputs` and `rows`, formats are those of ingest, and in a directory of one task
the files may lie in it as `ranking.csv`, `outputs.jsonl` and so on. A file belongs to a task by its name, in which `/`,
`__`, `-` and `_` are the same.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError
from rebase_db.ingest.files import split_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RANKING = ("retrieved", "ranking")
_OUTPUTS = ("rebase_outputs", "outputs")
_ROWS = ("corpus", "rows")


@dataclass(frozen=True, slots=True)
class Directory:
    """The files of one task, each None where there is none; `rows` is a folder of datasets."""

    ranking: Path | None
    outputs: Path | None
    rows: Path | None


def recognise(
    root: Path, task: str, *, ranking: Path | None = None, outputs: Path | None = None, rows: Path | None = None
) -> Directory:
    """Find the files of `task` below `root`; those that are given are taken as they are.

    Raises:
        SourceError: There is no such folder, nothing of the task in it, or two files that could be the same thing.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: there is no such folder.", hint="`rebase import-examples` reads single files.")
    found = Directory(
        ranking or _only(root, task, "ranking", _RANKING, "--ranking"),
        outputs or _only(root, task, "outputs", _OUTPUTS, "--outputs"),
        rows or _rows(root),
    )
    if found.ranking is None and found.outputs is None:
        there = sorted({_stem(path) for name in (*_RANKING, *_OUTPUTS) for path in _files(root / name)})
        raise SourceError(
            f"{root}: there is no ranking and there are no outputs of task {task!r} in it.",
            hint=f"Name the files with --ranking and --outputs. {_like(task, there)}".strip(),
        )
    return found


def _only(root: Path, task: str, what: str, names: tuple[str, ...], option: str) -> Path | None:
    found = [path for name in names for path in _files(root / name) if _same(path, task)]
    # `outputs.jsonl` in the directory itself, where it holds one task.
    found += [path for path in _files(root) if _stem(path) in names]
    if len(found) > 1:
        shown = " and ".join(str(path) for path in found[:3])
        raise SourceError(f"{root}: {shown} could each be the {what} of {task!r}.", hint=f"Choose one with {option}.")
    return found[0] if found else None


def _rows(root: Path) -> Path | None:
    found = [root / name for name in _ROWS if (root / name).is_dir()]
    if len(found) > 1:
        raise SourceError(f"{root}: {found[0]} and {found[1]} could each be the rows.", hint="Choose one with --rows.")
    return found[0] if found else None


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(
            path for path in folder.iterdir() if path.is_file() and split_name(path.name) and path.name[0] != "."
        )


def _stem(path: Path) -> str:
    parts = split_name(path.name)
    return parts[0] if parts else path.stem


def _same(path: Path, task: str) -> bool:
    return _plain(_stem(path)) == _plain(task)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _like(task: str, there: list[str]) -> str:
    plain = {_plain(name): name for name in there}
    near = [plain[name] for name in difflib.get_close_matches(_plain(task), plain, n=3)]
    if near:
        return f"There is something of {' and '.join(near)}."
    others = " and others" if len(there) > 5 else ""  # noqa: PLR2004 - what fits on a line
    return f"There is something of {', '.join(there[:5])}{others}." if there else ""
