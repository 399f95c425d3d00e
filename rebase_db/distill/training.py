"""How a transformers Trainer is made to behave: reporting to us alone, repeatable, quiet, and stopped on request."""

from __future__ import annotations

import math
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, set_seed

from rebase_db.distill.student import MetricPoint, TrainingStoppedError
from rebase_db.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import TrainerControl, TrainerState, TrainingArguments


class Reporter(TrainerCallback):
    """Passes the loss and the learning rate on, and ends a training that diverges or is asked to stop."""

    def __init__(self, on_metric: Callable[[MetricPoint], None], should_stop: Callable[[], bool]) -> None:
        self._on_metric = on_metric
        self._should_stop = should_stop

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer at every logging step."""
        del args, control, kwargs
        for name in ("loss", "learning_rate"):
            if logs is not None and name in logs:
                self._on_metric(MetricPoint(state.global_step, name, float(logs[name])))
        if logs is not None and not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"The loss is {logs['loss']} at step {state.global_step}: the training diverged.",
                hint="Lower the learning rate.",
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Called by the Trainer after every optimizer step."""
        del args, control, kwargs
        if self._should_stop():
            raise TrainingStoppedError(f"The training was stopped after step {state.global_step} of {state.max_steps}.")


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """In the block all random numbers follow from `seed`; after it the generators go on as if nothing had been."""
    # A worker lives on after a training: its random numbers (the jitter of a retry) must not repeat from the seed.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - that is what Trainer seeds
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    set_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())  # noqa: FBT003 - torch's own form
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
