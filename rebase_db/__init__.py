"""Retrieval based distillation as a SQL-backed data service (arXiv 2407.05463)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rebase-db")
except PackageNotFoundError:  # the source tree without an installation
    __version__ = "0+unknown"
