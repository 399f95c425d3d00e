"""The `classifier` student: an encoder with a classification head on its first token, fine-tuned on labelled texts.

It is transformers' own sequence classification model, so any tool that knows those loads it, without code of ours.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from rebase_db.distill.base_model import resolve_base
from rebase_db.distill.student import Artifact, artifact_hash, new_artifact
from rebase_db.distill.training import Reporter, deterministic
from rebase_db.errors import TrainingError
from rebase_db.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rebase_db.distill.student import Hyperparameters, MetricPoint, TrainingExample

__all__ = ["Classifier", "Prediction", "load_classifier", "resolve_base", "train_classifier"]

_LOGGED_POINTS = 50
_HEAD_RATE = 10
"""The head learns this many times faster: it starts from noise, the encoder from what it knows.

Measured with MiniLM: at one rate for both, the rate that the head needs on a few hundred examples (2e-4 and more) is
near the one at which training on thousands of inference pairs stalls at the majority class (3e-4). The head of a
student that goes on starts from what it knows, and learns as the rest.
"""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The likeliest label of a text and its softmax probability (0 to 1, not calibrated)."""

    label: str
    score: float


def train_classifier(
    examples: Sequence[TrainingExample],
    labels: Sequence[str],
    *,
    base: str,
    hyperparameters: Hyperparameters,
    folder: Path,
    on_metric: Callable[[MetricPoint], None],
    should_stop: Callable[[], bool] = lambda: False,
    start: Path | None = None,
) -> Artifact:
    """Fine-tune `base` on `examples` and save it as `folder`, replacing what is there.

    The same examples in the same order, hyperparameters, base, library versions, thread count and machine give the same
    artifact hash on a CPU. The word embeddings stay as pretrained: a few hundred examples touch few of them, and the
    others would drift apart from those; it also spares the optimizer half of MiniLM's parameters.

    Args:
        examples: What to learn from.
        labels: The label set; its order is that of the model's outputs. Labels without example are kept.
        base: An encoder, as `resolve_base` knows it; not looked at where there is a `start`.
        hyperparameters: See there.
        folder: Where the student goes; absent until it is whole.
        on_metric: Told `loss` (mean since it was last told) and `learning_rate`, at 50 to 100 steps. What it raises
            ends the training.
        should_stop: Asked after every step.
        start: The folder of a student of the same label set, to go on from instead of the base.

    Raises:
        TrainingError: No example, a label outside `labels`, fewer than two labels in use (but of a student that goes
            on), a base that cannot be used, a loss that diverges; `TrainingStoppedError` when `should_stop` said so.
    """
    _check(examples, labels, goes_on=start is not None)
    path = resolve_base(base)[0] if start is None else str(start)
    with deterministic(hyperparameters.seed), quiet(), new_artifact(folder) as scratch:
        if start is not None:
            labels = _labels_of(start, labels)
        model, tokenizer = _load_base(path, base, labels, hyperparameters.max_tokens, goes_on=start is not None)
        number = {label: index for index, label in enumerate(labels)}
        inputs = tokenizer([example.input for example in examples], truncation=True)
        steps = hyperparameters.epochs * math.ceil(len(examples) / hyperparameters.batch_size)
        trainer = Trainer(
            model=model,
            args=_arguments(scratch, hyperparameters, steps),
            train_dataset=[
                {name: values[row] for name, values in inputs.items()} | {"label": number[example.label]}
                for row, example in enumerate(examples)
            ],
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            callbacks=[Reporter(on_metric, should_stop)],
            optimizers=(_optimizer(model, hyperparameters, 1 if start else _HEAD_RATE), None),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        digest = artifact_hash(scratch)
    return Artifact(folder, digest)


class Classifier:
    """A trained student, loaded by `load_classifier`."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model
        self._tokenizer = tokenizer
        names = {int(index): label for index, label in (model.config.id2label or {}).items()}
        self.labels: list[str] = [names[index] for index in sorted(names)]

    def predict(self, texts: Sequence[str], batch_size: int = 64) -> list[Prediction]:
        """The prediction for each text, in the order of `texts`; batches hold texts of near length."""
        encoded = self._tokenizer(list(texts), truncation=True)["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda row: len(encoded[row]))
        predictions: dict[int, Prediction] = {}
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = self._tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**batch.to(self._model.device)).logits
            scores, best = logits.float().softmax(dim=-1).max(dim=-1)
            for row, index, score in zip(rows, best.tolist(), scores.tolist(), strict=True):
                predictions[row] = Prediction(self.labels[index], score)
        return [predictions[row] for row in range(len(texts))]


def load_classifier(folder: Path) -> Classifier:
    """Load a student that `train_classifier` saved, onto the GPU where there is one.

    Raises:
        TrainingError: The folder is missing or holds no student.
    """
    try:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{folder} holds no trained classifier: {error}", hint="Train it again, or bring its folder back."
        ) from error
    return Classifier(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)


def _labels_of(start: Path, labels: Sequence[str]) -> list[str]:
    """The labels of a student in the order of its outputs.

    Raises:
        TrainingError: They are not these.
    """
    known = load_classifier(start).labels
    if set(known) != set(labels):
        raise TrainingError(f"The student in {start} knows other labels: {', '.join(known)}.")
    return known


def _check(examples: Sequence[TrainingExample], labels: Sequence[str], *, goes_on: bool) -> None:
    known = set(labels)
    if len(known) != len(labels):
        twice = next(label for label, count in Counter(labels).items() if count > 1)
        raise TrainingError(f"The label set names {twice!r} more than once.")
    if not examples:
        raise TrainingError("The training set is empty.", hint="`rebase status` shows why rows were rejected.")
    for example in examples:
        if example.label not in known:
            raise TrainingError(
                f"Example {example.example_id} has the label {example.label!r}, which is not in the label set.",
                hint="The labels are: " + ", ".join(labels) + ".",
            )
    used = {example.label for example in examples}
    if len(used) < 2 and not goes_on:  # noqa: PLR2004 - one class needs no classifier
        raise TrainingError(
            f"All {len(examples)} training examples have the label {used.pop()!r}.",
            hint="A classifier needs examples of at least two; retrieve more rows, or look at the teacher's rules.",
        )


def _load_base(
    path: str, name: str, labels: Sequence[str], max_tokens: int, *, goes_on: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a base that is a classifier already gets a new head
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrainingError(f"The base model {name} cannot be used as a classifier: {error}") from error
    # Saved with the tokenizer, so that predictions cut as the training did.
    positions = getattr(model.config, "max_position_embeddings", max_tokens)
    # A student's own limit is that of its training, which need not be this one's.
    tokenizer.model_max_length = min(max_tokens, positions, *(() if goes_on else (tokenizer.model_max_length,)))
    model.get_input_embeddings().requires_grad_(requires_grad=False)
    return model, tokenizer


def _optimizer(model: PreTrainedModel, hyperparameters: Hyperparameters, head_rate: float) -> torch.optim.Optimizer:
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            # A pooler is part of the head: sentence encoders are trained without it.
            head = not name.startswith(f"{model.base_model_prefix}.") or ".pooler." in name
            groups.setdefault((head, parameter.dim() > 1), []).append(parameter)
    rate, decay = hyperparameters.learning_rate, hyperparameters.weight_decay
    return torch.optim.AdamW(
        [
            {"params": groups[head, matrix], "lr": rate * (head_rate if head else 1), "weight_decay": decay * matrix}
            for head, matrix in sorted(groups)
        ],
        fused=True,
    )


def _arguments(scratch: Path, hyperparameters: Hyperparameters, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=hyperparameters.epochs,
        per_device_train_batch_size=hyperparameters.batch_size,
        warmup_steps=round(hyperparameters.warmup_ratio * steps),
        seed=hyperparameters.seed,
        train_sampling_strategy="group_by_length",
        logging_steps=max(1, steps // _LOGGED_POINTS),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
