"""A model in this process by transformers, wherever torch runs; asked for JSON, but not held to it."""

from __future__ import annotations

import copy
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

from rebase_db.errors import TeacherError
from rebase_db.quiet import quiet
from rebase_db.transform.provider import ResponseForm
from rebase_db.transform.providers.local_model import LocalModel, failed
from rebase_db.transform.providers.model_files import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rebase_db.task.teachers import TransformersTeacherSpec
    from rebase_db.transform.provider import Reply
    from rebase_db.transform.providers.batching import Asked


class TransformersModel(LocalModel):
    """One model in a process.

    Without sampling, a reply does not depend on the other prompts of its batch, but for rounding. With sampling and a
    seed, the same batch gets the same replies.

    Raises:
        TeacherError: The model is not there, has no chat template, does not fit, or reads fewer tokens than
            `context_tokens`.
    """

    provider = "transformers"
    response_form = ResponseForm.TEXT

    def __init__(self, spec: TransformersTeacherSpec) -> None:
        self._spec = spec
        self._model: Any = None
        self._cells = sys.maxsize  # rows times length of what memory suffices for, as far as is known
        super().__init__(spec)

    def close(self) -> None:
        """Break off what is at work and free the memory."""
        self._thread.stop()
        self._thread.join()
        self._model = None

    def _load(self) -> str:
        spec = self._spec
        self._device = spec.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            with quiet():
                model: Any = AutoModelForCausalLM.from_pretrained(
                    self._files.folder,
                    dtype="auto" if spec.dtype == "auto" else getattr(torch, spec.dtype),
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                )
                self._model = model.to(self._device).eval()
        except (OSError, ValueError, RuntimeError, AssertionError) as error:  # the last is torch's word for "no CUDA"
            raise TeacherError(f"{spec.model} cannot be loaded on {self._device}: {first_line(error)}") from error
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if longest is not None and longest < spec.context_tokens:
            raise TeacherError(
                f"the model {spec.model} reads {longest} tokens, fewer than context_tokens: {spec.context_tokens}",
                hint=f"Set context_tokens: {longest}.",
            )
        self._settings = self._generation()
        ends = self._settings.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends or ())
        return str(model.dtype).removeprefix("torch.")

    def _generation(self) -> Any:
        """The model's own settings, with ours on top."""
        settings = copy.deepcopy(self._model.generation_config)
        settings.max_new_tokens, settings.max_length = self._spec.max_tokens, None
        if self._spec.temperature == 0:
            settings.do_sample = False
            # Settings of sampling, about which transformers would complain.
            settings.temperature = settings.top_p = settings.top_k = settings.min_p = settings.typical_p = None
        elif self._spec.temperature is not None:
            settings.do_sample, settings.temperature = True, self._spec.temperature
        tokenizer = self._tokens.tokenizer
        if settings.eos_token_id is None:
            settings.eos_token_id = tokenizer.eos_token_id
        if settings.pad_token_id is None:
            settings.pad_token_id = tokenizer.pad_token_id or 0  # the attention mask hides it, whatever it is
        return settings

    def _generate(self, batch: Sequence[Asked], prompts: Sequence[list[int]]) -> Iterator[Reply]:
        at = 0
        while at < len(batch):
            rows = self._rows(prompts[at:])
            try:
                replies = self._rectangle(batch[at : at + rows], prompts[at : at + rows])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise TeacherError(f"{self._spec.model} stopped answering: {first_line(error)}") from error
                torch.cuda.empty_cache()
                if rows > 1:
                    self._cells = self._size(prompts[at : at + rows]) // 2
                    continue
                replies = [failed(batch[at], f"out of memory at a prompt of {len(prompts[at])} tokens")]
            if self._thread.ended:
                raise RuntimeError("broken off")  # and what there is of the answers is none
            yield from replies
            at += rows

    def _rows(self, prompts: Sequence[list[int]]) -> int:
        """How many of the next prompts to try at once."""
        rows = len(prompts)
        while rows > 1 and self._size(prompts[:rows]) > self._cells:
            rows -= 1
        return rows

    def _size(self, prompts: Sequence[list[int]]) -> int:
        return len(prompts) * (max(map(len, prompts)) + self._spec.max_tokens)

    def _rectangle(self, batch: Sequence[Asked], prompts: Sequence[list[int]]) -> list[Reply]:
        started = time.monotonic()
        width = max(map(len, prompts))
        # On the left: answers begin where prompts end.
        padding = [width - len(prompt) for prompt in prompts]
        pad = self._settings.pad_token_id
        ids = torch.tensor([[pad] * n + prompt for n, prompt in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding])
        with self._seeded():
            output = self._model.generate(
                input_ids=ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=self._settings,
                stopping_criteria=StoppingCriteriaList([_Ended(lambda: self._thread.ended)]),
            )
        answers: list[list[int]] = output[:, width:].tolist()
        seconds = time.monotonic() - started
        return [
            self._read(asked, len(prompt), answer, seconds)
            for asked, prompt, answer in zip(batch, prompts, answers, strict=True)
        ]

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Each batch anew, so that it does not matter how many came before; others' random numbers are left alone."""
        if self._spec.seed is None:
            yield
            return
        gpus = [torch.device(self._device)] if self._device.startswith("cuda") else []
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(self._spec.seed)
            yield

    def _read(self, asked: Asked, prompt_tokens: int, answer: list[int], seconds: float) -> Reply:
        end = next((index for index, token in enumerate(answer) if token in self._ends), None)
        # A row that ended early is filled up behind its end.
        own = answer if end is None else answer[: end + 1]
        text = str(self._tokens.tokenizer.decode(own, skip_special_tokens=True))
        return self._reply(asked, text, "length" if end is None else "stop", (prompt_tokens, len(own)), seconds)


class _Ended(StoppingCriteria):
    """Ends a generation nobody waits for any more."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        self._ended = ended

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        del scores
        return torch.full((input_ids.shape[0],), self._ended(), device=input_ids.device, dtype=torch.bool)


def _out_of_memory(error: BaseException) -> bool:
    """A GPU's has a class of its own; a processor's has only its words."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
