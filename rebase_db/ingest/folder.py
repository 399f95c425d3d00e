"""Folders of source files: a dataset a folder, a config a file.

    <root>/<dataset>/<config>.parquet       (or .jsonl, .ndjson, .csv, .tsv, each also .gz)
    <root>/descriptions.json                {dataset: description}, optional
    <root>/licences.json                    {dataset: licence}, optional

The folder's name is the dataset's with `/` written `__`. Because a name may itself hold `__`, a `dataset_id` or
`config_id` in the metadata of a Parquet schema, or a name in one of the two lists, settles which name it was, as long
as it would be written as the folder or file is. Deeper folders are datasets too, named by their path below the root.

Next to dataset folders, other JSON files of the root (manifests, statistics) are no data. A root without such folders
is itself the one dataset, named after the folder. Files with other endings and hidden ones are passed over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError
from rebase_db.ingest.file_split import open_file
from rebase_db.ingest.files import FileFormat, SourceFile, source_file, split_name
from rebase_db.ingest.parquet import schema_metadata
from rebase_db.ingest.source import ReadOptions, SourceDataset, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTIONS = "descriptions.json"
_LICENCES = "licences.json"
_JSON = {FileFormat.JSON, FileFormat.JSON_LINES, FileFormat.NDJSON}


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder with data files, and its path below the root with `__` as it is on disk."""

    folder: Path
    written: str
    files: list[Path]


def open_folder(
    root: Path, name: str | None, config: str | None, split: str, options: ReadOptions
) -> Iterator[SourceDataset]:
    """The datasets of a folder, by path, each opened when it is asked for.

    Args:
        root: The folder.
        name: The dataset's name, for a folder of one dataset; None takes the folder's.
        config: Read only this config of each dataset; None reads them all.
        split: The name of the split that each file is.
        options: How rows are read.

    Raises:
        SourceError: There is no data in it, files or lists are broken, or two files are the same config.
    """
    found = _datasets(root)
    if name and len(found) > 1:
        raise SourceError(
            f"{root}: holds {len(found)} datasets, which cannot all be named {name!r}.",
            hint="Leave --name out, or ingest one of its folders.",
        )
    descriptions, licences = _list(root / _DESCRIPTIONS), _list(root / _LICENCES)
    names = {_as_written(name): name for name in (*licences, *descriptions)}
    read = 0
    for entry in found:
        splits, stated = _splits(entry, config, split, options)
        if splits:
            read += 1
            own = stated or names.get(entry.written) or entry.written.replace("__", "/")
            uri = entry.folder.resolve().as_uri()
            yield SourceDataset(name or own, uri, descriptions.get(own, ""), licences.get(own, ""), splits)
    if not read:
        raise SourceError(f"{root}: no dataset in it has a config {config!r}.", hint="Configs are named as the files.")


def _datasets(root: Path) -> list[_Found]:
    folders = list(_folders(root))
    below = [entry for entry in folders if entry.folder != root]
    if not folders:
        endings = ", ".join(ending for ending in FileFormat if ending is not FileFormat.JSON)
        raise SourceError(f"{root}: there is no data file in this folder.", hint=f"Data files end with {endings}.")
    if not below:
        return folders
    for path in (path for entry in folders if entry.folder == root for path in entry.files):
        parts = split_name(path.name)
        if parts and parts[1] not in _JSON:
            raise SourceError(
                f"{path}: lies beside dataset folders, so it belongs to no dataset.",
                hint="Move it into a folder of its own, or ingest it by its name.",
            )
    return below


def _folders(root: Path) -> Iterator[_Found]:
    """Every folder below `root` (itself first) that holds data files, by path; links are followed once."""
    seen: set[str] = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        path = Path(folder)
        data = [path / name for name in sorted(files) if _is_data(name)]
        if data:
            written = path.resolve().name if path == root else path.relative_to(root).as_posix()
            yield _Found(path, written, data)


def _is_data(name: str) -> bool:
    parts = split_name(name)
    # A .json file beside data is a manifest more often than data, and never one of the form above.
    return parts is not None and parts[1] is not FileFormat.JSON and not name.startswith(".")


def _splits(entry: _Found, config: str | None, split: str, options: ReadOptions) -> tuple[list[Split], str | None]:
    """The files of one dataset, and its name if a file states it."""
    splits: list[Split] = []
    stated = None
    for path in entry.files:
        file = source_file(path)
        name, dataset = _stated_names(file, entry)
        stated = stated or dataset
        if config not in {None, name}:
            continue
        if any(other.config == name for other in splits):
            raise SourceError(f"{path}: there is another file of the config {name!r}.", hint="Rename one of them.")
        splits.append(open_file(file, name, split, options))
    return splits, stated


def _stated_names(file: SourceFile, entry: _Found) -> tuple[str, str | None]:
    """The names of a file's config, and of its dataset where the file states it."""
    metadata = schema_metadata(file) if file.file_format is FileFormat.PARQUET else {}
    config, dataset = metadata.get("config_id", ""), metadata.get("dataset_id", "")
    name = config if _as_written(config) == file.stem else file.stem
    return name, dataset if _as_written(dataset) == entry.written else None


def _as_written(name: str) -> str:
    return name.replace("/", "__")


def _list(path: Path) -> dict[str, str]:
    """A list of texts by dataset; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: is no JSON in UTF-8 ({error}).", hint="Mend it, or take it away.") from error
    if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
        raise SourceError(f"{path}: has to be one object of texts by dataset name.", hint='{"name": "text", …}')
    return entries
