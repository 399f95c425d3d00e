"""A database with one complete lineage, and a connection to it whose changes are rolled back."""

from tests.schema.conftest import chain, connection, lineage

__all__ = ["chain", "connection", "lineage"]
