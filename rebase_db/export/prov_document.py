"""W3C PROV: a training set, and a run, as entities, activities and agents.

| PROV | here |
| --- | --- |
| entity | a dataset's split in a revision, a row, an example, a prompt, the set, the model, a benchmark, a score |
| activity | an ingest, a retrieval, a call, the freezing, a training, an evaluation, a retraction |
| agent | a teacher, the software in its version |

No texts are in it, only names and hashes; so an erased row is there as any other, and says that it was erased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rebase_db.export.extra import needs_extra
from rebase_db.export.members import members
from rebase_db.export.prov_graph import ProvGraph, prov_name
from rebase_db.export.prov_members import add_member
from rebase_db.export.words import URN, in_utc, place

if TYPE_CHECKING:
    from prov.model import ProvDocument
    from sqlalchemy import Connection

    from rebase_db.export.facts import RunFacts, SetFacts, Subject


def prov_document(connection: Connection, subject: Subject, *, records: bool) -> ProvDocument:
    """The document of a set or a run; without `records` datasets take the place of rows and examples."""
    with needs_extra("prov"):
        from prov.model import ProvDocument

    document = ProvDocument()
    document.add_namespace("rebase", URN)
    graph = ProvGraph(document, subject.learned)
    _sources(graph)
    _retrievals(graph)
    _teachers(graph)
    _freezing(graph, subject.training_set)
    _retractions(graph)
    if records:
        for member in members(connection, subject.training_set.training_set_id):
            add_member(graph, member)
        for set_id, name in _sets_before(subject).items():
            for member in members(connection, set_id):
                add_member(graph, member, name)
        for name in sorted(graph.asked - graph.known):
            document.activity(name, None, None, {"prov:type": "call"})
    else:
        for source in subject.learned.sources:
            for name in graph.splits[source.dataset_id].values():
                document.wasDerivedFrom(graph.set_name, name)
    if subject.run is not None:
        _training(graph, subject.run)
    return document


def _sources(graph: ProvGraph) -> None:
    for source in graph.training_set.sources:
        for load in source.loads:
            activity = graph.activity(
                graph.load_name(source, load.ingest_id),
                load.created_at,
                load.created_at,
                [("prov:type", "ingest"), ("rebase:dataset", source.name), ("rebase:load", load.ingest_id)],
            )
            graph.document.wasAssociatedWith(activity, graph.software(load.code_version))
        names = graph.splits.setdefault(source.dataset_id, {})
        for part in source.parts:
            name = prov_name(
                "dataset",
                source.dataset_id,
                part.ingest_id,
                of=f"{source.name}\n{part.config}\n{part.split}\n{part.revision}",
            )
            names[part.config, part.split, part.ingest_id] = name
            graph.entity(
                name,
                [
                    ("prov:type", "dataset"),
                    ("prov:label", f"{source.name} {part.config}/{part.split}"),
                    ("prov:location", place(part.uri)),
                    ("rebase:revision", part.revision),
                    ("rebase:licence", source.licence.stated or "not stated"),
                    *(("rebase:duty", str(duty)) for duty in sorted(source.licence.duties)),
                ],
            )
            graph.document.used(graph.load_name(source, part.ingest_id), name)


def _retrievals(graph: ProvGraph) -> None:
    for each in graph.training_set.retrievals:
        encoder = prov_name("encoder", each["encoder_id"], of=each["encoder_hash"])
        if graph.new(encoder):
            graph.entity(
                encoder,
                [
                    ("prov:type", "encoder"),
                    ("prov:label", each["encoder"]),
                    ("rebase:revision", each["encoder_revision"]),
                    ("rebase:hash", each["encoder_hash"].hex()),
                ],
            )
        name = graph.activity(
            graph.retrieval_name(each["retrieval_id"]),
            each["created_at"],
            each["finished_at"],
            [("prov:type", "retrieval"), ("rebase:scoring", each["scoring"]), ("rebase:topN", each["top_n"])],
        )
        graph.document.used(name, encoder)
        for dataset_id in each["dataset_ids"]:
            for split in graph.splits[dataset_id].values():
                graph.document.used(name, split)


def _teachers(graph: ProvGraph) -> None:
    for each in graph.training_set.teachers:
        agent, plan = graph.teacher_name(each["teacher_id"]), graph.prompt_name(each["prompt_id"])
        if graph.new(agent):
            graph.document.agent(
                agent,
                [
                    ("prov:type", graph.document.valid_qualified_name("prov:SoftwareAgent")),
                    ("prov:label", f"{each['provider']} {each['model']}"),
                    ("rebase:hash", each["teacher_hash"].hex()),
                ],
            )
        if graph.new(plan):
            graph.entity(
                plan,
                [
                    ("prov:type", graph.document.valid_qualified_name("prov:Plan")),
                    ("prov:label", each["prompt"]),
                    ("rebase:hash", each["prompt_hash"].hex()),
                ],
            )


def _freezing(graph: ProvGraph, training_set: SetFacts) -> None:
    graph.entity(
        graph.set_name,
        [
            ("prov:type", graph.document.valid_qualified_name("prov:Collection")),
            ("prov:label", training_set.name),
            ("rebase:task", f"{training_set.task} version {training_set.task_version}"),
            ("rebase:size", training_set.size),
            ("rebase:hash", training_set.manifest_hash.hex()),
            *((f"rebase:duty-{duty}", count) for duty, count in training_set.duties.examples.items()),
        ],
    )
    made = training_set.created_at
    freezing = graph.activity(
        graph.freeze_name,
        made,
        made,
        [("prov:type", "freeze")],
    )
    graph.document.wasGeneratedBy(graph.set_name, freezing, in_utc(made))


def _retractions(graph: ProvGraph) -> None:
    for each in graph.training_set.retractions:
        graph.activity(
            graph.retraction_name(each["retraction_id"]),
            each["created_at"],
            each["created_at"],
            [
                ("prov:type", "retraction"),
                ("rebase:of", f"{each['kind']} {each['target']}"),
                ("rebase:reason", each["reason"]),
            ],
        )


def _sets_before(subject: Subject) -> dict[int, str]:
    """By number the names of the sets that the runs before had learned from, but for the subject's own."""
    before = () if subject.run is None or subject.run.artifact_hash is None else subject.run.before
    return {
        each["training_set_id"]: prov_name("set", each["training_set_id"], of=each["manifest_hash"])
        for each in before
        if each["training_set_id"] != subject.training_set.training_set_id
    }


def _went_on(graph: ProvGraph, run: RunFacts, model: str) -> None:
    """The models that a model goes back to, one after the other, each with its set."""
    for each in run.before:
        parent = prov_name("model", each["training_run_id"], of=each["artifact_hash"])
        graph.entity(
            parent,
            [
                ("prov:type", "model"),
                ("prov:label", graph.training_set.task),
                ("rebase:hash", each["artifact_hash"].hex()),
            ],
        )
        name = prov_name("set", each["training_set_id"], of=each["manifest_hash"])
        if name != graph.set_name and graph.new(name):
            graph.entity(
                name,
                [
                    ("prov:type", graph.document.valid_qualified_name("prov:Collection")),
                    ("prov:label", each["training_set"]),
                    ("rebase:size", each["size"]),
                    ("rebase:hash", each["manifest_hash"].hex()),
                ],
            )
        graph.document.wasDerivedFrom(parent, name)
        graph.document.wasDerivedFrom(model, parent)
        model = parent


def _training(graph: ProvGraph, run: RunFacts) -> None:
    base = prov_name("base", run.training_run_id, of=run.base_weights_hash)
    graph.entity(
        base,
        [
            ("prov:type", "model"),
            ("prov:label", run.base),
            ("rebase:revision", run.base_revision),
            ("rebase:hash", run.base_weights_hash.hex()),
        ],
    )
    training = graph.activity(
        prov_name("training", run.training_run_id, of=run.run_key),
        run.began_at,
        run.finished_at,
        [
            ("prov:type", "training"),
            ("rebase:student", run.student),
            ("rebase:seed", run.seed),
            ("rebase:state", run.state),
        ],
    )
    graph.document.used(training, graph.set_name)
    graph.document.used(training, base)
    graph.document.wasAssociatedWith(training, graph.software(run.code_version))
    if run.artifact_hash is None:
        return
    model = prov_name("model", run.training_run_id, of=run.artifact_hash)
    graph.entity(
        model,
        [("prov:type", "model"), ("prov:label", graph.training_set.task), ("rebase:hash", run.artifact_hash.hex())],
    )
    graph.document.wasGeneratedBy(model, training, in_utc(run.finished_at) if run.finished_at else None)
    graph.document.wasDerivedFrom(model, graph.set_name, training)
    graph.document.wasDerivedFrom(model, base, training)
    _went_on(graph, run, model)
    for score in run.scores:
        _evaluation(graph, model, score)


def _evaluation(graph: ProvGraph, model: str, score: Any) -> None:
    benchmark = prov_name("benchmark", score["benchmark_id"], of=score["benchmark_hash"])
    if graph.new(benchmark):
        graph.entity(
            benchmark,
            [
                ("prov:type", "benchmark"),
                ("prov:label", score["benchmark"]),
                ("rebase:hash", score["benchmark_hash"].hex()),
            ],
        )
    mark = f"{score['benchmark']} {score['metric']}"
    when = score["created_at"]
    activity = graph.activity(
        prov_name("evaluation", score["evaluation_id"], of=mark), when, when, [("prov:type", "evaluation")]
    )
    result = prov_name("score", score["evaluation_id"], of=mark)
    graph.entity(
        result,
        [("prov:type", "score"), ("prov:label", mark), ("prov:value", score["value"])],
    )
    graph.document.used(activity, model)
    graph.document.used(activity, benchmark)
    graph.document.wasGeneratedBy(result, activity, in_utc(when))
    graph.document.wasDerivedFrom(result, model, activity)
