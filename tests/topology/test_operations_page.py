"""docs/operations.md speaks of commands, options, services and columns that there are."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.topology.compose import ROOT, compose_file, parsed

if TYPE_CHECKING:
    from sqlalchemy import Engine

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SERVICES = compose_file("any")["services"]


def lines_of_shell() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def rebase_commands() -> list[str]:
    """Every command of the page: in blocks, through Docker, and in running text."""
    shell = [re.sub(r"^docker compose run --rm rebase", "rebase", line) for line in lines_of_shell()]
    prose = re.findall(r"`(rebase [a-z][^`]*)`", re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL))
    return sorted({line for line in (*shell, *prose) if line.startswith("rebase ")})


def test_the_page_names_every_command_for_operators() -> None:
    named = {line.split()[1] for line in rebase_commands()}
    assert named >= {"work", "status", "workers", "retry", "cancel", "pause", "resume", "prioritize", "db"}


@pytest.mark.parametrize("line", rebase_commands())
def test_its_commands_are_understood(line: str) -> None:
    if line != "rebase run":  # the name of a command that needs a file, not a call of it
        assert parsed(shlex.split(line, comments=True)[1:]) is not None


def test_its_docker_commands_name_services_that_there_are() -> None:
    lines = [shlex.split(line, comments=True) for line in lines_of_shell() if line.startswith("docker compose ")]
    named = set()
    for line in lines:
        verb, *rest = line[2:]
        words = [word for word in rest if not word.startswith(("-", "'", "<", ">"))]
        if verb in {"stop", "up"}:
            named |= {word for word in words if "=" not in word}
        elif verb == "exec":
            named.add(words[0])
    assert named == {"embed", "transform", "distill", "database"}
    assert named < SERVICES.keys()
    assert set(re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE)) == SERVICES.keys()


def test_it_names_every_metric() -> None:
    source = (ROOT / "workers" / "metrics.py").read_text(encoding="utf-8")
    served = set(re.findall(r'"(rebase_[a-z_]+)"', source))
    assert len(served) > 5
    assert set(re.findall(r"`(rebase_[a-z_]+?)(?:_total)?(?:\{[a-z,]+\})?`", PAGE)) - {"rebase_reader"} == served


def test_its_volumes_are_all() -> None:
    (listed,) = re.findall(r"What lasts is in four volumes: ([^:]+?)\.\s", PAGE, re.DOTALL)
    assert set(re.findall(r"`([a-z]+)`", listed)) == compose_file("any")["volumes"].keys()


@pytest.mark.parametrize("sql", re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_its_queries_run(sql: str, engine: Engine) -> None:
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        assert connection.execute(text(sql)).keys()
