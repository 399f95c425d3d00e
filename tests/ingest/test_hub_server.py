"""A hub dataset over HTTP, from a small server that answers as the Hub does, in a process of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("datasets")

COMMIT = "0123456789" * 4
READ = """
import json, sys
from rebase_db.errors import RebaseError
from rebase_db.ingest.open import open_sources
try:
    for dataset in open_sources([sys.argv[1]], max_rows=4):
        for split in dataset.splits:
            rows = [(batch.source_index, batch.cells) for batch in split.batches()]
            stated = [dataset.name, dataset.uri, dataset.licence]
            print(json.dumps([*stated, split.split, split.revision, split.rows, rows]))
except RebaseError as error:
    print(json.dumps(error.message))
"""


def parquet(rows: int) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(rows)]}), buffer)
    return buffer.getvalue()


FILES = {
    "README.md": b"---\nlicense: mit\n---\nA few words.\n",
    "data/train-00000.parquet": parquet(8),
    "data/test-00000.parquet": parquet(4),
}


class Hub(BaseHTTPRequestHandler):
    """The part of the Hub's protocol that reading `org/name` needs."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?", maxsplit=1)[0]
        if file := re.fullmatch(r"/datasets/org/name/resolve/[^/]+/(.+)", path):
            self.file(file[1])
        elif re.fullmatch(r"/api/datasets/org/name(/revision/.+)?", path):
            self.reply(json.dumps({"id": "org/name", "sha": COMMIT, "siblings": [], "tags": []}).encode())
        elif tree := re.fullmatch(r"/api/datasets/org/name/tree/[^/]+/?(.*)", path):
            self.reply(json.dumps(self.tree(tree[1])).encode())
        else:
            self.reply(b"{}", HTTPStatus.NOT_FOUND, {"X-Error-Code": "RepoNotFound"})

    def file(self, name: str) -> None:
        content = FILES.get(name)
        if content is None:
            self.reply(b"", HTTPStatus.NOT_FOUND, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            self.reply(content[start : end + 1], HTTPStatus.PARTIAL_CONTENT, headers)
        else:
            self.reply(content, HTTPStatus.OK, headers)

    def tree(self, folder: str) -> list[dict[str, object]]:
        folders = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "data"}] if not folder else []
        inside = [name for name in FILES if not folder or name.startswith(f"{folder}/")]
        return folders + [{"type": "file", "oid": "0" * 40, "size": len(FILES[name]), "path": name} for name in inside]

    def reply(self, body: bytes, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.timeout(120)
def test_a_dataset_is_streamed_from_the_commit_its_name_stands_for(endpoint: str, tmp_path: Path) -> None:
    environment = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "PATH": os.environ["PATH"],
    }

    def read(source: str) -> list[Any]:
        done = subprocess.run([sys.executable, "-c", READ, source], env=environment, stdout=subprocess.PIPE, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    stated = ["org/name", "hf:org/name", "mit"]
    assert read("hf:org/name@main") == [
        [*stated, "train", COMMIT, 8, [[[0, 2, 4, 6], [["row 0", "row 2", "row 4", "row 6"]]]]],
        [*stated, "test", COMMIT, 4, [[[0, 1, 2, 3], [["row 0", "row 1", "row 2", "row 3"]]]]],
    ]
    assert read("hf:org/none") == [
        "hf:org/none: cannot be read by datasets: Dataset 'org/none' doesn't exist on the Hub or cannot be accessed."
    ]
