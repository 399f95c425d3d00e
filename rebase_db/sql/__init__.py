"""Named SQL: one file a query, its first comment its purpose."""

from functools import cache
from importlib.resources import files


@cache
def named(name: str) -> str:
    """The text of `<name>.sql`."""
    return (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
