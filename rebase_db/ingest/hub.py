"""Datasets of the Hugging Face Hub, streamed through `datasets` (the extra `hub`), and local folders of the same form.

`hf:NAME[:CONFIG][@REVISION]`: NAME is `name` or `org/name`, or a local folder with data files and, for its configs, a
README.md with a YAML head. `hf:org/name/CONFIG` works too; because `a/b` is always an organisation and a name, the
config of a dataset without organisation stands after a colon (`hf:glue:mnli`). Without CONFIG it is the dataset's
default or only one. Datasets that are scripts are refused by `datasets` itself.

Values are as `datasets` types them, with two differences. CSV files without declared features are read as text: their
types would be guessed, which makes 7 of `007` and nothing of `NA`. Images, sounds and other media are left out, and
never decoded. JSON files without declared features do have their types guessed: a column of strings that all look like
dates comes as timestamps. A file of that kind is kept to the letter when it is ingested by its own name instead.

`datasets` reads Parquet by row groups, so memory grows with the largest one, though not with the dataset.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rebase_db.errors import SourceError, did_you_mean
from rebase_db.hashing import content_hash, file_hash
from rebase_db.ingest.arrow_cells import Plan, batches_of, plan
from rebase_db.ingest.row_faults import Judge, RowFaults
from rebase_db.ingest.sample import Stride, stride
from rebase_db.ingest.source import BATCH_ROWS, Batch, ReadOptions, RejectedRow, SourceDataset, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

SCHEME = "hf:"
_PROSE = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class HubName:
    """What `hf:…` names.

    Args:
        name: `name`, `org/name`, or the path of a local folder.
        config: The config; None for the default.
        revision: A branch, tag or commit; None for the newest.
    """

    name: str
    config: str | None
    revision: str | None

    @property
    def is_folder(self) -> bool:
        """Whether it is a local folder."""
        return Path(self.name).is_dir()


def parse_hub_name(source: str) -> HubName:
    """Take `hf:NAME[:CONFIG][@REVISION]` apart; SourceError for anything else."""
    whole = source.removeprefix(SCHEME)
    rest, _, revision = whole.partition("@")
    name, _, config = rest.partition(":")
    if whole and Path(whole).is_dir():
        name, config, revision = whole, "", ""
    elif not Path(name).is_dir() and name.count("/") > 1 and not config:
        organisation, own, config = name.split("/", maxsplit=2)
        name = f"{organisation}/{own}"
    if not name or not (re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or Path(name).is_dir()):
        raise SourceError(
            f"{source}: is neither a local folder nor the name of a hub dataset.",
            hint="Write hf:NAME, hf:ORG/NAME, or either with :CONFIG and @REVISION.",
        )
    found = HubName(name, config or None, revision or None)
    if found.is_folder and found.revision:
        raise SourceError(f"{source}: a local folder has no revisions.", hint="Leave the @… out.")
    return found


def open_hub(source: str, config: str | None, split: str | None, options: ReadOptions) -> SourceDataset:
    """Find a hub dataset's splits and columns.

    Args:
        source: `hf:NAME[:CONFIG][@REVISION]`.
        config: The config, where `source` names none.
        split: Read only this split; None reads them all.
        options: How rows are read.

    Raises:
        SourceError: `datasets` is not installed, cannot be reached, or cannot read it; there is no such config or
            split; or no column is text.
    """
    named = parse_hub_name(source)
    if config and named.config not in {None, config}:
        raise SourceError(f"{source}: names another config than --config {config}.", hint="Leave one of them out.")
    found = _Found(source, named, _builder(source, named, named.config or config))
    with _asking(source):
        streams = {str(key): stream for key, stream in found.builder.as_streaming_dataset().items()}
    if split is not None and split not in streams:
        raise SourceError(f"{source}: there is no split {split!r}.", hint=did_you_mean(split, list(streams)))
    wanted = [split] if split is not None else list(streams)
    splits = [_open_split(found, name, streams[name], options) for name in wanted]
    description, licence = _card(found)
    return SourceDataset(
        name=Path(named.name).resolve().name if named.is_folder else named.name,
        uri=found.uri,
        description=str(found.builder.info.description or description),
        licence=str(found.builder.info.license or licence),
        splits=splits,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A hub dataset that was reached: as its user wrote it, taken apart, and the `datasets` builder of the config."""

    source: str
    named: HubName
    builder: Any

    @property
    def uri(self) -> str:
        return SCHEME + (str(Path(self.named.name).resolve()) if self.named.is_folder else self.named.name)


@contextmanager
def _asking(source: str) -> Iterator[None]:
    """Whatever `datasets` and the libraries below it raise over somebody's dataset is a fault of the source."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise SourceError(
            f"{source}: cannot be read by datasets: {' '.join(lines[:2]) or type(error).__name__}",
            hint="Check the name, the revision and the network; a private dataset needs a token (hf auth login).",
        ) from error


def _builder(source: str, named: HubName, config: str | None) -> Any:
    """The `datasets` builder of a config."""
    try:
        import datasets
    except ImportError as error:
        raise SourceError(
            f"{source}: the package datasets is not installed.", hint='Install it: pip install "rebase-db[hub]"'
        ) from error
    path = str(Path(named.name).resolve()) if named.is_folder else named.name
    with _asking(source):
        configs = datasets.get_dataset_config_names(path, revision=named.revision)
        default = datasets.get_dataset_default_config_name(path, revision=named.revision)
    if config is None and default is None and len(configs) > 1:
        raise SourceError(f"{source}: has several configs.", hint=_choice(configs))
    if config is not None and config not in configs:
        raise SourceError(f"{source}: there is no config {config!r}.", hint=_choice(configs, config))
    with _asking(source):
        builder = datasets.load_dataset_builder(path, config or default, revision=named.revision)
    if builder.name == "csv" and builder.info.features is None:
        _read_as_text(source, builder)
    return builder


def _choice(configs: list[str], wrong: str = "") -> str:
    return did_you_mean(wrong, configs) or f"Name one after a colon: {', '.join(configs[:20])}."


def _read_as_text(source: str, builder: Any) -> None:
    """Have every column of a CSV builder read as the text it is, empty ones as empty texts."""
    import datasets

    with _asking(source):
        stream = next(iter(builder.as_streaming_dataset().values()))
        # One row: batches over several files fail where the types guessed for them differ.
        first = next(iter(stream.with_format("arrow").iter(batch_size=1)), None)
    if first is not None:
        builder.config.features = datasets.Features({name: datasets.Value("string") for name in first.column_names})
        builder.config.keep_default_na = builder.config.na_filter = False


def _tables(stream: Any) -> Iterator[pa.Table]:
    return iter(stream.with_format("arrow").iter(batch_size=BATCH_ROWS))


def _open_split(found: _Found, split: str, stream: Any, options: ReadOptions) -> Split:
    shown = f"{found.source} (split {split})"
    with _asking(found.source):
        first = next(_tables(stream), None)
        revision = _revision(found, split)
    if first is None:
        raise SourceError(f"{shown}: there is no row in it.", hint="Name the split to read with --split.")
    what = plan(first.schema, stream.features.to_dict() if stream.features is not None else {}, shown)
    stated = (found.builder.info.splits or {}).get(split)
    rows = int(stated.num_examples) if stated is not None and stated.num_examples else None
    sample = None
    if options.max_rows is not None:
        with _asking(found.source):
            rows = rows or sum(len(table) for table in _tables(stream))
        sample = stride(rows, options.max_rows)
    config = str(found.builder.config.name)
    uri = f"{found.uri}:{config}"
    return Split(
        config=config,
        split=split,
        uri=uri,
        revision=revision,
        rows=rows,
        columns=what.columns,
        left_out=what.left_out,
        read=partial(_batches, stream, what, sample, partial(RowFaults, uri, shown, options.on_error)),
    )


def _revision(found: _Found, split: str) -> str:
    """The commit that the name was resolved to; for a folder a hash over the split's files."""
    if not found.named.is_folder:
        return str(found.builder.hash)
    root = Path(found.named.name).resolve()
    files = [Path(path) for path in found.builder.config.data_files[split]]
    contents = [[path.relative_to(root).as_posix(), file_hash(path).hex()] for path in files]
    return content_hash("hub-folder/v1", contents).hex()


def _batches(
    stream: Any, what: Plan, sample: Stride | None, judge: Judge, rejected: list[RejectedRow]
) -> Iterator[Batch]:
    faults = judge(rejected)
    shown = faults.shown
    known = {leaf.path[0] for leaf in (*what.leaves, what.key) if leaf} | {
        column.name.split(".")[0] for column in what.left_out
    }
    tables = _tables(stream)
    start = 0
    while sample is None or sample.within(start, sample.total):
        with _asking(shown):
            table = next(tables, None)
        if table is None:
            break
        if unknown := set(table.column_names) - known:
            raise SourceError(
                f"{shown}: the column {min(unknown)!r} appears only after row {start}.",
                hint="Ingest the files by their names, or declare the features in the dataset's README.md.",
            )
        stop = start + len(table)
        index = range(start, stop) if sample is None else sample.within(start, stop)
        wanted = table if len(index) == len(table) else table.take([row - start for row in index])
        done = 0
        for rows in wanted.combine_chunks().to_batches():
            yield from batches_of(rows, what, index[done : done + len(rows)], faults)
            done += len(rows)
        start = stop
    if sample is not None and start < sample.within(0, sample.total)[-1] + 1:
        raise SourceError(
            f"{shown}: states {sample.total} rows but has {start}, so that no even sample can be taken.",
            hint="Leave --max-rows out.",
        )


def _card(found: _Found) -> tuple[str, str]:
    """The first paragraph of prose and the licence of a dataset's README.md; empty where it has none."""
    from huggingface_hub import DatasetCard, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    path: str | Path = Path(found.named.name, "README.md")
    with _asking(found.source):
        try:
            if not found.named.is_folder:
                commit = str(found.builder.hash)
                path = hf_hub_download(found.named.name, "README.md", repo_type="dataset", revision=commit)
        except EntryNotFoundError:
            return "", ""
        if not Path(path).is_file():
            return "", ""
        card = DatasetCard.load(path)
    licence = card.data.to_dict().get("license") or ""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", card.text))
    prose = next((text for text in paragraphs if _PROSE.match(text)), "")
    return prose, ", ".join(licence) if isinstance(licence, list) else str(licence)
