"""The family of errors. Each says what is wrong, where it is, and what to do about it.

The command line prints one as `error: <message>` with the hint on a second line and exits with its `exit_code`;
anything that is not a `RebaseError` is a bug and shows as one.
"""

from __future__ import annotations


class RebaseError(Exception):
    """Base of every error a user can cause or mend.

    Args:
        message: What is wrong and where (file, line, row, column), as one sentence.
        hint: What to do about it; empty where the message says it all.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DatabaseError(RebaseError):
    """The database cannot be used: unreachable, too old, without pgvector, or with another schema than this code."""

    exit_code = 3


class SourceError(RebaseError):
    """A source of rows cannot be read as what it claims to be; nothing of its dataset was loaded."""

    exit_code = 4


class TaskError(RebaseError):
    """A task file, or what it names, is wrong."""

    exit_code = 5


class TeacherError(RebaseError):
    """A teacher is misconfigured or refuses to serve at all (a wrong key, an unknown model)."""

    exit_code = 6


class TrainingError(RebaseError):
    """A training set cannot be frozen or a student cannot be trained on it."""

    exit_code = 7


class UnknownNameError(RebaseError):
    """A name or id that is not in the database, or nobody knows; the hint offers the nearest ones."""

    exit_code = 8


class LicenceError(RebaseError):
    """A training set holds what a licence policy forbids."""

    exit_code = 9


class RetractionError(RebaseError):
    """Something cannot be retracted, taken back or erased as it stands."""

    exit_code = 10


def did_you_mean(name: str, known: list[str]) -> str:
    """A hint naming the known names nearest to `name`, or all of them while they are few."""
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(near) + "?"
    if 0 < len(known) <= 8:  # noqa: PLR2004 - a list that still fits on one line
        return "Known: " + ", ".join(sorted(known)) + "."
    return ""
