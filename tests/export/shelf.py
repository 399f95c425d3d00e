"""A training set that mixes licences, with parents, a withdrawn row and an erased one, and a run trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rebase_db.sql import named
from tests.schema.chain import NOW, add, add_text, digest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.schema.chain import Row

SET = "mixed"
TASK = "letters"


@dataclass(frozen=True)
class Shelf:
    """The database, and the numbers of what was put there."""

    engine: Engine
    chain: dict[str, Row]
    set_id: int
    run_id: int
    plain: int
    """An example of the MIT row alone; `child` is made of it and its row again."""
    child: int
    poem: int
    """An example of a CC-BY-NC-SA row, which is withdrawn."""
    heir: int
    """An example of a row without a stated licence, made of `poem` too."""
    erased: int
    """An example of the row that was erased; its text was `a secret`."""
    retraction: int


def _dataset(connection: Connection, name: str, licence: str | None) -> int:
    made = add(
        connection,
        "dataset",
        name=name, uri=f"file:///home/somebody/data/{name}", licence=licence, description_text_id=1,
        description_given=True,
    )  # fmt: skip
    dataset = {"dataset_id": made["dataset_id"]}
    add_text(connection, text_id=1, text=f"About {name}.", **dataset)
    uri = f"file:///home/somebody/data/{name}/{name}.csv"
    add(connection, "dataset_split", split_id=1, config="default", split="train", uri=uri, **dataset)
    add(connection, "dataset_column", column_id=1, name="line", **dataset)
    add(connection, "ingest", ingest_id=1, code_version="0", **dataset)
    add(connection, "ingest_split", ingest_id=1, split_id=1, revision=digest(name).hex(), rows_added=2, **dataset)
    add(connection, "ingest_column", ingest_id=1, split_id=1, column_id=1, position=1, source_type="string", **dataset)
    return int(made["dataset_id"])


def _example(
    connection: Connection, chain: dict[str, Row], dataset_id: int, row_id: int, words: str, asked: str | None = None
) -> int:
    """An example of a new row, whose only cell and whose input are `words`; `asked`: with the answer given to those."""
    dataset = {"dataset_id": dataset_id}
    add(
        connection, "source_row", row_id=row_id, ingest_id=1, split_id=1, source_index=row_id, content={"line": words},
        content_hash=digest(words), **dataset,
    )  # fmt: skip
    add_text(connection, text_id=row_id + 1, text=words, **dataset)
    add(connection, "cell", row_id=row_id, column_id=1, text_id=row_id + 1, **dataset)
    link = add(
        connection,
        "retrieval_link",
        task_version_id=chain["task_version"]["task_version_id"], encoder_id=chain["encoder"]["encoder_id"],
        row_id=row_id, input_column_id=1, output_column_id=1, input_score=0.5, output_score=0.5, dataset_score=0.5,
        score=0.5, rank=dataset_id * 10 + row_id, entered_by=chain["retrieval"]["retrieval_id"], state="distilled",
        finished_at=NOW, attempt=1, **dataset,
    )  # fmt: skip
    call = add(
        connection,
        "generation",
        link_id=link["link_id"], attempt=1, teacher_id=chain["teacher"]["teacher_id"],
        prompt_id=chain["prompt"]["prompt_id"], worker_id=chain["worker"]["worker_id"],
        prompt_hash=digest(asked or words), raw_answer=None if asked else "{}", requests=0 if asked else 1,
        reused_from=_call(connection, asked) if asked else None, latency_seconds=0.1, outcome="parsed",
        reading="strict",
    )  # fmt: skip
    made = add(
        connection,
        "example",
        generation_id=call["generation_id"], link_id=link["link_id"], input=words, output="Z",
        content_hash=digest(("example", words)),
    )  # fmt: skip
    return int(made["example_id"])


def _call(connection: Connection, words: str) -> int:
    found = connection.execute(
        text("SELECT min(generation_id) FROM generation WHERE prompt_hash = :asked"), {"asked": digest(words)}
    )
    return int(found.scalar_one())


def stock(connection: Connection, engine: Engine, chain: dict[str, Row]) -> Shelf:
    """Put it on the lineage of tests/schema/chain.py."""
    poems, scraps = _dataset(connection, "poems", "CC-BY-NC-SA-4.0"), _dataset(connection, "scraps", None)
    poem = _example(connection, chain, poems, 1, "a poem")
    heir = _example(connection, chain, scraps, 1, "a scrap, é | \n and more")
    erased = _example(connection, chain, scraps, 2, "a secret", asked="a poem")
    child, plain = chain["example_parent"]["example_id"], chain["example_parent"]["parent_id"]
    add(connection, "example_parent", example_id=heir, parent_id=poem)

    def run(statement: str, **values: Any) -> None:
        connection.execute(text(statement), values)

    # What the lineage of the schema's tests has withdrawn stands over its first row: here it is taken back.
    run("UPDATE retraction SET undone_at = now(), undo_reason = 'a mistake'")
    retraction = add(
        connection, "retraction", kind="dataset", target="poems", reason="its author asked", asked_by="me",
        code_version="0",
    )["retraction_id"]  # fmt: skip
    for dataset_id, row_id in ((poems, 1), (scraps, 2)):
        add(connection, "retracted_row", retraction_id=retraction, dataset_id=dataset_id, row_id=row_id)
        run("UPDATE source_row SET retracted_at = now() WHERE dataset_id = :d AND row_id = :r", d=dataset_id, r=row_id)
    run("UPDATE retraction SET erased_at = now() WHERE retraction_id = :n", n=retraction)
    run("UPDATE example SET input = '', output = '', erased_by = :n WHERE example_id = :e", n=retraction, e=erased)
    run(
        "UPDATE source_row SET content = '{}', erased_by = :n WHERE dataset_id = :d AND row_id = 2",
        n=retraction,
        d=scraps,
    )
    run("UPDATE text SET text = NULL, erased_by = :n WHERE dataset_id = :d AND text_id = 3", n=retraction, d=scraps)

    check = add(
        connection, "check_definition", name="contaminated_example", parameters={}, content_hash=digest("contaminated")
    )
    for example_id, verdict in ((child, "fail"), (child, "pass"), (heir, "warn")):
        add(
            connection, "check_result", example_id=example_id, check_id=check["check_id"], verdict=verdict, score=0.5,
            evidence={},
        )  # fmt: skip

    frozen = add(
        connection,
        "training_set",
        task_version_id=chain["task_version"]["task_version_id"], name=SET, size=4, selection={},
        manifest_hash=digest("mixed"),
    )  # fmt: skip
    for position, example_id in enumerate((child, poem, heir, erased), 1):
        add(
            connection,
            "training_set_member",
            training_set_id=frozen["training_set_id"], position=position, example_id=example_id,
        )  # fmt: skip
    connection.execute(text(named("record_mixes")), {"training_set_id": frozen["training_set_id"]})
    trained = add(
        connection,
        "training_run",
        training_set_id=frozen["training_set_id"], student="classifier", base="b", base_revision="1",
        base_weights_hash=digest("base"), hyperparameters={"learning_rate": 0.1, "epochs": 2}, seed=7,
        code_version="0", run_key=digest("mixed run"), environment={}, artifact_path="there",
        artifact_hash=digest("mixed artifact"), state="done", finished_at=NOW, attempt=1,
    )  # fmt: skip
    add(
        connection,
        "evaluation",
        training_run_id=trained["training_run_id"], benchmark_id=chain["benchmark"]["benchmark_id"], metric="accuracy",
        value=0.875, low=0.5, high=0.9, majority=0.25, items=8,
    )  # fmt: skip
    return Shelf(
        engine,
        chain,
        frozen["training_set_id"],
        trained["training_run_id"],
        plain,
        child,
        poem,
        heir,
        erased,
        retraction,
    )
