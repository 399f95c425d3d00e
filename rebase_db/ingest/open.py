"""Sources by their name on the command line.

| SOURCE | what it is |
| --- | --- |
| `rows.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json`, `.parquet`, each also `.gz` | one dataset of one split |
| `folder/` | a dataset a folder, a config a file: see `rebase_db.ingest.folder` |
| `hf:NAME[:CONFIG][@REVISION]` | a dataset of the Hugging Face Hub: see `rebase_db.ingest.hub` |
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.errors import SourceError
from rebase_db.ingest.file_split import open_file
from rebase_db.ingest.files import source_file
from rebase_db.ingest.folder import open_folder
from rebase_db.ingest.hub import SCHEME, open_hub
from rebase_db.ingest.sample import check_max_rows
from rebase_db.ingest.source import OnError, ReadOptions, SourceDataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEFAULT_CONFIG = "default"
DEFAULT_SPLIT = "train"


def open_sources(
    sources: Sequence[str],
    *,
    name: str | None = None,
    config: str | None = None,
    split: str | None = None,
    description: str | None = None,
    licence: str | None = None,
    max_rows: int | None = None,
    on_error: OnError = OnError.FAIL,
) -> Iterator[SourceDataset]:
    """Open sources one after the other, each dataset when it is asked for.

    Args:
        sources: Files, folders and hub datasets.
        name: The dataset's name, instead of the file's, folder's or hub's; for sources of one dataset each.
        config: The config's name of a file (`default`); in folders and on the hub the only config to read.
        split: The split's name of files (`train`); on the hub the only split to read.
        description: Instead of the source's own.
        licence: Instead of the source's own.
        max_rows: Read an even stride of this many rows of each split; None reads them all. Rows outside the sample are
            not judged.
        on_error: What a faulty row does.

    Raises:
        SourceError: A source cannot be read as what it claims to be, or two are the same split of the same dataset.
    """
    check_max_rows(max_rows)
    options = ReadOptions(max_rows, on_error)
    seen: dict[tuple[str, str, str], str] = {}
    for source in sources:
        for opened in _open(source, name, config, split, options):
            dataset = replace(
                opened,
                name=name or opened.name,
                description=opened.description if description is None else description,
                licence=opened.licence if licence is None else licence,
            )
            for part in dataset.splits:
                key = (dataset.name, part.config, part.split)
                if key in seen:
                    raise SourceError(
                        f"{source}: is the split {part.config}/{part.split} of {dataset.name}, and so is {seen[key]}.",
                        hint="Ingest them one at a time, with --name, --config or --split to tell them apart.",
                    )
                seen[key] = source
            yield dataset


def _open(
    source: str, name: str | None, config: str | None, split: str | None, options: ReadOptions
) -> Iterator[SourceDataset]:
    path = Path(source)
    if source.startswith(SCHEME):
        yield open_hub(source, config, split, options)
    elif path.is_dir():
        yield from open_folder(path, name, config, split or DEFAULT_SPLIT, options)
    else:
        file = source_file(path)
        part = open_file(file, config or DEFAULT_CONFIG, split or DEFAULT_SPLIT, options)
        yield SourceDataset(file.stem, file.uri, "", "", [part])
