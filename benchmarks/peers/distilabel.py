"""distilabel as its manual has it for an OpenAI-compatible server: a pipeline of one task, by batches.

Run in an environment of its own, see `benchmarks.transform`. All rows of a batch are asked at once and the next batch
waits for the last of them, so a batch is as many rows as shall be in flight. In its favour: JSON mode of the server in
place of its structured output by instructor, which costs more CPU a request; no cache; the prompts are loaded before
the clock starts.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import ChatGeneration


def main() -> None:
    """Answer the prompts of a file and print how long it took, and how many rows came back whole."""
    prompts, base_url, in_flight = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    rows: list[dict[str, Any]] = [json.loads(line) for line in prompts.read_text().splitlines()]
    logging.getLogger("httpx2").setLevel(logging.ERROR)  # a line a request; distilabel quiets the older httpx itself
    with Pipeline(name="rewrite") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=in_flight)
        rewrite = ChatGeneration(
            llm=OpenAILLM(
                model="gpt-4o-mini",
                base_url=base_url,
                api_key="none",
                generation_kwargs={
                    "temperature": 0.0,
                    "max_new_tokens": 1000,
                    "response_format": {"type": "json_object"},
                },
            ),
            input_batch_size=in_flight,
            add_raw_input=False,
            add_raw_output=False,
        )
        load >> rewrite
    began = time.monotonic()
    result = pipeline.run(use_cache=False)
    seconds = time.monotonic() - began
    found = set()
    for example in result["default"]["train"]:
        answer = json.loads(example["generation"])
        if answer["input"] and answer["output"] in {"yes", "no"}:
            found.add(example["row"])
    print(json.dumps({"seconds": seconds, "began": began, "answers": len(found)}))


if __name__ == "__main__":
    main()
