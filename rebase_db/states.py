"""States of claimable rows and the legal moves between them, as data.

A queue is one table whose rows are claimed, worked on and finished. Two machines serve all of them: `JOB` for work that
is asked for and done (chunks to embed, retrievals, training runs), `LINK` for a retrieved row on its way to being a
training example. Every move has an event name; a move that is not listed changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class StateMachine:
    """One kind of claimable row.

    Attributes:
        name: What the events table calls it.
        ready: The state a row is claimed from.
        working: The state in which a worker holds it.
        transitions: (state, event) to next state; everything else is illegal.
        finished: States in which `finished_at` is set.
    """

    name: str
    ready: str
    working: str
    transitions: Mapping[tuple[str, str], str]
    finished: tuple[str, ...]

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, in the order the transitions name them."""
        return tuple(
            dict.fromkeys(state for (before, _), after in self.transitions.items() for state in (before, after))
        )

    def next_state_of(self, event: str) -> str:
        """The state an event leads to, which is one and the same from wherever it is legal; ValueError otherwise."""
        (after,) = {after for (_, name), after in self.transitions.items() if name == event}
        return after

    def next_state(self, state: str, event: str) -> str:
        """The state after `event`; KeyError when the move is illegal."""
        return self.transitions[state, event]


JOB = StateMachine(
    name="job",
    ready="waiting",
    working="running",
    transitions=MappingProxyType(
        {
            ("waiting", "claim"): "running",
            ("running", "done"): "done",
            ("running", "retry"): "waiting",
            ("running", "snooze"): "waiting",
            ("running", "release"): "waiting",
            ("running", "rescue"): "waiting",
            ("running", "fail"): "failed",
            ("waiting", "cancel"): "cancelled",
            ("running", "cancel"): "cancelled",
            ("failed", "revive"): "waiting",
            ("cancelled", "revive"): "waiting",
        }
    ),
    finished=("done", "failed", "cancelled"),
)

LINK = StateMachine(
    name="link",
    ready="retrieved",
    working="transforming",
    transitions=MappingProxyType(
        {
            ("retrieved", "claim"): "transforming",
            ("transforming", "done"): "transformed",
            ("transforming", "reject"): "rejected",
            ("transforming", "retry"): "retrieved",
            ("transforming", "snooze"): "retrieved",
            ("transforming", "release"): "retrieved",
            ("transforming", "rescue"): "retrieved",
            ("transforming", "fail"): "failed",
            ("retrieved", "cancel"): "cancelled",
            ("transforming", "cancel"): "cancelled",
            ("failed", "revive"): "retrieved",
            ("cancelled", "revive"): "retrieved",
            ("rejected", "revive"): "retrieved",
            ("transformed", "revive"): "retrieved",
            ("distilled", "revive"): "retrieved",
            ("transformed", "distil"): "distilled",
            ("transformed", "fail_check"): "rejected",
            ("distilled", "fail_check"): "rejected",
            ("rejected", "pass_check"): "transformed",
        }
    ),
    finished=("transformed", "rejected", "failed", "cancelled", "distilled"),
)
