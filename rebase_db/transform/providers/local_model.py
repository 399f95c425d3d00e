"""What the providers with a model in this process have in common: prompts as tokens, batches, and who they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from rebase_db.transform.provider import Limits, Reply, ResponseForm
from rebase_db.transform.providers.batching import ModelThread
from rebase_db.transform.providers.model_files import ChatTokens, find_model, first_line
from rebase_db.transform.teacher import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rebase_db.task.teachers import TransformersTeacherSpec, VLLMTeacherSpec
    from rebase_db.transform.provider import Messages, Request
    from rebase_db.transform.providers.batching import Asked


class LocalModel(ABC):
    """A model loaded when the provider is made; whoever asks shares it.

    Raises:
        TeacherError: The model is not there, has no chat template, or does not fit.
    """

    provider: ClassVar[str]
    response_form: ClassVar[ResponseForm]

    def __init__(self, spec: VLLMTeacherSpec | TransformersTeacherSpec) -> None:
        self._sampled = spec
        self._files = find_model(spec.model, spec.revision)
        self._tokens = ChatTokens(self._files)
        self._dtype = self._load()
        self._thread = ModelThread(f"{self.provider}-teacher", spec.batch, self._answer)

    @abstractmethod
    def _load(self) -> str:
        """Load the model; gives the name of its arithmetic, such as `bfloat16`."""

    @abstractmethod
    def _generate(self, batch: Sequence[Asked], prompts: Sequence[list[int]]) -> Iterable[Reply]:
        """One reply for each prompt, in their order; called by one thread."""

    @abstractmethod
    def close(self) -> None:
        """See `Provider.close`."""

    @property
    def identity(self) -> dict[str, Any]:
        """Model, arithmetic and sampling; device, batch and room shape no reply but by rounding."""
        spec = self._sampled
        sampling: dict[str, Any] = {
            "temperature": spec.temperature,
            "max_tokens": spec.max_tokens,
            "response_format": self.response_form.value,
        }
        if spec.seed is not None:
            sampling["seed"] = spec.seed
        return {
            "provider": self.provider,
            "model": spec.model,
            "endpoint": None,
            "sampling": sampling,
            "dtype": self._dtype,
            **self._files.identity,
        }

    @property
    def limits(self) -> Limits:
        """A batch at a time."""
        spec = self._sampled
        return Limits(spec.max_tokens, spec.context_tokens, spec.batch, spec.input_price, spec.output_price)

    def count_tokens(self, messages: Messages) -> int:
        """Exact."""
        return len(self._tokens.ids(messages))

    def most_tokens(self, messages: Messages) -> int:
        """Exact."""
        return self.count_tokens(messages)

    def ask(self, requests: Iterable[Request], schema: Mapping[str, Any], name: str) -> Iterator[Reply]:
        """One reply for each request, a batch at a time; its latency is its batch's.

        Closing the iterator drops what is not in a batch yet; replies of the batch at work are lost.

        Raises:
            TeacherError: The model stopped answering.
        """
        del name  # only servers want one
        return self._thread.ask(requests, schema)

    def _answer(self, batch: Sequence[Asked]) -> Iterator[Reply]:
        # A prompt that cannot be sent is its row's error, not the batch's.
        prompts = [self._prompt(asked) for asked in batch]
        fit = [(asked, prompt) for asked, prompt in zip(batch, prompts, strict=True) if not isinstance(prompt, Reply)]
        generated = iter(self._generate([asked for asked, _ in fit], [prompt for _, prompt in fit]) if fit else ())
        for prompt in prompts:
            yield prompt if isinstance(prompt, Reply) else next(generated)

    def _prompt(self, asked: Asked) -> list[int] | Reply:
        try:
            ids = self._tokens.ids(asked.request.messages)
        except Exception as error:  # noqa: BLE001 - a model's template may fail in any way
            return failed(asked, f"the model's chat template refuses the messages: {first_line(error)}", requests=0)
        room = self._sampled.context_tokens - self._sampled.max_tokens
        if len(ids) <= room:
            return ids
        return failed(
            asked, f"the prompt has {len(ids)} tokens; beside the answer there is room for {room}", requests=0
        )

    def _reply(self, asked: Asked, text: str, finish_reason: str, tokens: tuple[int, int], seconds: float) -> Reply:
        """The reply to a prompt; `tokens` are those of prompt and answer."""
        return Reply(
            asked.request.key,
            storable(text),
            seconds,
            finish_reason=finish_reason,
            usage=self.limits.usage(*tokens),
            response_form=self.response_form,
        )


def failed(asked: Asked, error: str, seconds: float = 0.0, *, requests: int = 1) -> Reply:
    """The reply that says why there is none."""
    return Reply(asked.request.key, None, seconds, error=error, requests=requests)
