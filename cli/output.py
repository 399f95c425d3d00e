"""How commands talk: data on stdout, everything else on stderr."""

from __future__ import annotations

import datetime as dt
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderableType
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from rebase_db.errors import RebaseError

# What a terminal takes as orders, in texts of rows and servers: all control characters but tab and line feed.
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "�")


class _SafeConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich does, without control characters in texts."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(segment.text.translate(_CONTROLS), segment.style)


# Without emoji codes: in `row:cat:0` the name of a dataset would be one.
talk = _SafeConsole(stderr=True, highlight=False, emoji=False)
data = _SafeConsole(highlight=False, soft_wrap=False, emoji=False)


def complain(error: RebaseError) -> None:
    """Print an error: what is wrong, and on a second line what to do."""
    talk.print("[bold red]error:[/] ", end="")
    talk.print(error.message, markup=False, soft_wrap=True)
    if error.hint:
        talk.print(f"  {error.hint}", markup=False, soft_wrap=True, style="dim")


def emit_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    json.dump(value, sys.stdout, default=_plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write("\n")


def _plain(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Print rows as a table on stdout; columns named in `numbers` are right-aligned."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in numbers
        # A folded number is another number to whoever reads it.
        grid.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in rows:
        # Text, in which names are not read as markup.
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell if cell is not None else "") for cell in row)
        grid.add_row(*map(Text, cells))
    data.print(grid)


def indented(*lines: str, style: str = "") -> None:
    """Print lines on stdout, two characters in, also where they are wrapped."""
    for line in lines:
        for part in Text(line, style=style).wrap(data, data.width - 2):
            part.rstrip()
            data.print(Text("  ") + part)


def emit(records: Sequence[dict[str, Any]], *, as_json: bool, numbers: Sequence[str] = ()) -> None:
    """Print records as JSON or as a table."""
    if as_json:
        emit_json(records)
    elif records:
        columns = list(records[0])
        table(columns, [[_shown(record[column]) for column in columns] for record in records], numbers=numbers)


def _shown(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else value


def confidence(value: float) -> str:
    """A confidence in two digits, of which 1.00 and 0.00 are only what is certain."""
    return f"{value if value in (0, 1) else min(max(value, 0.01), 0.99):.2f}"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units, `3 min 5 s`; empty for None."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if parts or count:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


class TerminalReporter:
    """Shows a step a line on stderr: a live bar in a terminal, one closing line elsewhere."""

    @contextmanager
    def step(self, title: str) -> Iterator[TerminalProgress]:
        """A step, from its first line to its last."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("[bold]{task.description:<10}[/]"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=talk,
        ) as progress:
            shown = TerminalProgress(progress, progress.add_task(title, total=None, note=""))
            yield shown
            shown.finish()


class TerminalProgress:
    """The line of one step."""

    def __init__(self, progress: RichProgress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def total(self, total: int | None) -> None:
        """How much there is to do."""
        self._progress.update(self._task, total=total)

    def done(self, done: int) -> None:
        """How much of it is done."""
        self._progress.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """What is being done right now."""
        self._progress.update(self._task, note=text[:60])

    def finish(self) -> None:
        """The step is over: everything is done."""
        task = self._progress.tasks[self._task]
        self._progress.update(self._task, total=task.total or task.completed or 1)
        self._progress.update(self._task, completed=self._progress.tasks[self._task].total, note="")
