"""Models that run in this process: where their files are, which files those are, and how messages become tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.errors import TeacherError
from rebase_db.hashing import content_hash, file_hash
from rebase_db.hub import snapshot

if TYPE_CHECKING:
    from rebase_db.transform.provider import Messages

_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")  # no pickles, no code


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder as transformers saves one, and what tells its content from another's.

    Attributes:
        name: Hub name, or the folder as the user wrote it.
        folder: Where the files are.
        revision: Commit on the hub; `local` for a folder.
        files_hash: 32 bytes over weights, tokenizer, chat template and settings; None where the commit says it all.
    """

    name: str
    folder: Path
    revision: str
    files_hash: bytes | None

    @property
    def identity(self) -> dict[str, str]:
        """The part of a provider's identity that says which files answered."""
        return {"revision": self.revision} | ({"files_hash": self.files_hash.hex()} if self.files_hash else {})


def find_model(name: str, revision: str | None) -> ModelFiles:
    """Find a model's files, downloading them from the hub where they are not cached.

    Raises:
        TeacherError: There is no such folder or model, it has no weights as safetensors, or the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise TeacherError(f"the folder {name} has no revision {revision}", hint="Leave the revision out.")
        files = ModelFiles(name, folder, "local", _files_hash(folder))
    else:
        folder = snapshot(
            name,
            revision,
            kind="model",
            files=_PATTERNS,
            left_out=["*/*"],  # one pattern does not reach into folders: there lie other forms of the same weights
            error=TeacherError,
            offline_hint="Check the name and the network.",
        )
        files = ModelFiles(name, folder, folder.name, None)
    if not (folder / "config.json").is_file():
        raise TeacherError(f"{name} holds no model: there is no config.json", hint="Name a folder transformers saved.")
    if not any(folder.glob("*.safetensors")):
        raise TeacherError(
            f"the model {name} has no weights in safetensors form",
            hint="Use a revision with model.safetensors, or load and save it once with transformers.",
        )
    return files


def _files_hash(folder: Path) -> bytes:
    """Over more than the weights, unlike an encoder's: chat template and sampling settings shape replies too."""
    paths = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})
    return content_hash("model-files/v1", [[path.name, file_hash(path).hex()] for path in paths])


class ChatTokens:
    """Messages as the tokens a model is given: its own chat template, ending where its answer begins.

    A copy of the tokenizer of its own, whose padding and truncation nobody changes: any thread may count.

    Raises:
        TeacherError: The tokenizer cannot be loaded or has no chat template.
    """

    def __init__(self, files: ModelFiles) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise TeacherError(f"the tokenizer of {files.name} cannot be loaded: {first_line(error)}") from error
        if not self.tokenizer.chat_template:
            raise TeacherError(
                f"the model {files.name} has no chat template, so it cannot be told who says what",
                hint="Use the instruction-tuned form of the model.",
            )
        self._special = sorted(
            {
                token.content
                for token in self.tokenizer.added_tokens_decoder.values()
                if token.special and len(token.content) > 1
            },
            key=len,
            reverse=True,
        )

    def ids(self, messages: Messages) -> list[int]:
        """The prompt's tokens; a message that spells a special token, such as the end of a turn, spells it as text."""
        safe = [message | {"content": self._spelled_out(message["content"])} for message in messages]
        ids = self.tokenizer.apply_chat_template(safe, add_generation_prompt=True, tokenize=True, return_dict=False)
        return list(ids)

    def _spelled_out(self, text: str) -> str:
        # Otherwise the text of a row could end its message and begin another, in the name of whom it likes.
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def first_line(error: BaseException) -> str:
    """What an exception says, on one line of a few hundred characters."""
    from rebase_db.transform.teacher import shorten

    text = str(error).strip()
    return shorten(text.partition("\n")[0] if text else type(error).__name__, 300)
