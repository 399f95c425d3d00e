"""What every kind of student shares: what it learns from, how, what it reports meanwhile, and what it leaves behind."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from rebase_db.errors import TrainingError, did_you_mean
from rebase_db.hashing import content_hash, file_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CARD = "README.md"
_LIBRARIES = ("accelerate", "numpy", "safetensors", "tokenizers", "torch", "transformers")


class TrainingStoppedError(TrainingError):
    """A training was asked to stop before its end; it left nothing behind and can be started again."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One example of a training set, by its id in the database."""

    example_id: int
    input: str
    label: str


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """A number measured while training, after `step` optimizer steps."""

    step: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How a student is trained.

    `learning_rate` is the peak, reached after `warmup_ratio` (0 to 1) of all steps and falling linearly to 0 from
    there; `max_tokens` cuts inputs, special tokens included; `weight_decay` is AdamW's.
    """

    epochs: int = 3
    learning_rate: float = 1e-4
    batch_size: int = 16
    max_tokens: int = 256
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    seed: int = 3407

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what is not named takes its default.

        Raises:
            TrainingError: A name that is none.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise TrainingError(f"There is no hyperparameter {name!r}.", hint=did_you_mean(name, known))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained student: its folder, and the `artifact_hash` of what is in it."""

    folder: Path
    content_hash: bytes


def artifact_hash(folder: Path) -> bytes:
    """32 bytes: `hashing.folder_hash` of a student's folder without its model card.

    The card is written from the lineage once the run is finished, and again when the lineage learns more (a score).
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CARD)
    return content_hash("folder/v1", [[path.relative_to(folder).as_posix(), file_hash(path).hex()] for path in files])


@contextmanager
def new_artifact(folder: Path) -> Iterator[Path]:
    """A scratch folder beside `folder` that takes its name when the block ends well, and is gone when it does not.

    So `folder` is a whole student or absent, also after kill -9; what such a death leaves is cleared by the next run.
    """
    scratch = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        raise TrainingError(f"Cannot write to {folder.parent}: {error.strerror or error}.") from error
    try:
        yield scratch
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)  # noqa: PTH105 - Path.replace says nothing of folders
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def environment() -> dict[str, Any]:
    """What a training's numbers depend on beside its data and hyperparameters, as plain JSON values."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
    }
