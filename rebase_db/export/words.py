"""How exports name things: times, hashes, identifiers, links to licences, a set in a sentence."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from rebase_db.licence.duty import MEANINGS

if TYPE_CHECKING:
    from rebase_db.export.facts import SetFacts
    from rebase_db.licence.known import Licence

URN = "urn:rebase-db:"


def in_utc(time: dt.datetime) -> str:
    """A time as ISO 8601 in UTC, whatever time zone the session has."""
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def identifier(kind: str, *numbers: int, of: bytes | str) -> str:
    """A record's name: its kind, its numbers in the database, and what tells it from those of another database."""
    mark = of.hex() if isinstance(of, bytes) else hashlib.sha256(of.encode()).hexdigest()
    return "-".join((kind, *map(str, numbers), mark[:12]))


def place(uri: str) -> str:
    """Where a dataset comes from, without the folders of the machine that loaded it, which are nobody else's."""
    return uri.rstrip("/").rpartition("/")[2] if uri.startswith(("file:", "/")) else uri


def licence_link(licence: Licence) -> str:
    """A link to a licence's text, where it is a single one with an SPDX identifier; else what was stated."""
    spdx = licence.spdx
    if spdx and " " not in spdx:
        return f"https://spdx.org/licenses/{quote(spdx)}.html"
    return licence.stated or "not stated"


def described(training_set: SetFacts) -> str:
    """A training set in a few sentences."""
    sources = ", ".join(f"{source.name} ({source.examples:,})" for source in training_set.sources[:5])
    more = len(training_set.sources) - 5
    asked = "; ".join(f"{MEANINGS[duty]} ({count:,})" for duty, count in training_set.duties.examples.items())
    return (
        f"{training_set.size:,} examples for the task {training_set.task} (version {training_set.task_version}), made "
        f"by retrieval based distillation from rows of {sources}{f' and {more} more datasets' if more > 0 else ''}. "
        f"What the licences behind them ask, with the examples it holds for: {asked or 'nothing'}. "
        f"Frozen as {training_set.name}, manifest {training_set.manifest_hash.hex()}."
    )
