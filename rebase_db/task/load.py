"""Reading a task file: whatever is wrong with it is one `TaskError` that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rebase_db.errors import TaskError, did_you_mean
from rebase_db.task import yaml_tree
from rebase_db.task.file import TaskFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MORE = 3
_MESSAGES = {
    "string_type": "should be text",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "decimal_parsing": "should be a number",
    "decimal_type": "should be a number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping of keys to values",
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "missing": "is missing",
    "string_pattern_mismatch": "is not a name",
    "union_tag_not_found": "has no provider",
}
_HINTS = {
    "string_pattern_mismatch": "Use small letters, digits and - _ . with / between parts, such as team/triage.",
    "union_tag_not_found": (
        "Add `provider: openai`, `provider: vllm` or `provider: transformers`;"
        " a teacher can also be `provider: template`."
    ),
}
_PROVIDERS = {"template", "openai", "vllm", "transformers"}


def load_task(path: str | Path) -> TaskFile:
    """Read and check a task file; relative paths in it become absolute ones beside it.

    Raises:
        TaskError: Naming file, line and key path of the first fault, and where further ones are. No message shows a
            value that may be a secret.
    """
    path = Path(path)
    tree = _read(path)
    if not isinstance(tree.value, dict):
        raise TaskError(f"{path}: a task file is a mapping of keys to values", hint="Begin with `name: my-task`.")
    refused: list[ErrorDetails] = []
    task = None
    try:
        task = TaskFile.model_validate(tree.value)
    except ValidationError as error:
        refused = error.errors(include_url=False, include_context=True, include_input=False)
    if task is None:  # outside the except block, so that the error keeps no hold of the values that were refused
        raise _one_error(path, tree, refused)
    return _with_paths(task, path, tree)


def _read(path: Path) -> yaml_tree.Tree:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        hint = "Give the path of a YAML task file."
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}", hint=hint) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TaskError(f"{path}:{line}: is not UTF-8 text", hint="Save the file as UTF-8.") from None
    try:
        tree = yaml_tree.parse(text)
    except yaml_tree.YamlFault as error:
        place = f":{error.line}:{error.column}" if error.line else ""
        hint = "Text with a colon, a quote or a bracket in it is safest in quotes or in a block after `>-`."
        raise TaskError(f"{path}{place}: is not valid YAML: {error.reason}", hint=hint) from None
    if tree.value is None:
        raise TaskError(f"{path}: is empty", hint="A task file has at least name, instruction and examples.")
    return tree


def _one_error(path: Path, tree: yaml_tree.Tree, refused: list[ErrorDetails]) -> TaskError:
    told = [error for error in refused if not _is_echo(error, refused)]
    faults = [(*_place(tree, error["loc"]), *_say(error)) for error in told]
    faults.sort(key=lambda fault: fault[0])
    line, keys, message, hint = faults[0]
    rest = [f"{keys} (line {line})" for line, keys, _, _ in faults[1 : 1 + _MORE]]
    more = f"; also wrong: {', '.join(rest)}" + (" and more" if len(faults) > 1 + _MORE else "") if rest else ""
    return TaskError(f"{path}:{line}: {keys}: {message}{more}", hint=hint)


def _is_echo(error: ErrorDetails, others: list[ErrorDetails]) -> bool:
    """Whether a fault only follows from another: a default not computed, a list too short for its bad items."""
    place = error["loc"]
    below = any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in others)
    return error["type"] == "default_factory_not_called" or (error["type"] == "too_short" and below)


def _say(error: ErrorDetails) -> tuple[str, str]:
    """Message and hint; pydantic's own wording where nothing better is known."""
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    message, hint = _MESSAGES.get(kind) or error["msg"], str(context.get("hint", ""))
    match kind:
        case "too_short":
            message = f"needs at least {context['min_length']}"
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
            message, hint = f"provider {context['tag']!r} is not known", did_you_mean(str(context["tag"]), known)
        case _ if message.startswith("Input "):
            message = message.removeprefix("Input ")
    return message, hint or _HINTS.get(kind, "")


def _place(tree: yaml_tree.Tree, location: tuple[str | int, ...]) -> tuple[int, str]:
    """Line and dotted key path; pydantic puts a union's tag into the location, which is no key of the file."""
    known: tuple[str | int, ...] = ()
    path: list[str | int] = []
    for index, step in enumerate(location):
        if (*known, step) in tree.lines:
            known = (*known, step)
            path.append(step)
        elif index == len(location) - 1 and step not in _PROVIDERS:
            path.append(step)
    keys = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return tree.lines.get(known, 1), keys or "the file"


def _with_paths(task: TaskFile, path: Path, tree: yaml_tree.Tree) -> TaskFile:
    folder = path.resolve().parent

    def found(text: str, *location: str | int) -> str:
        target = folder / Path(text).expanduser()
        if not target.exists():
            line, keys = _place(tree, location)
            hint = f"Paths in a task file are relative to its folder, {folder}."
            raise TaskError(f"{path}:{line}: {keys}: there is no file or folder {text}", hint=hint)
        return str(target.resolve())

    sources = tuple(
        source if source.startswith("hf:") else found(source, "sources", index)
        for index, source in enumerate(task.sources)
    )
    evaluate = task.evaluate
    if evaluate is not None:
        evaluate = evaluate.model_copy(update={"benchmark": found(evaluate.benchmark, "evaluate", "benchmark")})
    return task.model_copy(update={"sources": sources, "evaluate": evaluate})
