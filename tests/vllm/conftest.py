"""A real vLLM on the processor: an environment of its own, and a server of it on this machine.

Tests here are `slow`, with a time limit that has room for setting the environment up. `REBASE_TEST_VLLM=0` skips them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from tests.models.conftest import tiny_llama

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tiny_llama"]

ROOT = Path(__file__).parents[2]
START_SECONDS = 600


class VLLMServer(NamedTuple):
    """Where a server is, the name it knows its model by, and what it writes."""

    base_url: str
    model: str
    log: Path


def vllm_environment() -> dict[str, str]:
    """The environment for programs of `vllm_python`."""
    # A gibibyte for keys and values, where vLLM would take a share of the machine's memory.
    return {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """A Python with vLLM for processors and this checkout, set up on first use."""
    if os.environ.get("REBASE_TEST_VLLM") == "0":
        pytest.skip("REBASE_TEST_VLLM=0: no tests with a real vLLM")
    subprocess.run([ROOT / "scripts" / "setup-vllm-cpu"], check=True)
    return ROOT / ".venv-vllm" / "bin" / "python"


@pytest.fixture(scope="session")
def vllm_server(vllm_python: Path, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    """A vLLM server with the tiny model and the settings that docker-compose.yml gives it."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    settings = [word for word in compose["services"]["teacher"]["command"] if "$" not in word]
    assert settings
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("vllm-server")
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                *(vllm_python, "-m", "vllm.entrypoints.openai.api_server"),
                *("--model", tiny_llama, "--served-model-name", "tiny-llama"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--dtype", "float32", "--max-model-len", "4096", "--enforce-eager"),
                "--no-enable-chunked-prefill",  # with seeds, the server ends otherwise; see docs/teachers.md
                *settings,
            ],
            cwd=folder,
            env=vllm_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its engine is a process of its own, to be ended with it
        )
    try:
        _wait_until_healthy(server, f"http://127.0.0.1:{port}/health", log)
        yield VLLMServer(f"http://127.0.0.1:{port}/v1", "tiny-llama", log)
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _kill_group(server.pid)


def _wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - this machine's
                return
        except (urllib.error.URLError, OSError):
            pass
        try:
            code = server.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"the vLLM server ended with {code}:\n{log.read_text()[-4000:]}")
    pytest.fail(f"the vLLM server did not start in {START_SECONDS} s:\n{log.read_text()[-4000:]}")


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
