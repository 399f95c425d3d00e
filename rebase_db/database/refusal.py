"""What a database refuses to the role that asks, said as an error of the family."""

from __future__ import annotations

from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from sqlalchemy.exc import DBAPIError

from rebase_db.errors import DatabaseError


def refusal(error: Exception) -> DatabaseError | None:
    """The error to show for a statement that the role may not run; None where `error` is something else."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, (InsufficientPrivilege, ReadOnlySqlTransaction)):
        return None
    said = str(cause).partition("\n")[0]
    return DatabaseError(
        f"The role of this connection may not do this: {said}.",
        hint="A role that only reads, such as a member of rebase_reader, is for asking; this takes one that may write.",
    )
