"""`rebase retrieve` prints its receipt; `rebase encoders` lists and compares; after a switch the old one explains."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from rebase_db.embed.identity import EncoderIdentity
from rebase_db.errors import RebaseError
from rebase_db.hashing import text_hash
from rebase_db.lease import Lease
from rebase_db.lineage.why import why
from tests.docs.seeded import WIDTH, WORD_COUNTER, Silent, WordCounter
from tests.retract.conftest import shop, shop_template
from workers.models import Models
from workers.pipeline import Pipeline, embed_corpus, register

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from typer.testing import Result

    from rebase_db.embed.encoder import Encoder
    from tests.retract.conftest import Shop

__all__ = ["shop", "shop_template"]
PAIRS = EncoderIdentity("pair-counter", "local", text_hash("pair-counter"), WIDTH, 128, "float32")
LATER = """\
{"text": "the courier with my parcel never came", "team": "shipping"}
{"text": "my card was charged twice for the parcel", "team": "none"}
"""


class PairCounter:
    """Counts pairs of letters."""

    identity = PAIRS

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.full((len(texts), WIDTH), 0.01)
        for place, value in enumerate(texts):
            for first, second in pairwise(value):
                found[place, (ord(first) * 31 + ord(second)) % WIDTH] += 1
        vectors: NDArray[np.float32] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        return vectors


@pytest.fixture
def invoke(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on the shop's database, whose encoder counts words; what a library raises is raised here too."""
    monkeypatch.setattr("cli.session.open_database", lambda: shop.engine)
    monkeypatch.setattr(Pipeline, "encoder", WordCounter())
    monkeypatch.setattr(Pipeline, "encoder_id", register(shop.engine, WORD_COUNTER))
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "200"})


def embed_pairs(shop: Shop) -> int:
    encoder_id = register(shop.engine, PAIRS)
    with Lease(shop.engine) as lease:
        embed_corpus(shop.engine, lease, Silent(), encoder_id, lambda: cast("Encoder", PairCounter()))
    return encoder_id


def test_a_retrieval_s_receipt(shop: Shop, invoke: Callable[..., Result], tmp_path: Path) -> None:
    first = json.loads(invoke("retrieve", "triage", "--json").stdout)
    again = invoke("retrieve", "triage")
    assert f"Nothing has changed since retrieval {first['retrieval_id']}" in again.stderr
    assert json.loads(invoke("retrieve", "triage", "--json").stdout) == first | {"new": False}
    shop.load(tmp_path / "letters.jsonl", LATER, description="Read a message to a shop and say which team answers.")
    shown = invoke("retrieve", "triage")
    receipt = json.loads(invoke("retrieve", "triage", "--json").stdout)
    assert receipt["retrieval_id"] == first["retrieval_id"] + 1
    assert receipt["rows_scored"] == first["rows_scored"] + 2
    assert receipt["rows_scored_anew"] == 2
    assert receipt["previous_cutoff_score"] == first["cutoff_score"] <= receipt["cutoff_score"]
    (letters,) = [one for one in receipt["datasets"] if one["dataset"] == "letters"]
    assert letters == {
        "dataset": "letters", "ranked": 2, "scored": 2, "entered": 2, "returned": 0, "kept": 0, "displaced": 0,
    }  # fmt: skip
    assert sum(one["displaced"] for one in receipt["datasets"]) == receipt["rows_displaced"] == 2
    header, *lines = shown.stdout.splitlines()
    assert header.split() == ["dataset", "ranked", "scored", "entered", "returned", "kept", "displaced"]
    changed = {one["dataset"] for one in receipt["datasets"] if one["scored"] or one["entered"] or one["displaced"]}
    assert {line.split()[0] for line in lines} == changed
    assert len(changed) < len(receipt["datasets"])
    assert f"{receipt['rows_scored']} rows scored, 2 of them anew: 2 entered, 0 returned, 5 kept" in shown.stderr
    cut = f"The average-score at the cut is {receipt['cutoff_score']:.4f}, before {first['cutoff_score']:.4f}."
    assert cut in shown.stderr
    # By another scoring the cut is another number.
    assert ", before" not in invoke("retrieve", "triage", "--scoring", "max-rank").stderr


def test_encoders_are_listed_and_compared_and_nothing_of_the_task_changes(
    shop: Shop, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one["name"] for one in json.loads(invoke("encoders", "--json").stdout)] == ["word-counter"]
    with pytest.raises(RebaseError, match="No encoder 'pair-counter'"):
        invoke("encoders", "compare", "triage", "1", "pair-counter")
    encoder_id = register(shop.engine, PAIRS)
    monkeypatch.setattr(Models, "encoder", lambda _, number: PairCounter() if number == encoder_id else WordCounter())
    with pytest.raises(RebaseError, match=f"have no vector under encoder {encoder_id}"):
        invoke("encoders", "compare", "triage", "word-counter", "pair-counter")
    assert embed_pairs(shop) == encoder_id
    words, pairs = json.loads(invoke("encoders", "--json").stdout)
    assert words["vectors"] == pairs["vectors"] == pairs["texts"] == pairs["texts_of_corpus"] > 0
    assert "of" in invoke("encoders").stdout.splitlines()[1]

    tables = ("retrieval", "retrieval_link", "retrieval_dataset", "row_score")
    before = [shop.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]  # noqa: S608
    command = ("encoders", "compare", "triage", "word-counter", str(encoder_id))
    found = json.loads(invoke(*command, "--top", "5", "--json").stdout)
    assert [shop.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables] == before  # noqa: S608
    (overlap,) = found["overlaps"]
    assert overlap["depth"] == 5
    assert len(found["entered"]) == len(found["left"]) == 5 - overlap["both"]
    assert sum(one["before"] for one in found["datasets"]) == sum(one["after"] for one in found["datasets"]) == 5
    assert sum(one["both"] for one in found["datasets"]) == overlap["both"]
    ranked = [(name, row_id) for name, row_id in shop.ranking()[:5]]
    for one in (*found["left"], *found["moved"]):
        assert ranked[one["before"] - 1] == (one["dataset"], one["row_id"])
    same = json.loads(invoke("encoders", "compare", "triage", "1", "1", "--json").stdout)
    assert {one["share"] for one in same["overlaps"]} == {1.0}
    assert same["entered"] == same["left"] == same["moved"] == []
    shown = invoke(*command)
    assert shown.exit_code == 0
    assert "overlap" in shown.stdout
    assert "tickets" in shown.stdout


def test_after_a_switch_the_old_encoder_s_examples_are_still_explained(
    shop: Shop, invoke: Callable[..., Result]
) -> None:
    example = shop.one("SELECT min(example_id) FROM training_set_member")
    with shop.engine.connect() as connection:
        before = why(connection, example)
    members = shop.rows("SELECT * FROM training_set_member ORDER BY 1, 2")
    links = shop.rows("SELECT * FROM retrieval_link ORDER BY 1")
    encoder_id = embed_pairs(shop)
    with shop.steps() as steps:
        vars(steps).update(encoder=cast("Encoder", PairCounter()), encoder_id=encoder_id)
        task = steps.stored()
        steps.retrieve(task)
        steps.transform(task)
        frozen = steps.freeze(task)
    with shop.engine.connect() as connection:
        assert why(connection, example) == before
    assert before["encoder"] == "word-counter"
    assert json.loads(invoke("why", str(example), "--json").stdout)["encoder"] == "word-counter"
    assert shop.rows("SELECT * FROM retrieval_link WHERE encoder_id <> :new ORDER BY 1", new=encoder_id) == links
    first_of_set = "SELECT min(example_id) FROM training_set_member WHERE training_set_id = :id"
    found: list[Any] = shop.rows("SELECT * FROM training_set_member ORDER BY 1, 2")
    assert [row for row in found if row.training_set_id != frozen.training_set_id] == members
    new = shop.one(first_of_set, id=frozen.training_set_id)
    with shop.engine.connect() as connection:
        assert why(connection, new)["encoder"] == "pair-counter"
