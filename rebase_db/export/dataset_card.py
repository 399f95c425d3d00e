"""The dataset card of a training set: Markdown behind YAML front matter in the model hub's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.export.card import provenance, quoted, table
from rebase_db.export.records import EXAMPLES, FIELDS, ROW_FIELDS, SOURCES
from rebase_db.export.words import in_utc
from rebase_db.licence.table import HUB

if TYPE_CHECKING:
    from rebase_db.export.facts import SetFacts, Source

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def dataset_card(training_set: SetFacts, *, records: bool) -> str:
    """The card as Markdown; with `records` it says where `examples.jsonl` and `sources.jsonl` stand beside it."""
    from huggingface_hub import DatasetCardData

    # The hub's configs: what `load_dataset` of the folder finds.
    configs = [
        {"config_name": name, "data_files": file} for name, file in (("default", EXAMPLES), ("sources", SOURCES))
    ]
    licences = list(dict.fromkeys(licence for source in training_set.sources for licence in _hub_licences(source)))
    further: dict[str, Any] = {"configs": configs} if records else {}
    front = DatasetCardData(
        pretty_name=training_set.name,
        license=licences,
        annotations_creators=["machine-generated"],
        task_categories=["text-classification" if training_set.labels else "text-generation"],
        size_categories=[next((name for limit, name in _SIZES if training_set.size < limit), "n>10M")],
        source_datasets=[f"extended|{source.name}" for source in training_set.sources],
        tags=["rebase-db", "retrieval-based-distillation", "synthetic"],
        **further,
    )
    facts = {
        "task": f"{training_set.task}, version {training_set.task_version}",
        "examples": f"{training_set.size:,}",
        "labels": ", ".join(training_set.labels) or "none",
        "frozen": in_utc(training_set.created_at)[:10],
        "manifest": f"`{training_set.manifest_hash.hex()}`",
        "successor of": training_set.successor_of or "none",
    }
    sections = [
        f"---\n{front.to_yaml(line_break=chr(10))}\n---",
        f"# {training_set.name}",
        quoted(training_set.instruction),
        table(["what", "value"], list(facts.items())),
    ]
    if records:
        sections += ["## Records", *(_fields(file) for file in (EXAMPLES, SOURCES))]
    return "\n\n".join([*sections, *provenance(training_set)]) + "\n"


def _fields(file: str) -> str:
    return f"`{file}`\n\n" + table(
        ["field", "meaning"], [[name, meaning] for name, (_, meaning) in (FIELDS[file] | ROW_FIELDS).items()]
    )


def _hub_licences(source: Source) -> list[str]:
    """A source's licences as the hub takes them: `other` where it has no word, `unknown` where nothing is known."""
    found = [name if name in HUB else "other" for name in source.licence.ids]
    return [*found, "unknown"] if "unknown" in source.licence.duties else found
