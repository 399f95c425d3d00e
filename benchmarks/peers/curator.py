"""bespokelabs-curator as its manual has it for an OpenAI-compatible server, told how many requests to have in flight.

Run in an environment of its own, see `benchmarks.transform`. In its favour: its own aiohttp client (backend `openai`)
rather than litellm, rate limits it never meets, no telemetry, no viewer, no progress display, an empty cache folder.
The trial requests it makes when it is built are not counted. It counts tokens by a vocabulary that it downloads; here
by the one that came with litellm, so that nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"TELEMETRY_ENABLED": "false", "CURATOR_DISABLE_RICH_DISPLAY": "1", "CURATOR_VIEWER": "0"}

import tiktoken
from bespokelabs import curator
from bespokelabs.curator.request_processor.online.openai_online_request_processor import OpenAIOnlineRequestProcessor
from litellm.litellm_core_utils import default_encoding  # noqa: F401 - imported, it tells tiktoken where its files are
from pydantic import BaseModel

OpenAIOnlineRequestProcessor.get_token_encoding = lambda _: tiktoken.get_encoding("o200k_base")


class Example(BaseModel):
    """What an answer holds."""

    input: str
    output: str


class Rewriter(curator.LLM):  # type: ignore[misc]
    """A prompt of the list as it is, and its answer."""

    response_format = Example

    def prompt(self, input: dict[str, Any]) -> Any:  # noqa: A002 - the name it is called with
        """The messages of a row."""
        return input["messages"]

    def parse(self, input: dict[str, Any], response: Example) -> dict[str, Any]:  # noqa: A002 - the same
        """A row of the result."""
        return {"row": input["row"], "input": response.input, "output": response.output}


def main() -> None:
    """Answer the prompts of a file and print how long it took, and how many rows came back whole."""
    prompts, base_url, in_flight = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    rows = [json.loads(line) for line in prompts.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as cache:
        rewriter = Rewriter(
            model_name="gpt-4o-mini",
            response_format=Example,
            backend="openai",
            generation_params={"temperature": 0.0, "max_tokens": 1000},
            backend_params={
                "base_url": base_url,
                "api_key": "none",
                "max_concurrent_requests": in_flight,
                "max_requests_per_minute": 10_000_000,
                "max_tokens_per_minute": 1_000_000_000_000,
            },
        )
        began = time.monotonic()
        result = rewriter(rows, working_dir=cache)
        seconds = time.monotonic() - began
        found = {
            example["row"] for example in result.dataset if example["input"] and example["output"] in {"yes", "no"}
        }
    print(json.dumps({"seconds": seconds, "began": began, "answers": len(found)}))


if __name__ == "__main__":
    main()
