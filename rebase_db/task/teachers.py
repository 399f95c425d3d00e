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


class OpenAITeacherSpec(Strict):
    """A server that speaks the OpenAI chat completions protocol.

    `api_key_env` names the environment variable with the key; without it the server is asked without one.
    `temperature: null` leaves sampling to the server. `timeout_seconds` is one attempt's; `max_retries` counts the
    attempts after the first. Prices are money per million tokens, in whatever currency the budget is kept.
    """

    provider: Literal["openai"]
    model: Text
    base_url: Annotated[str, AfterValidator(_endpoint)]
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=1000, ge=1)
    concurrency: int = Field(default=16, ge=1, le=1000)
    timeout_seconds: float = Field(default=120.0, gt=0)
    max_retries: int = Field(default=4, ge=0, le=20)
    input_price: Decimal | None = Field(default=None, ge=0)
    output_price: Decimal | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_prices(self) -> Self:
        if (self.input_price is None) != (self.output_price is None):
            raise fault("has one of input_price and output_price", hint="A cost needs both; 0 is a price.")
        return self


TeacherSpec = Annotated[TemplateTeacherSpec | OpenAITeacherSpec, Field(discriminator="provider")]
