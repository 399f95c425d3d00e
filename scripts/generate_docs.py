# ruff: noqa: INP001 - a script beside others, not a package
"""Rewrites the generated blocks of docs/*.md from the code; `scripts/generate-docs` runs it.

A block stands between `<!-- generated: NAME -->` and `<!-- end -->`; `NAME argument` names a block with an argument.
What stands between is replaced. Some tables have a last column that is written by hand: it is kept, row by row, by what
stands in the first column, and a row that is new begins with an empty one.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin
from unittest import mock

import annotated_types
import typer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.dialects import postgresql

from rebase_db import faults, schema, settings, states
from rebase_db.queue import QUEUES
from rebase_db.schema import lineage, provenance, seal
from rebase_db.task import checks, licences, teachers
from rebase_db.task import file as task_file
from rebase_db.verify import uncovered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic.fields import FieldInfo
    from sqlalchemy import Column, Table

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PARAGRAPH = "\n\n"
HELP_WIDTH = 116
_BLOCK = re.compile(r"<!-- generated: (?P<name>[^>]+?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Grid:
    """A Markdown table. With `by_hand` it has a further column of that name, whose cells are kept as they are."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    by_hand: str | None = None

    def render(self, before: str) -> str:
        """The table, with the cells written by hand taken from `before`, the block as it stands."""
        headers = [*self.headers, self.by_hand] if self.by_hand else self.headers
        kept = {cells[0]: cells[-1] for cells in map(_cells, before.splitlines()) if len(cells) == len(headers)}
        rows = [[*row, kept.get(_escaped(row[0]), "")] if self.by_hand else row for row in self.rows]
        # What was written by hand is escaped already.
        shown = [[_escaped(cell) for cell in row[: len(self.headers)]] + list(row[len(self.headers) :]) for row in rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, ["---"] * len(headers), *shown))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line)[1:-1]]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def rewrite(page: str) -> str:
    """A page with every generated block brought up to date; KeyError for a block nobody generates."""

    def block(found: re.Match[str]) -> str:
        name, _, argument = found["name"].partition(" ")
        made = BLOCKS[name](argument)
        body = made.render(found["body"]) if isinstance(made, Grid) else made
        return f"<!-- generated: {found['name']} -->\n\n{body}\n\n<!-- end -->"

    return _BLOCK.sub(block, page)


# The schema.

_STAGES = (
    "corpus",
    "encoder",
    "task",
    "retrieval",
    "transform",
    "check",
    "budget",
    "distill",
    "evaluate",
    "retraction",
    "published",
    "runtime",
)


def _tables(_: str) -> str:
    parts: list[str] = []
    for stage in _STAGES:
        module = sys.modules[f"{schema.__name__}.{stage}"]
        title = _prose(module).split(PARAGRAPH)[0]
        parts.append(f"## {title.rstrip('.')}")
        mapped = (mapper.class_ for mapper in schema.Base.registry.mappers)
        models = [model for model in mapped if model.__module__ == module.__name__]
        models.sort(key=lambda model: inspect.getsourcelines(model)[1])
        parts += [_table(model) for model in models]
    return "\n\n".join(parts)


def _prose(documented: object) -> str:
    """A docstring with its paragraphs each on a line."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(documented) or "")
    return PARAGRAPH.join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(model: Any) -> str:
    table: Table = model.__table__
    mutable = provenance.MUTABLE.get(table.name)
    rows = [[f"`{column.name}`", _type(column), _key(column)] for column in table.columns if column.name != "seal"]
    lines = [f"- References: {text}" for text in _references(table)]
    uniques = (item for item in table.constraints if isinstance(item, UniqueConstraint) and len(item.columns) > 1)
    lines += [f"- Unique: {text}" for text in sorted(_names(item.columns.keys()) for item in uniques)]
    checks = sorted(
        (str(item.name), str(item.sqltext)) for item in table.constraints if isinstance(item, CheckConstraint)
    )
    lines += [f"- Check `{name}`: `{text}`" for name, text in checks]
    if mutable is None:
        lines.append("- May change: everything, and rows may be deleted (working state, not provenance)")
    else:
        changing = [column.name for column in table.columns if column.name in mutable]
        lines.append(f"- May change: {_names(changing) if changing else 'nothing'}")
    if table.name in provenance.ONCE:
        lines.append(f"- Written once: {_names(provenance.ONCE[table.name])}")
    if table.name in provenance.ERASABLE:
        lines.append(f"- May be erased: {_names(provenance.ERASABLE[table.name])}")
    if table.name not in seal.SEALED:
        lines.append("- Without a seal")
    grid = Grid(["Column", "Type", "Key"], rows).render("")
    return f"### `{table.name}`\n\n{_prose(model)}\n\n{grid}\n\n" + "\n".join(lines)


def _type(column: Column[Any]) -> str:
    name = column.type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return name.replace("timestamp with time zone", "timestamptz") + (", or null" if column.nullable else "")


def _key(column: Column[Any]) -> str:
    alone = [
        f"→ `{key.column.table.name}`"
        for key in column.foreign_keys
        if key.constraint is not None and len(key.constraint.columns) == 1
    ]
    primary = ["primary key"] if column.primary_key else []
    return ", ".join(primary + (["unique"] if column.unique else []) + sorted(alone))


def _references(table: Table) -> list[str]:
    return sorted(
        f"{_names(key.column_keys)} → `{key.referred_table.name}`{' (deferred)' if key.deferrable else ''}"
        for key in table.foreign_key_constraints
        if len(key.columns) > 1
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# The views for auditors.


def _lineage_views(_: str) -> Grid:
    """A row for each view: what its comment says a row is, and its columns."""
    rows = []
    for statement in lineage.statements():
        if found := re.search(r"^CREATE VIEW lineage\.(\w+)", statement, re.MULTILINE):
            meaning = _comment("VIEW", found[1], statement)
            rows.append([f"`{found[1]}`", meaning, _names(view_columns(statement))])
    return Grid(["View", "What a row is", "Columns"], rows)


def view_columns(statement: str) -> list[str]:
    """The columns of a view, read from its first outermost SELECT, in which each begins a line."""
    body = statement.partition("CREATE VIEW")[2].partition("COMMENT ON")[0]
    chosen = re.findall(r"^SELECT\b.*?^FROM\b", body, re.MULTILINE | re.DOTALL)[0]
    return re.findall(r"^ {4}(?! ).*?(\w+),?$", re.sub(r"\n {8}.*|\n {4}(?=END )", "", chosen), re.MULTILINE)


def _lineage_functions(_: str) -> Grid:
    """A row for each function: how it is called, and what its comment says."""
    found = [
        (name, " ".join(arguments.split()), _comment("FUNCTION", name, statement))
        for statement in lineage.statements()
        for name, arguments in re.findall(r"^CREATE FUNCTION lineage\.(\w+)\s*\(([^)]*)\)", statement, re.MULTILINE)
    ]
    return Grid(["Function", "What it answers"], [[f"`{name}({given})`", meaning] for name, given, meaning in found])


def _comment(kind: str, name: str, statement: str) -> str:
    found = re.search(rf"COMMENT ON {kind} lineage\.{name}\b[^']*?\bIS\s+'((?:[^']|'')*)'", statement)
    return " ".join(found[1].replace("''", "'").split()) if found else ""


# States and fault points.


def _diagram(name: str) -> str:
    machine: states.StateMachine = getattr(states, name)
    moves: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in machine.transitions.items():
        moves.setdefault((before, after), []).append(event)
    lines = [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in moves.items()]
    ends = [state for state in machine.states if state in machine.finished]
    return "\n".join(
        ["```mermaid", "stateDiagram-v2", f"    [*] --> {machine.ready}", *lines]
        + [f"    {state} --> [*]" for state in ends]
        + ["```"]
    )


def _transitions(name: str) -> Grid:
    machine: states.StateMachine = getattr(states, name)
    rows = [[f"`{before}`", f"`{event}`", f"`{after}`"] for (before, event), after in machine.transitions.items()]
    return Grid(["From", "Event", "To"], rows)


def _fault_points(_: str) -> Grid:
    reached = {name: place for path, tree in _sources() for name, place in _reached(tree, path, "")}
    rows = [[f"`{point}`", reached[point.name]] for point in faults.FaultPoint]
    return Grid(["Point", "Reached in"], rows, by_hand="What a death there leaves")


def _sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module that does the work, by its path."""
    for folder in ("rebase_db", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _reached(node: ast.AST, path: str, scope: str) -> Iterator[tuple[str, str]]:
    """Each fault point by its name in the code, and the file and function that reach it."""
    for below in ast.iter_child_nodes(node):
        match below:
            case ast.Call(func=ast.Name("reach"), args=[ast.Attribute(ast.Name("FaultPoint"), name)]):
                yield name, f"`{path}`, `{scope}`"
            case ast.Call(func=ast.Attribute(ast.Name("self"), "_reach"), args=[ast.Constant(str(point))]):
                # The runner's, which every stage passes.
                for each in QUEUES:
                    yield f"{each.stage}_{point}".upper(), f"`{path}`, `{scope}`"
            case ast.ClassDef() | ast.FunctionDef():
                yield from _reached(below, path, f"{scope}.{below.name}".lstrip("."))
            case _:
                yield from _reached(below, path, scope)


# Keys of the task file.

_MODELS: dict[str, type[BaseModel]] = {
    "task": task_file.TaskFile,
    "example": task_file.Example,
    "retrieve": task_file.Retrieve,
    "weights": task_file.Weights,
    "template-teacher": teachers.TemplateTeacherSpec,
    "rule": teachers.TemplateRule,
    "openai-teacher": teachers.OpenAITeacherSpec,
    "vllm-teacher": teachers.VLLMTeacherSpec,
    "transformers-teacher": teachers.TransformersTeacherSpec,
    "checks": checks.Checks,
    "licences": licences.Licences,
    "student": task_file.Student,
    "evaluate": task_file.Evaluate,
}
"""The models by the heading of their section in docs/task-file.md."""


def _keys(section: str) -> Grid:
    fields = sorted(_MODELS[section].model_fields.items(), key=lambda named: named[0] != "provider")
    rows = [[f"`{key}`", _form(field), _default(field)] for key, field in fields]
    return Grid(["Key", "Type", "Default"], rows, by_hand="Meaning")


def _checks(_: str) -> Grid:
    """A row for each check: what it does with a find, and its other keys with type and default."""
    rows = []
    for name, check in checks.Checks.model_fields.items():
        fields = _check_of(check.annotation).model_fields
        others = [f"`{key}`: {_form(fields[key])} ({_default(fields[key])})" for key in fields if key != "action"]
        rows.append([f"`{name}`", _default(fields["action"]), "; ".join(others) or "none"])
    return Grid(["Key", "`action` by default", "Its other keys (default)"], rows, by_hand="What it looks for")


def _check_of(annotation: Any) -> type[BaseModel]:
    """The model of a check, also of one that may be null."""
    classes = [each for each in (annotation, *get_args(annotation)) if inspect.isclass(each)]
    return next(each for each in classes if issubclass(each, BaseModel))


def _form(field: FieldInfo) -> str:
    shape, null, _ = _shape(field.annotation).partition(OR_NULL)
    bounds = [
        f"{sign} {_number(getattr(item, attribute))}"
        for item in field.metadata
        for kind, attribute, sign in _BOUNDS
        if isinstance(item, kind)
    ]
    bounds += [
        f"at most {item.max_length} characters" for item in field.metadata if isinstance(item, StringConstraints)
    ]
    return ", ".join([shape, *bounds]) + null


def _number(bound: Any) -> str:
    return _POWERS.get(bound, f"{bound:g}")


_POWERS = {2**31: "2³¹", 2**32: "2³²"}
_BOUNDS = (
    (annotated_types.Ge, "ge", "≥"),
    (annotated_types.Gt, "gt", ">"),
    (annotated_types.Le, "le", "≤"),
    (annotated_types.Lt, "lt", "<"),
    (annotated_types.MinLen, "min_length", "at least"),
)
_SHAPES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", types.NoneType: "null"}
OR_NULL = ", or null"


def _shape(annotation: Any) -> str:  # noqa: PLR0911 - one for each kind of annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in {Union, types.UnionType}:
        return ", or ".join(_shape(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {_shape(arguments[0])}"
    if origin is dict:
        return f"mapping of {_shape(arguments[0])} to {_shape(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        return _shape(arguments[0])
    for section, model in _MODELS.items():
        if annotation is model:
            return f"[{section}](#{section})"
    return _SHAPES.get(annotation, "number")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "see there"
    value = field.default
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


# Environment, exit codes, commands.


def _settings(_: str) -> str:
    lines = (settings.__doc__ or "").splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def _exit_codes(_: str) -> Grid:
    """Read from the source, so that nothing heavy need be imported to know every error."""
    rows = {
        int(ast.literal_eval(value)): (made.name, (ast.get_docstring(made) or "").split(PARAGRAPH)[0])
        for _, tree in _sources()
        for made in ast.walk(tree)
        if isinstance(made, ast.ClassDef)
        for line in made.body
        for value in [line.value if isinstance(line, ast.Assign) and _assigns(line, "exit_code") else None]
        if value is not None
    }
    shown = [[f"`{code}`", f"`{name}`", " ".join(meaning.split())] for code, (name, meaning) in sorted(rows.items())]
    return Grid(["Code", "Error", "Meaning"], shown)


def _assigns(line: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in line.targets)


def _commands(_: str) -> str:
    from cli.main import app

    root: Any = typer.main.get_command(app)
    # Plain help: the boxes of the other one are drawn for a terminal.
    with mock.patch("typer.core.HAS_RICH", new=False):
        return "\n\n".join(_help(root, "rebase", None, "##"))


def _help(command: Any, name: str, parent: typer.Context | None, heading: str) -> Iterator[str]:
    context = typer.Context(
        command, info_name=name, parent=parent, terminal_width=HELP_WIDTH, **command.context_settings
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"{heading} `{context.command_path}`\n\n```text\n{text}\n```"
    for below in getattr(command, "commands", {}).values():
        yield from _help(below, below.name, context, "##" if parent is None else "###")


def _uncovered(what: str) -> Grid:
    if what == "deletions":
        return Grid(
            ["Table", "What shows all the same"], [[f"`{name}`", why] for name, why in uncovered.DELETIONS.items()]
        )
    columns = {"columns": uncovered.UNCOVERED, "partly": uncovered.PARTLY}[what]
    # Tables that say the same of the same columns share a line.
    lines: dict[tuple[str, str], list[str]] = {}
    for table, found in columns.items():
        for column, why in found.items():
            lines.setdefault((column, why), []).append(f"`{table}`")
    return Grid(["Column", "Of", "Why" if what == "columns" else "Held to"], [
        [f"`{column}`", ", ".join(tables), why] for (column, why), tables in lines.items()
    ])  # fmt: skip


BLOCKS: dict[str, Callable[[str], str | Grid]] = {
    "tables": _tables,
    "diagram": _diagram,
    "transitions": _transitions,
    "lineage-views": _lineage_views,
    "lineage-functions": _lineage_functions,
    "fault-points": _fault_points,
    "keys": _keys,
    "checks": _checks,
    "settings": _settings,
    "exit-codes": _exit_codes,
    "commands": _commands,
    "uncovered": _uncovered,
}


def main() -> None:
    """Rewrite the pages, and name those that changed."""
    for path in sorted(DOCS.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = rewrite(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stderr.write(f"docs/{path.name} is rewritten\n")


if __name__ == "__main__":
    main()
