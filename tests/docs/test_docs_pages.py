"""The pages agree with the code: generated blocks, links, and nothing that has a name is left unsaid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer

from cli.main import app
from rebase_db import faults, states
from rebase_db.queue import QUEUES
from rebase_db.schema import Base, provenance
from rebase_db.task.checks import Checks
from rebase_db.task.load import load_task
from rebase_db.transform.teacher import Reading, RejectReason
from scripts import generate_docs
from scripts.generate_docs import BLOCKS, DOCS, ROOT, rewrite

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(DOCS.glob("*.md"))
EVERY_PAGE = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
RUN_THIS = "run scripts/generate-docs"


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def source() -> str:
    folders = ("rebase_db", "cli", "workers")
    return "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))


@EVERY_PAGE
def test_generated_blocks_are_up_to_date(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert rewrite(page) == page, RUN_THIS


def test_every_kind_of_block_is_used() -> None:
    used = {name for path in PAGES for name in re.findall(r"<!-- generated: ([\w-]+)", read(path.name))}
    assert used == BLOCKS.keys()


def test_the_script_mends_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = read("states.md")
    wrong = page.replace("waiting --> running: claim", "waiting --> done: claim")
    assert wrong != page
    (tmp_path / "states.md").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(generate_docs, "DOCS", tmp_path)
    generate_docs.main()
    assert (tmp_path / "states.md").read_text(encoding="utf-8") == page


def test_cells_written_by_hand_are_kept_and_none_is_missing() -> None:
    page = read("states.md")
    assert (
        rewrite(page.replace("| nothing: a load is one transaction |", "| as I say \\| so |")).count("as I say \\| so")
        == 1
    )
    empty = [(path.name, row) for path in PAGES for row in re.findall(r"^\|.*\|  \|$", path.read_text(), re.MULTILINE)]
    assert [found for found in empty if found[0] != "schema.md"] == []  # there an empty last cell is no key


def anchors(page: str) -> set[str]:
    """As the usual viewers of Markdown make them of headings."""
    page = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    for target in targets:
        if target.startswith("https://"):
            continue  # nothing is fetched by the tests
        name, _, anchor = target.partition("#")
        page = path.parent / name if name else path
        assert page.is_file(), target
        assert not anchor or anchor in anchors(page.read_text(encoding="utf-8")), target


def test_the_index_has_every_page() -> None:
    assert set(re.findall(r"^- \[[^]]+\]\((.+?)\)", read("README.md"), re.MULTILINE)) == {
        path.name for path in PAGES if path.name != "README.md"
    }


def test_every_state_event_queue_and_fault_point_is_explained() -> None:
    page = read("states.md")
    machines = (states.JOB, states.LINK)
    prose = re.sub(r"<!-- generated: (diagram|transitions).*?<!-- end -->", "", page, flags=re.DOTALL)
    names = {state for machine in machines for state in machine.states}
    names |= {event for machine in machines for _, event in machine.transitions}
    names |= {queue.name for queue in QUEUES} | set(faults.FaultPoint)
    assert {name for name in names if f"`{name}`" not in prose} == set()


def test_every_environment_variable_of_the_code_is_in_the_settings() -> None:
    names = set(re.findall(r"\bREBASE_[A-Z][A-Z_]*\b", source())) - {"REBASE_TEST"}
    assert {name for name in names if f"`{name}`" not in read("settings.md")} == set()


def test_every_table_is_in_the_schema_page() -> None:
    schema = read("schema.md")
    assert {name for name in Base.metadata.tables if f"### `{name}`\n" not in schema} == set()
    assert Base.metadata.tables.keys() - provenance.MUTABLE.keys() == {"row_score"}
    assert "on every table but `row_score`" in " ".join(schema.split())


def test_the_glossary_uses_names_that_there_are() -> None:
    tables = Base.metadata.tables
    known = tables.keys() | {column.name for table in tables.values() for column in table.columns}
    known |= {f"{table.name}.{column.name}" for table in tables.values() for column in table.columns}
    glossary = read("concepts.md").partition("## Glossary")[2]
    words = {"code", "default", "train"}
    assert set(re.findall(r"`([^`]+)`", glossary)) - words <= known
    terms = re.findall(r"^\*\*([^*]+)\.\*\*", glossary, re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)


def test_every_command_is_in_the_reference() -> None:
    root: Any = typer.main.get_command(app)
    names = set(root.commands)
    assert {"run", "ingest", "why", "task"} <= names
    assert {name for name in names if f"## `rebase {name}`\n" not in read("commands.md")} == set()


@EVERY_PAGE
def test_commands_and_options_that_a_page_names_are_there(path: Path) -> None:
    unknown = []
    for code in re.findall(r"`rebase ([a-z][^`\n]*)`", path.read_text(encoding="utf-8")):
        command: Any = typer.main.get_command(app)
        options: set[str] = set()
        for word in code.split():
            below = getattr(command, "commands", {})
            if word.startswith("--"):
                options.add(word)
            elif below:
                command = below.get(word)
        known = {
            name for parameter in getattr(command, "params", ()) for name in parameter.opts + parameter.secondary_opts
        }
        if command is None or options - known:
            unknown.append(code)
    assert unknown == []


def test_every_hash_tag_of_the_code_is_listed_and_no_other() -> None:
    tags = set(re.findall(r"""content_hash\(\s*"([\w-]+/v\d+)\"""", source()))
    tags |= set(re.findall(r'b"rebase-db/([\w-]+/v\d+)', source()))
    listed = set(re.findall(r"`([\w-]+/v\d+)`", read("schema.md").partition("## Hashes")[2]))
    assert listed == tags


def test_every_folder_and_script_that_development_names_is_there() -> None:
    page = read("development.md")
    named = re.findall(r"^\| `([\w./-]+?)(?: [^`]*)?` \|", page, re.MULTILINE)
    paths = [name for name in named if "/" in name]
    assert len(paths) > 10
    assert [name for name in paths if not (ROOT / name).exists()] == []


def test_the_task_files_of_the_page_are_read(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for name in ("tickets.jsonl", "held-out.jsonl"):
        (tmp_path / name).touch()
    files = re.findall(r"^```yaml task\n(.*?)^```", read("task-file.md"), re.MULTILINE | re.DOTALL)
    tasks = []
    for file in files:
        path = tmp_path / "task.yaml"
        path.write_text(file, encoding="utf-8")
        tasks.append(load_task(path))
    assert [task.teacher and task.teacher.provider for task in tasks] == ["template", "openai"]


def test_every_reason_for_a_rejection_and_every_reading_is_explained() -> None:
    page = read("teachers.md")
    assert {name for name in (*RejectReason, *Reading) if f"| `{name}` |" not in page} == set()


def test_every_check_is_explained() -> None:
    page = read("checks.md")
    assert {name for name in Checks.model_fields if f"| `{name}` |" not in page} == set()
