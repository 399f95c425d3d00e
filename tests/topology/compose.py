"""docker-compose.yml as Compose reads it: merged, with its variables filled in; and commands as `rebase` reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from cli.main import app

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<form>:[-?])(?P<rest>[^}]*))?\}")


class MissingVariableError(Exception):
    """A variable that has to be set is not."""


def compose_file(secret: str = "") -> dict[str, Any]:
    """The file with the path of the password's file set and no other variable.

    Raises:
        MissingVariableError: It is empty, or another variable is needed; the message is the file's own.
    """
    # Read first and filled in then, as Compose does: a value cannot change what is YAML.
    written = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    found: dict[str, Any] = _fill_in(written, {"POSTGRES_PASSWORD_FILE": secret})
    return found


def parsed(command: Sequence[str]) -> dict[str, Any]:
    """What the command line makes of a command without its `rebase`: the options of the innermost command.

    Raises:
        typer.Exit: It is one for help.
        UsageError: There is no such command, or not with these options; the class is Typer's own.
    """
    called: Any = typer.main.get_command(app)
    context = called.make_context("rebase", list(command))
    while hasattr(called, "commands"):
        name, called, rest = called.resolve_command(context, [*context._protected_args, *context.args])
        context = called.make_context(name, rest, parent=context)
    options: dict[str, Any] = context.params
    return options


def _fill_in(node: Any, environment: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill_in(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill_in(value, environment) for value in node]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        given = environment.get(match["name"], "")
        if not given and match["form"] == ":?":
            raise MissingVariableError(match["rest"])
        return given or match["rest"] or ""

    return _VARIABLE.sub(value, node)
