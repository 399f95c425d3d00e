"""OpenLineage: what led to a training set or a run as events of jobs, a START and an end for each.

Jobs are the steps (`ingest/DATASET`, `retrieve/TASK`, `transform/TASK`, `freeze/TASK`, `distill/TASK`,
`evaluate/TASK`), all but ingests children of one run of `task/TASK`. Run ids are UUIDs of the database's times and
hashes, so sending the same events twice changes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db import __version__
from rebase_db.errors import RebaseError
from rebase_db.export.extra import needs_extra
from rebase_db.export.openlineage_facets import check_facets, set_facets, source_facets, version
from rebase_db.export.words import in_utc
from rebase_db.sql import named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet, JobFacet, OutputDatasetFacet, RunFacet
    from sqlalchemy import Connection

    from rebase_db.export.facts import RunFacts, SetFacts, Subject

PRODUCER = f"urn:rebase-db:{__version__}"
_ENDS = {"done": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}


def openlineage_events(connection: Connection, subject: Subject) -> list[RunEvent]:
    """The events in the order of their times; the namespace of jobs and datasets is `OPENLINEAGE_NAMESPACE`."""
    with needs_extra("openlineage-python"):
        from openlineage.client.event_v2 import set_producer

    set_producer(PRODUCER)

    training_set = subject.learned
    ids = [source.dataset_id for source in training_set.sources]
    columns: dict[int, list[tuple[str, str]]] = {}
    for row in connection.execute(text(named("export_columns")), {"dataset_ids": ids}):
        columns.setdefault(row.dataset_id, []).append((row.name, row.source_type))
    story = _Story(training_set, columns)
    story.ingests()
    story.retrievals()
    story.freezing()
    if subject.run is not None:
        story.training(subject.run)
    story.task()
    return sorted(story.events, key=lambda event: (event.eventTime, _rank(event, story.parent)))


def as_json(event: RunEvent) -> str:
    """An event as a line of JSON."""
    from openlineage.client.serde import Serde

    return Serde.to_json(event)


def send(events: Sequence[RunEvent]) -> str:
    """Send events as the client is configured (`OPENLINEAGE_URL`, openlineage.yml, …); the transport that took them.

    Raises:
        RebaseError: No transport is configured, or it did not take an event.
    """
    with needs_extra("openlineage-python"):
        from openlineage.client import OpenLineageClient

    client = OpenLineageClient()
    kind = str(client.transport.kind)
    if kind in {"console", "noop"}:
        raise RebaseError(
            "No OpenLineage transport is configured to send to.",
            hint="Set OPENLINEAGE_URL, or OPENLINEAGE_CONFIG to a file of the client, or leave out --send.",
        )
    for sent, event in enumerate(events):
        try:
            client.emit(event)
        except Exception as error:
            raise RebaseError(
                f"After {sent} of {len(events)} events the {kind} transport failed: {error}",
                hint="Sending again is safe: the events keep their ids.",
            ) from error
    client.close()
    return kind


def _rank(event: RunEvent, parent: str) -> tuple[int, str]:
    # Steps that took no time have one time for both events; the parent begins before and ends after its children.
    starts = event.eventType is not None and event.eventType.value == "START"
    outermost = event.run.runId == parent
    return ((0 if outermost else 1) if starts else (3 if outermost else 2)), event.run.runId


class _Story:
    """Collects events."""

    def __init__(self, training_set: SetFacts, columns: Mapping[int, Sequence[tuple[str, str]]]) -> None:
        self.set = training_set
        self.columns = columns
        self.namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "rebase-db"
        self.events: list[RunEvent] = []
        self.parent = self.run_id(training_set.created_at, f"task {training_set.manifest_hash.hex()}")
        self.times = [training_set.created_at]

    def run_id(self, instant: dt.datetime, what: str) -> str:
        from openlineage.client.uuid import generate_static_uuid

        return str(generate_static_uuid(instant, f"rebase-db\n{what}".encode()))

    def emit(
        self,
        job: str,
        about: str,
        what: str,
        times: tuple[dt.datetime, dt.datetime | None],
        *,
        inputs: Sequence[InputDataset] = (),
        outputs: Sequence[OutputDataset] = (),
        facts: Mapping[str, object] | None = None,
        code_version: str | None = None,
        end: str = "COMPLETE",
        child: bool = True,
    ) -> None:
        """A START at the first time and, if it has ended, an end at the second; `what` tells the run from others."""
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import (
            documentation_job,
            execution_parameters_run,
            job_type_job,
            parent_run,
            processing_engine_run,
        )

        began, ended = times
        run_facets: dict[str, RunFacet] = {}
        if code_version is not None:
            run_facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
                version=code_version, name="rebase-db"
            )
        if facts:
            run_facets["executionParameters"] = execution_parameters_run.ExecutionParametersRunFacet(
                [execution_parameters_run.ExecutionParameter(key=key, value=str(facts[key])) for key in facts]
            )
        if child:
            self.times += [time for time in times if time is not None]
            run_facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self.parent),
                job=parent_run.Job(namespace=self.namespace, name=f"task/{self.set.task}"),
            )
        job_facets: dict[str, JobFacet] = {
            "documentation": documentation_job.DocumentationJobFacet(description=about),
            "jobType": job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="REBASE-DB", jobType=job.partition("/")[0].upper()
            ),
        }
        run = Run(runId=self.run_id(began, f"{job} {what}"), facets=run_facets)
        named_job = Job(namespace=self.namespace, name=job, facets=job_facets)
        states = [(RunState.START, began), *([(RunState[end], ended)] if ended is not None else [])]
        for state, time in states:
            self.events.append(
                RunEvent(
                    eventType=state,
                    eventTime=in_utc(time),
                    run=run,
                    job=named_job,
                    inputs=list(inputs),
                    # What it made is there when it has ended.
                    outputs=[] if state is RunState.START else list(outputs),
                    producer=PRODUCER,
                )
            )

    def input(
        self, name: str, facets: dict[str, DatasetFacet], seen: dict[str, InputDatasetFacet] | None = None
    ) -> InputDataset:
        from openlineage.client.event_v2 import InputDataset

        return InputDataset(namespace=self.namespace, name=name, facets=facets, inputFacets=seen or {})

    def output(self, name: str, facets: dict[str, DatasetFacet], rows: int | None = None) -> OutputDataset:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        made: dict[str, OutputDatasetFacet] = {}
        if rows is not None:
            made["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows)
        return OutputDataset(namespace=self.namespace, name=name, facets=facets, outputFacets=made)

    def ingests(self) -> None:
        for source in self.set.sources:
            for load in source.loads:
                revisions = {part.revision for part in source.parts if part.ingest_id == load.ingest_id}
                self.emit(
                    f"ingest/{source.name}",
                    f"Loads the dataset {source.name}.",
                    f"{load.ingest_id} {sorted(revisions)}",
                    (load.created_at, load.created_at),
                    inputs=[self.input(source.uri, version(", ".join(sorted(revisions))))],
                    outputs=[
                        self.output(
                            f"dataset/{source.name}",
                            source_facets(source, self.columns.get(source.dataset_id, []))
                            | version(", ".join(sorted(revisions))),
                            load.rows_added,
                        )
                    ],
                    facts={"rows_unchanged": load.rows_unchanged, "rows_rejected": load.rows_rejected},
                    code_version=load.code_version,
                    child=False,
                )

    def retrievals(self) -> None:
        task = self.set.task
        for each in self.set.retrievals:
            ranking = f"ranking/{task}"
            newest = version(str(each["retrieval_id"]))
            sources = [source for source in self.set.sources if source.dataset_id in each["dataset_ids"]]
            self.emit(
                f"retrieve/{task}",
                "Ranks the rows of the corpus by their nearness to the task.",
                f"{each['retrieval_id']} {self.set.task_hash.hex()}",
                (each["created_at"], each["finished_at"]),
                inputs=[
                    self.input(f"dataset/{source.name}", source_facets(source, self.columns.get(source.dataset_id, [])))
                    for source in sources
                ],
                outputs=[self.output(ranking, newest, each["top_n"])],
                facts={
                    "scoring": each["scoring"],
                    "top_n": each["top_n"],
                    "rows_scored": each["rows_scored"],
                    "encoder": each["encoder"],
                    "encoder_revision": each["encoder_revision"],
                },
            )
            self.emit(
                f"transform/{task}",
                "Has a teacher rewrite ranked rows into examples of the task.",
                f"{each['retrieval_id']} {self.set.manifest_hash.hex()}",
                (each["transform_began_at"], each["transform_ended_at"]),
                inputs=[self.input(ranking, newest)],
                outputs=[self.output(f"examples/{task}", {}, each["links"])],
                facts=self.teachers(),
            )

    def teachers(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for number, each in enumerate(self.set.teachers, 1):
            found[f"teacher_{number}"] = f"{each['provider']} {each['model']}"
            found[f"prompt_{number}"] = f"{each['prompt']} {each['prompt_hash'].hex()}"
        return found

    def freezing(self) -> None:
        self.emit(
            f"freeze/{self.set.task}",
            "Freezes accepted examples in order as a training set.",
            self.set.manifest_hash.hex(),
            (self.set.created_at, self.set.created_at),
            inputs=[self.input(f"examples/{self.set.task}", {}, check_facets(self.set))],
            outputs=[self.output(f"set/{self.set.name}", set_facets(self.set), self.set.size)],
        )

    def training(self, run: RunFacts) -> None:
        from openlineage.client.facet_v2 import dataset_type_dataset

        if run.state == "waiting":
            return
        kind: dict[str, DatasetFacet] = {
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(datasetType="MODEL")
        }
        model = f"model/{self.set.task}"
        made = kind | (version(run.artifact_hash.hex()) if run.artifact_hash else {})
        self.emit(
            f"distill/{self.set.task}",
            "Trains a student on a training set.",
            run.run_key.hex(),
            (run.began_at, run.finished_at),
            inputs=[
                self.input(f"set/{self.set.name}", set_facets(self.set)),
                self.input(f"base/{run.base}", kind | version(run.base_revision)),
                *(
                    made_of
                    for each in run.before
                    for made_of in (
                        self.input(model, kind | version(each["artifact_hash"].hex())),
                        self.input(f"set/{each['training_set']}", version(each["manifest_hash"].hex())),
                    )
                ),
            ],
            outputs=[self.output(model, made)] if run.artifact_hash else [],
            facts={"student": run.student, **dict(sorted(run.hyperparameters.items())), "seed": run.seed},
            code_version=run.code_version,
            end=_ENDS.get(run.state, "COMPLETE"),
        )
        for score in run.scores:
            self.evaluation(run, model, made, score)

    def evaluation(self, run: RunFacts, model: str, made: dict[str, DatasetFacet], score: Any) -> None:
        benchmark = self.input(f"benchmark/{score['benchmark']}", version(score["benchmark_hash"].hex()))
        self.emit(
            f"evaluate/{self.set.task}",
            "Measures a student on a benchmark.",
            f"{run.run_key.hex()} {score['benchmark_hash'].hex()} {score['metric']}",
            (score["created_at"], score["created_at"]),
            inputs=[self.input(model, made), benchmark],
            outputs=[self.output(f"predictions/{self.set.task}/{score['benchmark']}", {}, score["items"])],
            facts={key: score[key] for key in ("metric", "value", "low", "high", "majority")},
        )

    def task(self) -> None:
        """The parent of the others, from the first of them to the last."""
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

        job = Job(namespace=self.namespace, name=f"task/{self.set.task}")
        for state, time in ((RunState.START, min(self.times)), (RunState.COMPLETE, max(self.times))):
            self.events.append(
                RunEvent(
                    eventType=state, eventTime=in_utc(time), run=Run(runId=self.parent), job=job, producer=PRODUCER
                )
            )
