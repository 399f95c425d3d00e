"""How a statement can fail, by what there is to do about it."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError

# The driver's own too: COPY goes past SQLAlchemy.
AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
"""The connection broke, the server stops or starts, or a deadlock was resolved: the same may go well in a moment."""

REFUSED = (IntegrityError, psycopg.IntegrityError, psycopg.DataError, DataError, UnicodeEncodeError)
"""What was to be written breaks a rule of the schema, or is no text: it will not go well another time."""

FAILED = (DBAPIError, psycopg.Error)
"""Any of these, and whatever else the server says no to."""


def cause(error: Exception) -> str:
    """The server's own words, without the statement and its values."""
    return str(getattr(error, "orig", error)).partition("\n")[0]
