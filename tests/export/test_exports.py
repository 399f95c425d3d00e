"""Each form of an export is valid to its standard's own library, and says what the database knows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sqlalchemy import event as listening
from sqlalchemy import text

from rebase_db.errors import LicenceError, RebaseError, UnknownNameError
from rebase_db.export.write import FORMS, Exported, Target, export, snapshot
from tests.schema.chain import digest

if TYPE_CHECKING:
    from pathlib import Path

    from prov.model import ProvRecord

    from tests.export.shelf import Shelf

SECRETS = ("a secret", "somebody")
"""What was erased, and where on the machine that loaded it the data lay."""


def exported(shelf: Shelf, form: str, output: str | None = None, *, of: str = "", **options: Any) -> Exported:
    with snapshot(shelf.engine) as connection:
        return export(connection, of or f"run:{shelf.run_id}", form, Target.of(form, output), **options)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_database_gives_the_same_bytes_and_no_erased_word(shelf: Shelf, form: str) -> None:
    first = exported(shelf, form).text
    with snapshot(shelf.engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
        again = export(connection, f"run:{shelf.run_id}", form, Target.of(form, None)).text
    assert first == again
    assert not [secret for secret in SECRETS if secret in first and form != "openlineage"]
    assert "a secret" not in first


def test_however_many_members_there_are_it_takes_as_many_statements(shelf: Shelf) -> None:
    counts = []
    for reference in ("set:mixed", "set:letters-1"):
        statements: list[str] = []
        with snapshot(shelf.engine) as connection:
            listening.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))  # noqa: B023
            export(connection, reference, "croissant", Target.of("croissant", None))
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 12


def test_prov_is_read_back_and_leads_from_the_score_to_the_datasets(shelf: Shelf) -> None:
    from prov.model import (
        ProvActivity,
        ProvCommunication,
        ProvDerivation,
        ProvDocument,
        ProvEntity,
        ProvInvalidation,
    )

    document = ProvDocument.deserialize(content=exported(shelf, "prov").text)
    assert ProvDocument.deserialize(content=exported(shelf, "prov-n").text, format="provn") == document
    derived: dict[str, set[str]] = {}
    for each in document.get_records(ProvDerivation):
        (_, made), (_, used), *_ = each.formal_attributes
        derived.setdefault(made.localpart, set()).add(used.localpart)
    declared = {_name(entity): entity for entity in document.get_records(ProvEntity)}
    assert set(derived) | set().union(*derived.values()) <= set(declared)

    def kinds(name: str) -> set[str]:
        """What an entity comes from, by kind and number, all the way."""
        found = {name.rsplit("-", 1)[0]}
        return found.union(*(kinds(each) for each in derived.get(name, ())))

    heir = next(name for name in declared if name.startswith(f"example-{shelf.heir}-"))
    assert {f"example-{shelf.heir}", f"example-{shelf.poem}", "row-2-1", "row-3-1", "dataset-2-1", "dataset-3-1"} == (
        kinds(heir)
    )
    child = next(name for name in declared if name.startswith(f"example-{shelf.child}-"))
    assert {f"example-{shelf.plain}", "row-1-1"} <= kinds(child)
    # The erased example's answer is that of the poem's call; calls are there once.
    calls = [each.identifier for each in document.get_records(ProvActivity) if "call" in str(each.identifier)]
    assert len(calls) == len(set(calls)) == 5
    informed = [tuple(each.formal_attributes[:2]) for each in document.get_records(ProvCommunication)]
    assert len([used for (_, _), (_, used) in informed if used in calls]) == 1
    invalid = [each.formal_attributes[0][1].localpart for each in document.get_records(ProvInvalidation)]
    assert sorted(name.rsplit("-", 1)[0] for name in invalid) == ["row-2-1", "row-3-2"]
    erased = [name for name, entity in declared.items() if entity.get_attribute("rebase:erased")]
    assert sorted(name.rsplit("-", 1)[0] for name in erased) == [f"example-{shelf.erased}", "row-3-2"]


def _name(entity: ProvRecord) -> str:
    assert entity.identifier is not None
    return entity.identifier.localpart


def test_prov_without_records_names_datasets_only(shelf: Shelf) -> None:
    from prov.model import ProvDocument, ProvEntity

    document = ProvDocument.deserialize(content=exported(shelf, "prov", records=False).text)
    names = {_name(entity).split("-")[0] for entity in document.get_records(ProvEntity)}
    assert names == {"dataset", "encoder", "prompt", "set", "base", "model", "benchmark", "score"}


def test_openlineage_events_come_in_pairs_under_one_parent(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "ours")
    events = [json.loads(line) for line in exported(shelf, "openlineage").text.splitlines()]
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    assert {event["job"]["namespace"] for event in events} == {"ours"}
    steps: dict[str, list[str]] = {}
    for event in events:
        steps.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert all(states == ["START", "COMPLETE"] for states in steps.values())
    jobs = [event["job"]["name"] for event in events if event["eventType"] == "COMPLETE"]
    loads = ["ingest/letters", "ingest/poems", "ingest/scraps"]
    steps_of_task = ["retrieve", "transform", "freeze", "distill", "evaluate", "task"]
    assert sorted(jobs) == sorted(loads + [f"{step}/letters" for step in steps_of_task])
    parents = {event["run"]["facets"].get("parent", {}).get("run", {}).get("runId") for event in events}
    (parent,) = parents - {None}
    assert [event["job"]["name"] for event in events if event["run"]["runId"] == parent] == ["task/letters"] * 2
    (frozen,) = [event for event in events if event["job"]["name"] == "freeze/letters" and event["outputs"]]
    facets = frozen["outputs"][0]["facets"]
    assert facets["dataQualityMetrics"]["rowCount"] == 4
    assert {tag["key"]: tag["value"] for tag in facets["tags"]["tags"]}["duty:non-commercial"] == "2 examples"
    (poems,) = [event for event in events if event["job"]["name"] == "ingest/poems" and event["outputs"]]
    columns = poems["outputs"][0]["facets"]["schema"]["fields"]
    assert [(column["name"], column["type"]) for column in columns] == [("line", "string")]


def test_openlineage_events_are_sent_as_the_client_is_configured(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rebase_db.export.facts import find_subject
    from rebase_db.export.openlineage_events import as_json, openlineage_events, send

    with snapshot(shelf.engine) as connection:
        events = openlineage_events(connection, find_subject(connection, "set:mixed"))
    config = tmp_path / "openlineage.yml"
    config.write_text(
        yaml.safe_dump({"transport": {"type": "file", "log_file_path": str(tmp_path / "log"), "append": True}})
    )
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    assert send(events) == "file"
    assert [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()] == [
        json.loads(as_json(event)) for event in events
    ]
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    with pytest.raises(RebaseError, match="No OpenLineage transport"):
        send(events)


def test_an_unfinished_run_is_told_as_far_as_it_got(shelf: Shelf) -> None:
    with shelf.engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO training_run (training_set_id, student, base, base_revision, base_weights_hash,"
                " hyperparameters, seed, code_version, run_key, state, error, finished_at, attempt) VALUES"
                " (:set, 'classifier', 'b', '1', :base, '{}', 1, '0', :key, 'failed', 'no room', now(), 1)"
            ),
            {"set": shelf.set_id, "base": digest("base"), "key": digest("failed run")},
        )
        run = connection.execute(text("SELECT max(training_run_id) FROM training_run")).scalar_one()
        target = Target.of("openlineage", None)
        lines = export(connection, f"run:{run}", "openlineage", target).text.splitlines()
        ends = [(each["eventType"], each["job"]["name"], each["outputs"]) for each in map(json.loads, lines)]
        assert [end for end in ends if end[1] == "distill/letters"] == [
            ("START", "distill/letters", []),
            ("FAIL", "distill/letters", []),
        ]
        assert '"rebase:state": "failed"' in export(connection, f"run:{run}", "prov", Target.of("prov", None)).text
        with pytest.raises(UnknownNameError, match="is failed and has left no model"):
            export(connection, f"run:{run}", "model-card", Target.of("model-card", None))
        connection.rollback()


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # of rdflib, below mlcroissant
def test_croissant_is_valid_and_its_records_are_read(shelf: Shelf, tmp_path: Path) -> None:
    import mlcroissant

    made = exported(shelf, "croissant", f"{tmp_path}/out/", of="set:mixed")
    assert [path.name for path in made.files] == ["croissant.json", "examples.jsonl", "sources.jsonl"]
    assert made.text == exported(shelf, "croissant", of="set:mixed").text
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "out/croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert [warning for warning in issues.warnings if "citeAs" not in str(warning)] == []

    def records(name: str) -> list[dict[str, Any]]:
        read = dataset.records(name)
        return [
            {
                key.partition("/")[2]: value.decode() if isinstance(value, bytes) else value
                for key, value in each.items()
            }
            for each in read
        ]

    examples = records("examples")
    assert [(each["position"], each["example"]) for each in examples] == list(
        enumerate((shelf.child, shelf.poem, shelf.heir, shelf.erased), 1)
    )
    child, poem, heir, erased = examples
    assert (child["input"], child["licence"], child["duties"]) == ("b", "MIT", [b"notice"])
    assert (heir["dataset"], heir["licence"], heir["source_duties"]) == ("scraps", None, [b"unknown"])
    # The heir has its parent's duties beside its own row's.
    assert heir["duties"] == [b"notice", b"attribution", b"share-alike", b"non-commercial", b"unknown"]
    assert [each["retracted"] for each in examples] == [False, True, True, True]
    assert [each["source_retracted"] for each in examples] == [False, True, False, True]
    assert (erased["input"], erased["erased"], erased["hash"]) == (None, True, digest(("example", "a secret")).hex())
    assert poem["source"] == "row:poems:default/train:1"
    assert (poem["revision"], poem["source_hash"]) == (digest("poems").hex(), digest("a poem").hex())
    sources = records("sources")
    assert [(each["example"], each["maker"], each["source"]) for each in sources] == [
        (shelf.child, shelf.child, "row:letters:default/train:0"),
        (shelf.child, shelf.plain, "row:letters:default/train:0"),
        (shelf.poem, shelf.poem, "row:poems:default/train:1"),
        (shelf.heir, shelf.heir, "row:scraps:default/train:1"),
        (shelf.heir, shelf.poem, "row:poems:default/train:1"),
        (shelf.erased, shelf.erased, "row:scraps:default/train:2"),
    ]


def test_the_bill_of_materials_is_valid_to_the_strict_schema(shelf: Shelf) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    made = exported(shelf, "ml-bom").text
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(made, all_errors=True)
    assert [str(error) for error in errors or ()] == []
    document = json.loads(made)
    model = document["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": digest("mixed artifact").hex()}]
    components = {component["bom-ref"]: component for component in document["components"]}
    named = {each["ref"] for each in model["modelCard"]["modelParameters"]["datasets"]}
    assert named == {"training-set", "dataset-1", "dataset-2", "dataset-3"}
    assert all(components[name]["type"] == "data" and components[name]["data"] for name in named)
    assert components["dataset-1"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert "licenses" not in components["dataset-3"]
    depends = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert depends["model"] == ["base", "training-set"]
    assert depends["training-set"] == ["dataset-1", "dataset-2", "dataset-3", "encoder-1", "teacher-1"]
    assert "its author asked" in model["modelCard"]["considerations"]["technicalLimitations"][0]


def test_the_dataset_card_and_its_records_load_as_the_hub_would(shelf: Shelf, tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    exported(shelf, "dataset-card", str(tmp_path), of="set:mixed")
    card = DatasetCard.load(tmp_path / "README.md", ignore_metadata_errors=False)
    data = card.data.to_dict()
    assert data["license"] == ["cc-by-nc-sa-4.0", "unknown", "mit"]
    for config in data["configs"]:
        assert (tmp_path / config["data_files"]).is_file()
    for said in (
        "| poems | 2 | 1 | CC-BY-NC-SA-4.0 | notice, attribution, share-alike, non-commercial |",
        "| non-commercial | no commercial use | 2 |",
        "| template m | none | p `",
        "Contamination of 2 of 4 examples was found with the benchmarks that were registered",
        "- **contaminated_example**: 1 that share text with a benchmark.",
        "| contaminated_example | 1 | 1 | 0 |",
        f"| {shelf.retraction} | dataset poems | its author asked |",
        "Examples without any duty: 0 of 4.",
    ):
        assert said in card.text, said
    # Members, not the earlier examples behind them.
    assert re.search(r"\| template m \| none \| p `[0-9a-f]{64}` \| 4 \|", card.text)


def test_the_model_card_holds_scores_for_the_hub_and_no_licence_of_its_own(shelf: Shelf) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(exported(shelf, "model-card").text, ignore_metadata_errors=False)
    data: Any = card.data
    (score,) = data.eval_results
    assert (score.dataset_name, score.metric_type, score.metric_value) == ("b", "accuracy", 0.875)
    assert data.license is None
    assert data.datasets == ["letters", "poems", "scraps"]
    for said in (
        "| b | accuracy | 87.5% | 50.0% to 90.0% | 25.0% | 8 |",
        f"| training set | mixed, 4 examples, manifest `{digest('mixed').hex()}` |",
        "| learning rate | 0.1 |",
        f"| artifact | `{digest('mixed artifact').hex()}` |",
        "## Withdrawn",
    ):
        assert said in card.text, said


def test_a_model_is_asked_of_a_run(shelf: Shelf) -> None:
    with pytest.raises(UnknownNameError, match="set:mixed is none") as caught:
        exported(shelf, "ml-bom", of="set:mixed")
    assert f"run:{shelf.run_id}" in caught.value.hint


def test_what_is_there_is_not_written_over(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "sources.jsonl").write_text("mine")
    with pytest.raises(RebaseError, match="names nothing"):
        exported(shelf, "croissant", "")
    with pytest.raises(RebaseError, match=r"sources\.jsonl is there already"):
        exported(shelf, "croissant", str(tmp_path))
    exported(shelf, "croissant", str(tmp_path), records=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["croissant.json", "sources.jsonl"]
    exported(shelf, "croissant", str(tmp_path), force=True)
    assert (tmp_path / "sources.jsonl").read_text() != "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["croissant.json", "examples.jsonl", "sources.jsonl"]


def test_a_forbidden_licence_is_refused_before_anything_is_written(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(LicenceError, match=r"poems \(CC-BY-NC-SA-4.0: non-commercial; 2 examples\)") as caught:
        exported(shelf, "croissant", str(tmp_path / "out"), forbid=["non-commercial"])
    assert caught.value.exit_code == 9
    assert "rebase retract licence CC-BY-NC-SA-4.0" in caught.value.hint
    assert "rebase freeze --successor-of mixed" in caught.value.hint
    assert not (tmp_path / "out").exists()
    let = exported(shelf, "dataset-card", forbid=["non-commercial"], allow=["cc-by-nc-sa"])
    assert [finding.source.dataset for finding in let.verdict.flagged] == ["scraps"]
    with pytest.raises(UnknownNameError, match="neither a duty nor a licence"):
        exported(shelf, "prov", forbid=["noncommercial"])


def test_the_policy_of_the_task_file_decides(shelf: Shelf) -> None:
    with shelf.engine.connect() as connection:
        connection.execute(
            text("""UPDATE task SET settings = '{"licences": {"unknown": "forbid", "flag": ["mit"]}}'""")
        )
        with pytest.raises(LicenceError, match=r"scraps \(no licence stated: unknown; 2 examples\)") as caught:
            export(connection, "set:mixed", "prov", Target.of("prov", None))
        assert "rebase retract licence unknown" in caught.value.hint
        made = export(connection, "set:mixed", "prov", Target.of("prov", None), allow=["unknown"])
        assert [finding.source.dataset for finding in made.verdict.flagged] == ["letters"]
        connection.rollback()
