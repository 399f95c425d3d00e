"""What is printed is what was said: no code of an emoji in a name becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import TerminalReporter, complain, data, table, talk
from rebase_db.errors import RebaseError

if TYPE_CHECKING:
    import pytest

REFERENCE = "row:cat:0 of :cat: [dim]"


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    data.print(REFERENCE, markup=False)
    talk.print("[bold]row:cat:0[/]")
    complain(RebaseError(REFERENCE, hint=REFERENCE))
    table([":cat:"], [[REFERENCE]])
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()] == [REFERENCE, ":cat:", REFERENCE]
    assert [line.strip() for line in err.splitlines()] == ["row:cat:0", f"error: {REFERENCE}", REFERENCE]


def test_a_note_beside_a_bar_is_printed_as_it_is() -> None:
    with TerminalReporter().step("Import") as progress:
        progress.note(REFERENCE)
        with talk.capture() as shown:
            talk.print(progress._progress.get_renderable())
    assert REFERENCE in " ".join(shown.get().split())
