"""What OpenLineage events say of the datasets, sets and models that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebase_db.export.words import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet

    from rebase_db.export.facts import SetFacts, Source


def version(value: str) -> dict[str, DatasetFacet]:
    """A dataset's version."""
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=value)}


def source_facets(source: Source, columns: Sequence[tuple[str, str]]) -> dict[str, DatasetFacet]:
    """A dataset behind a set: its columns by name and type, where it is from, its licence and duties."""
    from openlineage.client.facet_v2 import (
        datasource_dataset,
        documentation_dataset,
        schema_dataset,
        tags_dataset,
    )

    tags = [("licence", source.licence.stated or "not stated"), *(("duty", duty) for duty in source.licence.duties)]
    if source.rows_retracted:
        tags.append(("rows_retracted", str(source.rows_retracted)))
    return {
        "schema": schema_dataset.SchemaDatasetFacet(
            [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in columns]
        ),
        "dataSource": datasource_dataset.DatasourceDatasetFacet(name=source.name, uri=source.uri),
        "documentation": documentation_dataset.DocumentationDatasetFacet(description=source.description),
        "tags": tags_dataset.TagsDatasetFacet(
            [tags_dataset.TagsDatasetFacetFields(key, value, source="REBASE-DB") for key, value in sorted(tags)]
        ),
    }


def set_facets(training_set: SetFacts) -> dict[str, DatasetFacet]:
    """A training set: its size, its duties, and the retractions that concern it."""
    from openlineage.client.facet_v2 import data_quality_metrics_dataset, documentation_dataset, tags_dataset

    duties = training_set.duties.examples
    tags = [
        tags_dataset.TagsDatasetFacetFields(f"duty:{duty}", f"{count} examples", source="REBASE-DB")
        for duty, count in duties.items()
    ]
    tags += [
        tags_dataset.TagsDatasetFacetFields(
            f"retraction:{each['retraction_id']}", f"{each['examples']} examples", source="REBASE-DB"
        )
        for each in training_set.retractions
    ]
    return {
        "documentation": documentation_dataset.DocumentationDatasetFacet(description=described(training_set)),
        "dataQualityMetrics": data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
            columnMetrics={}, rowCount=training_set.size
        ),
        "tags": tags_dataset.TagsDatasetFacet(tags),
    } | version(training_set.manifest_hash.hex())


def check_facets(training_set: SetFacts) -> dict[str, InputDatasetFacet]:
    """What checks said of the examples of a set."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    if not training_set.checks:
        return {}
    found = [
        quality.Assertion(
            assertion=check["name"],
            success=not check["failed"],
            severity="warn" if check["warned"] else None,
            actual=f"{check['passed']} passed, {check['warned']} warned, {check['failed']} failed",
        )
        for check in training_set.checks
    ]
    return {"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(found)}
