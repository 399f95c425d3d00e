"""Whatever names, licences and instructions hold, an export stays what it says it is."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rebase_db.errors import RebaseError
from rebase_db.export.croissant import croissant
from rebase_db.export.dataset_card import dataset_card
from rebase_db.export.facts import find_subject
from rebase_db.export.ml_bom import ml_bom
from rebase_db.export.model_card import model_card
from rebase_db.export.prov_document import prov_document
from rebase_db.export.write import Target, export, snapshot
from rebase_db.licence.known import read_licence

if TYPE_CHECKING:
    from rebase_db.export.facts import RunFacts, SetFacts
    from tests.export.shelf import Shelf

NAME = 'a: "b" #c\n---\nd | é \u2028 {{ x }}'


def hostile(shelf: Shelf, *licences: str) -> tuple[SetFacts, RunFacts]:
    """The set and its run, with the name in every place that somebody can choose."""
    with snapshot(shelf.engine) as connection:
        subject = find_subject(connection, f"run:{shelf.run_id}")
    sources = [
        replace(source, name=f"{NAME}{source.dataset_id}", licence=read_licence(licence))
        for source, licence in zip(subject.training_set.sources, licences or (NAME,) * 3, strict=True)
    ]
    assert subject.run is not None
    return replace(subject.training_set, name=NAME, task=NAME, instruction=NAME, sources=sources), subject.run


def front(card: str) -> dict[str, Any]:
    """The front matter of a card as the hub finds it."""
    from huggingface_hub import RepoCard

    found: dict[str, Any] = yaml.safe_load(card.removeprefix("---\n").split("\n---\n", 1)[0])
    data: Any = RepoCard(card, ignore_metadata_errors=False).data
    assert data.to_dict() == found
    return found


def test_front_matter_stays_yaml_and_tables_keep_their_cells(shelf: Shelf) -> None:
    training_set, run = hostile(shelf)
    data, model = dataset_card(training_set, records=True), model_card(training_set, run)
    assert front(data)["pretty_name"] == NAME
    assert front(data)["license"] == ["unknown"]
    assert front(model)["model-index"][0]["name"] == NAME
    for card in (data, model):
        (row,) = [line for line in card.splitlines() if line.startswith("| ") and "é" in line and "poems" in line]
        assert row.replace("\\|", "").count("|") == 8


def test_documents_stay_valid(shelf: Shelf) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from prov.model import ProvDocument

    training_set, run = hostile(shelf)
    strict = JsonStrictValidator(SchemaVersion.V1_6)
    for licences in ((NAME, "cc-by-4.0, mit", "ODbL"), ("MIT OR Apache-2.0", "llama3", "")):
        document = ml_bom(hostile(shelf, *licences)[0], run)
        assert strict.validate_str(json.dumps(document)) is None, licences
    assert json.loads(json.dumps(croissant(training_set, [])))["name"] == NAME
    with snapshot(shelf.engine) as connection:
        subject = replace(find_subject(connection, "set:mixed"), training_set=training_set)
        made = prov_document(connection, subject, records=False)
    for form in ("json", "provn"):
        assert ProvDocument.deserialize(content=made.serialize(format=form), format=form) == made


@pytest.mark.parametrize(
    ("form", "module", "package"),
    [
        ("prov", "prov.model", "prov"),
        ("openlineage", "openlineage.client.event_v2", "openlineage-python"),
        ("ml-bom", "cyclonedx.output.json", "cyclonedx-python-lib"),
    ],
)
def test_a_library_that_is_not_there_is_asked_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, form: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with (
        snapshot(shelf.engine) as connection,
        pytest.raises(RebaseError, match=f"{package} is not installed") as caught,
    ):
        export(connection, f"run:{shelf.run_id}", form, Target.of(form, None))
    assert 'pip install "rebase-db[export]"' in caught.value.hint
