"""Libraries of standards that are not part of a plain installation."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rebase_db.errors import RebaseError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needs_extra(package: str) -> Iterator[None]:
    """Around the import of a package of the extra `export`.

    Raises:
        RebaseError: It is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise RebaseError(
            f"The package {package} is not installed.", hint='Install it: pip install "rebase-db[export]"'
        ) from error
