"""Croissant 1.1: a training set as a dataset with record-level references to its source rows.

The datasets it comes from are named with PROV-O, as the standard recommends; so is the field of each record that names
its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.export.records import EXAMPLES, FIELDS, LISTS, ROW_FIELDS
from rebase_db.export.words import described, in_utc, licence_link, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.export.facts import SetFacts, Source
    from rebase_db.export.records import RecordFile

_CR = "cr:"
_OWN = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"{_CR}{name}" for name in _OWN},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "sc": "https://schema.org/",
}


def croissant(training_set: SetFacts, files: Sequence[RecordFile]) -> dict[str, Any]:
    """The JSON-LD document of a set whose records stand in `files` beside it."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": training_set.name,
        "description": described(training_set),
        "url": f"urn:rebase-db:set:{training_set.manifest_hash.hex()}",
        "version": "1.0.0",
        "identifier": training_set.manifest_hash.hex(),
        "datePublished": in_utc(training_set.created_at),
        "creator": {"@type": "sc:Organization", "name": "rebase-db"},
        "license": list(dict.fromkeys(licence_link(source.licence) for source in training_set.sources)),
        "usageInfo": [f"{duty}: {count} of {training_set.size} examples" for duty, count in _duties(training_set)],
        "rai:dataLimitations": _limitations(training_set),
        "prov:wasDerivedFrom": [_source(source) for source in training_set.sources],
        "distribution": [_file(file) for file in files],
        "recordSet": [_record_set(file.name) for file in files],
    }


def _duties(training_set: SetFacts) -> list[tuple[str, int]]:
    return [(str(duty), count) for duty, count in training_set.duties.examples.items()]


def _limitations(training_set: SetFacts) -> list[str]:
    checks = [
        f"check {check['name']}: {check['warned']} warned, {check['failed']} failed, {check['passed']} passed"
        for check in training_set.checks
        if check["warned"] or check["failed"]
    ]
    retractions = [
        f"retraction {each['retraction_id']} ({each['kind']} {each['target']}) concerns {each['examples']} examples: "
        f"{each['reason']}"
        for each in training_set.retractions
    ]
    return checks + retractions


def _source(source: Source) -> dict[str, Any]:
    return {
        "@type": "prov:Entity",
        "@id": f"urn:rebase-db:dataset:{source.dataset_id}",
        "prov:label": source.name,
        "prov:atLocation": place(source.uri),
        "prov:value": f"revision {', '.join(source.revisions)}; {source.examples} examples; "
        f"licence {source.licence.stated or 'not stated'}",
    }


def _file(file: RecordFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "description": f"{file.records} records",
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": file.sha256,
    }


def _record_set(file: str) -> dict[str, Any]:
    name = file.removesuffix(".jsonl")
    examples = EXAMPLES.removesuffix(".jsonl")
    fields = [_field(name, file, field, *meaning) for field, meaning in (FIELDS[file] | ROW_FIELDS).items()]
    if name != examples:
        fields[0]["references"] = {"field": {"@id": f"{examples}/position"}}
    keys = ["position"] if name == examples else ["position", "maker"]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "The examples, each with its source row." if name == examples else "Every row behind them.",
        "key": [{"@id": f"{name}/{key}"} for key in keys],
        "field": fields,
    }


def _field(record_set: str, file: str, name: str, kind: str, meaning: str) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": meaning,
        "dataType": kind,
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }
    if name in LISTS:
        field |= {"isArray": True, "arrayShape": "-1"}
    if name == "source":
        field["equivalentProperty"] = "prov:wasDerivedFrom"
    if name == "licence":
        field["equivalentProperty"] = "sc:license"
    return field
