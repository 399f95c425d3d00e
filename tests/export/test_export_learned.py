"""What is exported of a run that went on from another one says what that one has learned from, too."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rebase_db.errors import LicenceError
from rebase_db.export.write import FORMS, Target, export
from tests.schema.chain import NOW, add, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tests.export.shelf import Shelf


@contextmanager
def child_run(shelf: Shelf) -> Iterator[tuple[Connection, str]]:
    """A run on the set `letters-1`, of one example, that began with the weights of the run on `mixed`; rolled back."""
    with shelf.engine.connect() as connection:
        run = add(
            connection,
            "training_run",
            training_set_id=shelf.chain["training_set"]["training_set_id"], student="classifier", base="b",
            base_revision="1", base_weights_hash=digest("base"), hyperparameters={"trained_on": "new"}, seed=7,
            code_version="0", run_key=digest("child"), environment={}, artifact_path="there",
            artifact_hash=digest("child artifact"), state="done", finished_at=NOW, attempt=1,
            parent_run_id=shelf.run_id,
        )  # fmt: skip
        yield connection, f"run:{run['training_run_id']}"


def of_child(shelf: Shelf, form: str, **options: Any) -> str:
    with child_run(shelf) as (connection, reference):
        return export(connection, reference, form, Target.of(form, None), **options).text


def test_the_card_names_the_sources_of_the_run_before(shelf: Shelf) -> None:
    card = of_child(shelf, "model-card")
    assert f"started from run {shelf.run_id} | mixed, 4 examples" in card
    assert "| poems |" in card
    assert "## Withdrawn" in card
    # Three of `mixed` and its child, which both sets have or rest on, each once.
    with child_run(shelf) as (connection, reference):
        counted = connection.execute(text(f"SELECT lineage.examples_learned({reference[4:]})")).scalar_one()
    assert f"| examples learned from in all | {counted} |" in card


def test_the_bill_of_materials_has_the_model_before_with_its_set(shelf: Shelf) -> None:
    bom = json.loads(of_child(shelf, "ml-bom"))
    parts = {each["bom-ref"]: each for each in bom["components"]}
    parent, its_set = f"run-{shelf.run_id}", f"training-set-{shelf.set_id}"
    assert parts[parent]["hashes"][0]["content"] == digest("mixed artifact").hex()
    (model,) = (each for each in bom["dependencies"] if each["ref"] == "model")
    assert {parent, its_set} <= set(model["dependsOn"])
    assert "poems" in {each["name"] for each in bom["components"]}


def test_prov_leads_from_the_model_over_the_one_before_to_its_rows(shelf: Shelf) -> None:
    said = json.loads(of_child(shelf, "prov"))
    derived = {(each["prov:generatedEntity"], each["prov:usedEntity"]) for each in said["wasDerivedFrom"].values()}
    models = [
        name for name, each in said["entity"].items() if isinstance(each, dict) and each.get("prov:type") == "model"
    ]
    assert any({one, other} <= set(models) for one, other in derived)
    members = {each["prov:entity"] for each in _listed(said["hadMember"])}
    numbers = {_plain(each["rebase:example"]) for name, each in said["entity"].items() if name in members}
    assert {shelf.poem, shelf.heir, shelf.erased} <= {int(number) for number in numbers}


def test_a_licence_that_only_the_run_before_has_learned_from_is_refused(shelf: Shelf) -> None:
    with child_run(shelf) as (connection, reference), pytest.raises(LicenceError, match="non-commercial"):
        export(connection, reference, "model-card", Target.of("model-card", None), forbid=["non-commercial"])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_written(shelf: Shelf, form: str) -> None:
    said = of_child(shelf, form)
    assert "mixed" in said or form in {"croissant", "dataset-card"}  # those are of the set alone
    assert "a secret" not in said


def _listed(relations: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in relations.values():
        yield from each if isinstance(each, list) else [each]


def _plain(value: Any) -> Any:
    return value["$"] if isinstance(value, dict) else value
