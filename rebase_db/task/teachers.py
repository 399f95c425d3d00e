"""The teachers a task file can name, one model a provider, told apart by `provider`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from jinja2 import StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator, Field, model_validator

from rebase_db.errors import did_you_mean
from rebase_db.task.strict import Strict, Text, fault, fault_at, raise_faults

_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


def rule_environment() -> ImmutableSandboxedEnvironment:
    """Jinja for a rule's templates: sandboxed, undefined names are errors, nothing random."""
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    del environment.globals["lipsum"], environment.filters["random"]
    return environment


class TemplateRule(Strict):
    """How rows of one shape become examples.

    A rule fits a row when one of `datasets` (globs on the dataset's name; none means any) matches and all `columns` are
    there and not null. The templates see each column under its name and all of them in `row`, so that a name Jinja
    cannot spell is reached as `row["a.b"]` and an optional column as `row.get("context")`. `labels` maps what `output`
    renders to onto labels of the task.
    """

    name: Text | None = None
    datasets: tuple[Text, ...] = ()
    columns: tuple[Text, ...] = Field(min_length=1)
    input: Text
    output: Text
    labels: dict[str, Text] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _templates_parse(self) -> Self:
        faults = []
        environment = rule_environment()
        known = [*self.columns, "row", *environment.globals]
        for field, source in (("input", self.input), ("output", self.output)):
            try:
                used = meta.find_undeclared_variables(environment.parse(source))
                environment.from_string(source)
            except TemplateSyntaxError as error:
                message = f"is not a valid template: {error.message} (line {error.lineno} of the template)"
                faults.append(fault_at((field,), message))
                continue
            for name in sorted(used - set(known)):
                hint = did_you_mean(name, list(self.columns))
                hint = f"{hint} Add it to columns, or write row.get({name!r}) where it may be absent.".strip()
                faults.append(fault_at((field,), f"uses {name!r}, which is not in the rule's columns", hint=hint))
        raise_faults(type(self), faults)
        return self


class TemplateTeacherSpec(Strict):
    """No LLM: the first rule that fits a row renders its example."""

    provider: Literal["template"]
    rules: tuple[TemplateRule, ...] = Field(min_length=1)


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise fault("is not a URL", hint="Write it as http://host:port/v1.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise fault("is not an http or https URL", hint="Write it as http://host:port/v1.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise fault(
            "holds credentials, a query or a fragment",
            hint="Keep secrets out of the file: name an environment variable in api_key_env.",
        )
    return url


def _variable(name: str) -> str:
    # The pattern also keeps a key that was pasted here by mistake from ever being named in a message.
    if not _VARIABLE_NAME.fullmatch(name):
        raise fault(
            "is not the name of an environment variable",
            hint="Write a name such as OPENAI_API_KEY (capitals, digits, _), never the key itself.",
        )
    return name


class _Sampled(Strict):
    """What every language model has: how it samples, how long answers and prompts may be, and what they cost.

    `temperature: null` leaves sampling to the model's own settings. `context_tokens` is the room for prompt and answer
    together; rows that would not fit are cut. Prices are money per million tokens, in whatever currency the budget is
    kept.
    """

    model: Text
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    max_tokens: int = Field(default=1000, ge=1)
    context_tokens: int = Field(default=8192, ge=256)
    input_price: Decimal | None = Field(default=None, ge=0)
    output_price: Decimal | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _prices_and_room(self) -> Self:
        faults = []
        if (self.input_price is None) != (self.output_price is None):
            faults.append(
                fault_at((), "has one of input_price and output_price", hint="A cost needs both; 0 is a price.")
            )
        if self.max_tokens >= self.context_tokens:
            message = f"leaves no room for a prompt: context_tokens is {self.context_tokens}"
            faults.append(fault_at(("max_tokens",), message))
        raise_faults(type(self), faults)
        return self


class OpenAITeacherSpec(_Sampled):
    """A server that speaks the OpenAI chat completions protocol.

    `api_key_env` names the environment variable with the key; without it the server is asked without one.
    `response_format: auto` asks for JSON by a schema and falls back to plain JSON where the server knows none.
    `timeout_seconds` is one request's; `max_retries` counts the requests after the first. The rates are limits of this
    process, for servers that turn away what comes faster.
    """

    provider: Literal["openai"]
    base_url: Annotated[str, AfterValidator(_endpoint)]
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    response_format: Literal["auto", "json_schema", "json_object", "text"] = "auto"
    concurrency: int = Field(default=16, ge=1, le=1000)
    timeout_seconds: float = Field(default=120.0, gt=0)
    max_retries: int = Field(default=4, ge=0, le=20)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)


class VLLMTeacherSpec(_Sampled):
    """A model in this process by vLLM, which must be installed here.

    `batch` is how many prompts the engine is given at a time; it schedules them itself.
    """

    provider: Literal["vllm"]
    revision: Text | None = None
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    batch: int = Field(default=256, ge=1, le=10_000)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(default=1, ge=1)
    enforce_eager: bool = False


class TransformersTeacherSpec(_Sampled):
    """A model in this process by transformers: slower than vLLM, and wherever torch runs.

    Nothing holds it to a schema, so its answers are read leniently. `device: null` takes a GPU if there is one.
    """

    provider: Literal["transformers"]
    revision: Text | None = None
    device: Text | None = None
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    batch: int = Field(default=8, ge=1, le=1000)


LanguageModelSpec = Annotated[
    OpenAITeacherSpec | VLLMTeacherSpec | TransformersTeacherSpec, Field(discriminator="provider")
]
TeacherSpec = Annotated[
    TemplateTeacherSpec | OpenAITeacherSpec | VLLMTeacherSpec | TransformersTeacherSpec, Field(discriminator="provider")
]
