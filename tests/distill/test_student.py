from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rebase_db.distill.student import CARD, Hyperparameters, artifact_hash, environment, new_artifact
from rebase_db.errors import TrainingError
from rebase_db.hashing import folder_hash

if TYPE_CHECKING:
    from pathlib import Path


def test_hyperparameters_survive_json() -> None:
    hyperparameters = replace(Hyperparameters(), epochs=9, learning_rate=3e-5)
    assert Hyperparameters.from_dict(json.loads(json.dumps(hyperparameters.to_dict()))) == hyperparameters


def test_hyperparameters_left_out_take_their_default_and_unknown_ones_are_refused() -> None:
    assert Hyperparameters.from_dict({"epochs": 2}) == replace(Hyperparameters(), epochs=2)
    with pytest.raises(TrainingError, match="'epoch'") as caught:
        Hyperparameters.from_dict({"epoch": 2})
    assert "epochs" in caught.value.hint


def test_the_artifact_hash_leaves_out_the_card_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    bare = artifact_hash(tmp_path)
    assert bare == folder_hash(tmp_path)
    (tmp_path / CARD).write_text("# card")
    assert artifact_hash(tmp_path) == bare
    (tmp_path / "extra.json").write_text("{}")
    assert artifact_hash(tmp_path) != bare


def test_a_new_artifact_replaces_the_folder_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with new_artifact(folder) as scratch:
        (scratch / "first").touch()
        assert not folder.exists()
    with pytest.raises(FileNotFoundError), new_artifact(folder) as scratch:
        (scratch / "second" / "third").touch()
    assert [path.name for path in folder.parent.rglob("*")] == ["one", "first"]
    with new_artifact(folder) as scratch:
        (scratch / "third").touch()
    assert [path.name for path in folder.parent.rglob("*")] == ["one", "third"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(TrainingError, match=r"Cannot write to .*file: Not a directory"),
        new_artifact(tmp_path / "file" / "student"),
    ):
        pass


def test_the_environment_is_plain_json_with_versions_and_threads() -> None:
    facts = environment()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["threads"] >= 1
    assert facts["libraries"]["torch"].startswith("2.")
