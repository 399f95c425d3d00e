"""What a database is made of, as its system catalogs tell it: two databases are alike when these are equal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

Catalog = dict[tuple[str, str], str]
"""Definitions by kind and name."""

_QUERY = text(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def read_catalog(connection: Connection) -> Catalog:
    return {(kind, name): definition for kind, name, definition in connection.execute(_QUERY)}


def differences(one: Catalog, other: Catalog) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """Both definitions of whatever is not the same, None where it is missing."""
    return {key: (one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
