"""CycloneDX 1.6 ML-BOM: a trained student with all it is made of, their hashes and licences.

Components: the model with its model card, its base, the encoder and the teachers as machine-learning models; the
training set, the datasets behind it and the benchmarks as data. The library has no classes for `modelCard` and `data`
yet; they are added to what it writes, and the tests hold the whole against its schema.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from rebase_db.export.extra import needs_extra
from rebase_db.export.words import in_utc, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

    from rebase_db.export.facts import RunFacts, SetFacts, Source
    from rebase_db.licence.known import Licence

_NAMESPACE = uuid.UUID("4f0d3f4e-6a5b-5c0e-9a52-6f6b8f0a1d11")
_SHA_256 = re.compile(r"[0-9a-f]{64}")


def ml_bom(training_set: SetFacts, run: RunFacts) -> dict[str, Any]:
    """The bill of materials of a finished run, as JSON values."""
    with needs_extra("cyclonedx-python-lib"):
        from cyclonedx.output.json import JsonV1Dot6

    document: dict[str, Any] = json.loads(JsonV1Dot6(_bom(training_set, run)).output_as_string())
    document["metadata"]["component"]["modelCard"] = _model_card(training_set, run)
    data = {f"dataset-{source.dataset_id}": _data(source) for source in training_set.sources}
    data["training-set"] = {
        "type": "dataset",
        "name": training_set.name,
        "contents": {
            "properties": _properties({"rebase:examples": training_set.size, "rebase:task": training_set.task})
        },
    }
    for component in document["components"]:
        if component["bom-ref"] in data:
            component["data"] = [data[component["bom-ref"]]]
    return document


def _bom(training_set: SetFacts, run: RunFacts) -> Bom:
    """What the library has classes for."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency

    model, data = ComponentType.MACHINE_LEARNING_MODEL, ComponentType.DATA

    def component(ref: str, kind: ComponentType, name: str, version: str, **rest: Any) -> Component:
        return Component(bom_ref=ref, type=kind, name=name, version=version, **rest)

    artifact = run.artifact_hash.hex() if run.artifact_hash else ""
    student = component(
        "model",
        model,
        training_set.task,
        artifact[:12],
        description=f"A {run.student} for the task {training_set.task}.",
        hashes=[_hash(artifact)],
        properties=_typed(
            {
                "rebase:run": run.training_run_id,
                "rebase:run_key": run.run_key.hex(),
                "rebase:artifact_hash": f"folder/v1 {artifact}",
                **{f"rebase:duty:{duty}": count for duty, count in training_set.duties.examples.items()},
                **{
                    f"rebase:retraction:{each['retraction_id']}": f"{each['examples']} examples, {each['reason']}"
                    for each in training_set.retractions
                },
            }
        ),
    )
    base = component("base", model, run.base, run.base_revision, hashes=[_hash(run.base_weights_hash.hex())])
    frozen = component(
        "training-set",
        data,
        training_set.name,
        training_set.manifest_hash.hex()[:12],
        hashes=[_hash(training_set.manifest_hash.hex())],
    )
    before = [
        component(
            f"run-{each['training_run_id']}",
            model,
            training_set.task,
            each["artifact_hash"].hex()[:12],
            description=f"The {each['student']} whose weights this one, or one between them, started from.",
            hashes=[_hash(each["artifact_hash"].hex())],
        )
        for each in run.before
    ]
    sets_before = {
        each["training_set_id"]: component(
            f"training-set-{each['training_set_id']}",
            data,
            each["training_set"],
            each["manifest_hash"].hex()[:12],
            hashes=[_hash(each["manifest_hash"].hex())],
        )
        for each in run.before
        if each["training_set_id"] != training_set.training_set_id
    }
    datasets = [_dataset(source) for source in training_set.sources]
    encoders = {
        each["encoder_id"]: component(
            f"encoder-{each['encoder_id']}",
            model,
            each["encoder"],
            each["encoder_revision"],
            hashes=[_hash(each["encoder_hash"].hex())],
        )
        for each in training_set.retrievals
    }
    teachers = {
        each["teacher_id"]: component(
            f"teacher-{each['teacher_id']}",
            model,
            each["model"] or each["provider"],
            each["teacher_hash"].hex()[:12],
            properties=_typed(
                {
                    "rebase:provider": each["provider"],
                    "rebase:teacher_hash": each["teacher_hash"].hex(),
                    "rebase:prompts": ", ".join(
                        f"{other['prompt']} {other['prompt_hash'].hex()}"
                        for other in training_set.teachers
                        if other["teacher_id"] == each["teacher_id"]
                    ),
                }
            ),
        )
        for each in training_set.teachers
    }
    benchmarks = {
        score["benchmark_id"]: component(
            f"benchmark-{score['benchmark_id']}",
            data,
            score["benchmark"],
            score["benchmark_hash"].hex()[:12],
            hashes=[_hash(score["benchmark_hash"].hex())],
        )
        for score in run.scores
    }
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, f"{run.run_key.hex()} {artifact}"),
        components=[
            base,
            frozen,
            *before,
            *sets_before.values(),
            *datasets,
            *encoders.values(),
            *teachers.values(),
            *benchmarks.values(),
        ],
        dependencies=[
            Dependency(student.bom_ref, _on([base, frozen, *before, *sets_before.values()])),
            Dependency(frozen.bom_ref, _on([*datasets, *encoders.values(), *teachers.values()])),
        ],
    )
    bom.metadata.component = student
    bom.metadata.timestamp = (run.finished_at or run.created_at).astimezone(dt.UTC)
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name="rebase-db", version=run.code_version, bom_ref="rebase-db")
    )
    return bom


def _on(components: Sequence[Component]) -> list[Any]:
    from cyclonedx.model.dependency import Dependency

    return [Dependency(component.bom_ref) for component in components]


def _dataset(source: Source) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    # The revision of a file is its SHA-256; of a hub dataset it is a commit.
    hashes = [_hash(revision) for revision in source.revisions if _SHA_256.fullmatch(revision)]
    return Component(
        bom_ref=f"dataset-{source.dataset_id}",
        type=ComponentType.DATA,
        name=source.name,
        version=", ".join(revision[:12] for revision in source.revisions),
        licenses=_licences(source.licence),
        hashes=hashes if len(hashes) == 1 else [],
        properties=_typed(
            {
                "rebase:examples": source.examples,
                "rebase:rows": source.rows,
                "rebase:rows_retracted": source.rows_retracted,
                "rebase:licence": source.licence.stated or "not stated",
                "rebase:duties": ", ".join(sorted(source.licence.duties)) or "none",
            }
        ),
    )


def _licences(licence: Licence) -> list[License]:
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from cyclonedx.spdx import is_supported_id

    if licence.spdx and is_supported_id(licence.spdx):
        return [DisjunctiveLicense(id=licence.spdx)]
    if licence.spdx and " " in licence.spdx:
        return [LicenseExpression(licence.spdx)]
    return [DisjunctiveLicense(name=licence.stated)] if licence.stated else []


def _hash(digest: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _typed(values: dict[str, object]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=name, value=str(value)) for name, value in values.items()]


def _properties(values: dict[str, object]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def _data(source: Source) -> dict[str, Any]:
    return {
        "type": "dataset",
        "name": source.name,
        "contents": {
            "properties": _properties(
                {
                    f"rebase:split:{part.config}/{part.split}:{part.ingest_id}": f"{place(part.uri)} revision "
                    f"{part.revision}, {part.rows} rows"
                    for part in source.parts
                }
            )
        },
    }


def _model_card(training_set: SetFacts, run: RunFacts) -> dict[str, Any]:
    task = "classification" if training_set.labels else "generation"
    limits = [
        f"{each['examples']} of {training_set.examples} examples come from rows that were withdrawn (retraction "
        f"{each['retraction_id']}, {each['kind']} {each['target']}: {each['reason']})."
        for each in training_set.retractions
    ]
    limits += [
        f"Check {check['name']} warned of {check['warned']} and failed {check['failed']} examples."
        for check in training_set.checks
        if check["warned"] or check["failed"]
    ]
    return {
        "bom-ref": "model-card",
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": task,
            "modelArchitecture": f"{run.student} on {run.base}",
            "datasets": [
                {"ref": "training-set"},
                *(
                    {"ref": ref}
                    for ref in dict.fromkeys(
                        f"training-set-{each['training_set_id']}"
                        for each in run.before
                        if each["training_set_id"] != training_set.training_set_id
                    )
                ),
                *({"ref": f"dataset-{source.dataset_id}"} for source in training_set.sources),
            ],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": f"one of: {', '.join(training_set.labels)}" if training_set.labels else "text"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {
                    "type": score["metric"],
                    "value": str(score["value"]),
                    "slice": score["benchmark"],
                    "confidenceInterval": {"lowerBound": str(score["low"]), "upperBound": str(score["high"])},
                }
                for score in run.scores
            ]
        },
        "considerations": {"useCases": [training_set.instruction], "technicalLimitations": limits},
        "properties": _properties(
            {
                "rebase:finished": in_utc(run.finished_at) if run.finished_at else "",
                "rebase:seed": run.seed,
                **{f"rebase:hyperparameter:{key}": run.hyperparameters[key] for key in sorted(run.hyperparameters)},
            }
        ),
    }
