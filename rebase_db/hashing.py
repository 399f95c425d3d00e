"""Content hashes: SHA-256 over a canonical form, tagged with what is hashed.

The tag keeps a hash of one kind from ever passing for a hash of another, and its version lets a canonical form change
without old hashes changing their meaning. `rebase verify` recomputes them from the stored columns alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no white space and no ASCII escapes; NaN and infinities are refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(tag: str, value: object) -> bytes:
    """32 bytes: SHA-256 of `rebase-db/<tag>`, a newline, and the canonical JSON of `value`."""
    return hashlib.sha256(f"rebase-db/{tag}\n{canonical_json(value)}".encode()).digest()


def text_hash(text: str) -> bytes:
    """32 bytes: plain SHA-256 of the UTF-8 text, untagged, so that anyone can look a text up by its digest."""
    return hashlib.sha256(text.encode()).digest()


def file_hash(path: Path) -> bytes:
    """32 bytes: plain SHA-256 of a file's bytes, as `sha256sum` prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def folder_hash(folder: Path) -> bytes:
    """32 bytes: tagged hash over the sorted relative paths and file hashes below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return content_hash("folder/v1", [[path.relative_to(folder).as_posix(), file_hash(path).hex()] for path in files])
