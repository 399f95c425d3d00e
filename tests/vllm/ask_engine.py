"""Asks the in-process provider, in a Python that has vLLM: JSON in on stdin, JSON out on stdout.

A script with a guard, since the engine's process imports what started it.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from rebase_db.errors import TeacherError
from rebase_db.task.teachers import VLLMTeacherSpec
from rebase_db.transform.provider import Request
from rebase_db.transform.providers.vllm_engine import VLLMEngine


def _reply(reply: Any) -> dict[str, Any]:
    return {
        "key": reply.key,
        "text": reply.text,
        "error": reply.error,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "cost": str(reply.usage.cost),
        "response_form": reply.response_form,
    }


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        engine = VLLMEngine(VLLMTeacherSpec.model_validate(asked["spec"]))
    except TeacherError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}))  # noqa: T201
        return
    calls = [(call["schema"], [Request(**request) for request in call["requests"]]) for call in asked["calls"]]

    def ask(call: tuple[dict[str, Any], list[Request]]) -> list[dict[str, Any]]:
        schema, requests = call
        return [_reply(reply) for reply in engine.ask(requests, schema, "example")]

    # All calls at once, from a thread each, and twice, so that the second time finds every prefix cached.
    with ThreadPoolExecutor(len(calls)) as threads:
        rounds = [list(threads.map(ask, calls)) for _ in range(2)]
    report = {
        "rounds": rounds,
        "identity": engine.identity,
        "counted": {
            request.key: engine.count_tokens(request.messages) for _, requests in calls for request in requests
        },
        # What vLLM's own way from messages to tokens comes to.
        "chat": [
            len(output.prompt_token_ids)
            for output in engine._llm.chat([request.messages for request in calls[0][1]], use_tqdm=False)
        ],
        "prefix_caching": engine._llm.llm_engine.vllm_config.cache_config.enable_prefix_caching,
    }
    # Then the engine is killed at work, as a machine without memory would do it.
    replies = engine.ask(calls[0][1] * 1000, calls[0][0], "example")
    next(replies)
    for child in psutil.Process().children(recursive=True):
        if "EngineCore" in " ".join(child.cmdline()):
            child.kill()
    try:
        report["killed"] = len(list(replies))
    except TeacherError as error:
        report["killed"] = error.message
    engine.close()
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
