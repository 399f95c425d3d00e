"""A model in this process by vLLM, held to the answer's schema token by token."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import threading
import time
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from rebase_db.errors import TeacherError
from rebase_db.transform.provider import ResponseForm
from rebase_db.transform.providers.local_model import LocalModel, failed
from rebase_db.transform.providers.model_files import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rebase_db.task.teachers import VLLMTeacherSpec
    from rebase_db.transform.provider import Reply
    from rebase_db.transform.providers.batching import Asked

# Set unless the environment says otherwise, and before the first import of vLLM.
_ENVIRONMENT = {
    # The engine runs in a process of its own. Forked from a worker, it would hold copies of the worker's database
    # connections, and of locks that other threads had taken.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is for data
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",  # otherwise it reports each start to its makers
}


def _chunked_prefill(spec: VLLMTeacherSpec) -> bool | None:
    """False on a processor with a seed, else None for vLLM's own choice.

    When a step ends within a prompt, vLLM winds that request's generator back, which one on a processor cannot do:
    the whole engine ends with "CPU Generator does not use offset" (vLLM 0.32).
    """
    on_processor = importlib.import_module("vllm.platforms").current_platform.is_cpu()
    return False if on_processor and spec.seed is not None else None


class VLLMEngine(LocalModel):
    """One engine in a process.

    Prompts go in as tokens and as many as `batch` at a time. The engine takes up a waiting prompt whenever another is
    answered, but only out of the batch it was given, so towards the end of each it runs empty: a batch is best several
    times what the engine works on at once (vLLM's `max_num_seqs`).

    Raises:
        TeacherError: vLLM is not installed, or the model is not there, has no chat template or does not fit.
    """

    provider = "vllm"
    response_form = ResponseForm.JSON_SCHEMA

    def __init__(self, spec: VLLMTeacherSpec) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise TeacherError(
                "the provider vllm needs vLLM, which is not installed here",
                hint="Install it with `pip install 'rebase-db[vllm]'`, or ask a vLLM server with `provider: openai`.",
            )
        self._spec = spec
        super().__init__(spec)
        threading.Thread(target=self._watch, name="vllm-watch", daemon=True).start()

    def close(self) -> None:
        """End the engine's process and free its memory; a batch at work is lost."""
        self._thread.stop()
        # The thread itself is not waited for: with a batch at work it waits for an engine that is no more.
        self._llm.llm_engine.engine_core.shutdown()

    def _watch(self) -> None:
        """Say so when the engine's process ends: killed for its memory, say, it leaves vLLM waiting for ever."""
        if self._processes:  # none where VLLM_ENABLE_V1_MULTIPROCESSING=0
            wait([process.sentinel for process in self._processes])
            self._thread.fail(TeacherError("vLLM's engine ended", hint="What it wrote before may say why."))

    def _load(self) -> str:
        others = set(active_children())
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        spec = self._spec
        try:
            self._llm = importlib.import_module("vllm").LLM(
                model=str(self._files.folder),
                load_format="safetensors",
                trust_remote_code=False,
                enable_prefix_caching=True,  # a task's prompts differ in their last part only
                # Some models, small ones above all, fill an answer with blanks and blank lines wherever JSON may have
                # them, to the last token. Another backend than xgrammar or guidance cannot forbid it.
                structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
                dtype=spec.dtype,
                seed=spec.seed or 0,
                enable_chunked_prefill=_chunked_prefill(spec),
                max_model_len=spec.context_tokens,
                tensor_parallel_size=spec.tensor_parallel_size,
                gpu_memory_utilization=spec.gpu_memory_utilization,
                enforce_eager=spec.enforce_eager,
            )
        except Exception as error:
            # Of many kinds: no device, no memory, an unknown architecture. What goes wrong in the engine's own process
            # is only on stderr.
            if "max_model_len" in str(error):
                raise TeacherError(
                    f"the model {spec.model} reads fewer tokens than context_tokens: {spec.context_tokens}",
                    hint="Set context_tokens to no more than max_position_embeddings in the model's config.json.",
                ) from error
            raise TeacherError(
                f"vLLM cannot load {spec.model}: {first_line(error)}",
                hint="What vLLM wrote before says more. Where memory is short, try a smaller context_tokens.",
            ) from error
        self._processes = set(active_children()) - others
        # The model's own settings, as `vllm serve` takes them, with ours on top.
        self._params = self._llm.get_default_sampling_params()
        if spec.temperature is not None:
            self._params.temperature = spec.temperature
        self._params.max_tokens = spec.max_tokens
        self._params.seed = spec.seed  # each request's own: a reply does not depend on what else is in the batch
        return str(self._llm.llm_engine.model_config.dtype).removeprefix("torch.")

    def _generate(self, batch: Sequence[Asked], prompts: Sequence[list[int]]) -> list[Reply]:
        started = time.monotonic()
        try:
            outputs = self._llm.generate(
                [{"prompt_token_ids": ids} for ids in prompts],
                [self._held_to(asked.schema) for asked in batch],
                use_tqdm=False,
            )
        except Exception as error:
            raise TeacherError(
                f"vLLM stopped answering: {first_line(error)}", hint="What vLLM wrote before says more."
            ) from error
        seconds = time.monotonic() - started
        # They come in the order of the prompts. Whose reply is whose is too much to take on trust, and each output
        # names the prompt it was made for.
        if [list(output.prompt_token_ids) for output in outputs] != list(prompts):
            raise TeacherError("vLLM gave its answers in another order than it was asked")
        return [self._read(asked, output, seconds) for asked, output in zip(batch, outputs, strict=True)]

    def _held_to(self, schema: Mapping[str, Any]) -> Any:
        params = copy.copy(self._params)
        kind = importlib.import_module("vllm.sampling_params").StructuredOutputsParams
        params.structured_outputs = kind(json=dict(schema))
        return params

    def _read(self, asked: Asked, output: Any, seconds: float) -> Reply:
        (answer,) = output.outputs
        if answer.finish_reason not in {"stop", "length"}:
            return failed(asked, f"vLLM broke the answer off: {answer.finish_reason}", seconds)
        tokens = (len(output.prompt_token_ids), len(answer.token_ids))
        return self._reply(asked, answer.text, answer.finish_reason, tokens, seconds)
