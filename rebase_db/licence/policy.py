"""Which licences a training set may mix in: what a task file says, and what it comes to for a set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING, Literal

from rebase_db.errors import LicenceError, UnknownNameError, did_you_mean
from rebase_db.licence.duty import Duty
from rebase_db.licence.known import duty_named, is_known, known_names
from rebase_db.reference import UNKNOWN_LICENCE
from rebase_db.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.licence.duties import LicensedSource, SetDuties

FLAGGED = (Duty.NON_COMMERCIAL, Duty.RESEARCH_ONLY, Duty.NO_DERIVATIVES)
"""What is flagged where nobody says otherwise; unknown licences are too."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Policy:
    """Names of duties and licences that are refused or flagged; a name that is both is refused.

    Args:
        forbid: What a set must not hold.
        flag: What is said aloud.
        unknown: What becomes of rows nobody knows the licence of.
        allow: Exceptions: a duty is not looked for, a licence is let through whatever its duties.
    """

    forbid: tuple[str, ...] = ()
    flag: tuple[str, ...] = FLAGGED
    unknown: Literal["allow", "flag", "forbid"] = "flag"
    allow: tuple[str, ...] = ()

    def but(self, *, forbid: Sequence[str] = (), allow: Sequence[str] = ()) -> Policy:
        """The same with further names refused or let through, as given to one command.

        Raises:
            UnknownNameError: A name that is neither a duty nor a known licence.
        """
        for name in (*forbid, *allow):
            if not is_known(name):
                raise UnknownNameError(
                    f"{name!r} is neither a duty nor a licence that is known.",
                    hint=did_you_mean(name, known_names()) or f"Duties are {', '.join(Duty)}.",
                )
        return replace(self, forbid=(*self.forbid, *forbid), allow=(*self.allow, *allow))


@dataclass(frozen=True, slots=True)
class Finding:
    """A dataset in a set that the policy names, and by which of its names."""

    source: LicensedSource
    names: tuple[str, ...]

    def __str__(self) -> str:
        stated = self.source.licence.stated or "no licence stated"
        return f"{self.source.dataset} ({stated}: {', '.join(self.names)}; {counted(self.source.examples, 'example')})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of a set: the datasets that may not be in it, and those that are to be said aloud."""

    forbidden: Sequence[Finding]
    flagged: Sequence[Finding]

    def refuse(self, set_name: str) -> None:
        """Raise if anything is forbidden.

        Raises:
            LicenceError: Naming the datasets, how many examples each has in the set, and how to get a clean one.
        """
        if not self.forbidden:
            return
        names = dict.fromkeys(name for finding in self.forbidden for name in finding.names)
        stated = dict.fromkeys(finding.source.licence.stated or UNKNOWN_LICENCE for finding in self.forbidden)
        withdraw = ", ".join(f"`rebase retract licence {quote(licence)} --reason …`" for licence in stated)
        raise LicenceError(
            f"The set {set_name!r} mixes in what is forbidden: {named_findings(self.forbidden)}.",
            hint=(
                f"Without them: {withdraw}, then `rebase freeze --successor-of {quote(set_name)}`. "
                f"With them, this once: {' '.join(f'--allow {quote(name)}' for name in names)}."
            ),
        )


def named_findings(findings: Sequence[Finding]) -> str:
    """Findings as one line, the first few by name."""
    shown = ", ".join(map(str, findings[:_SHOWN]))
    left = findings[_SHOWN:]
    more = sum(finding.source.examples for finding in left)
    return f"{shown} and {len(left)} more datasets ({counted(more, 'example')})" if left else shown


def judge(policy: Policy, duties: SetDuties) -> Verdict:
    """Hold the datasets behind a set against a policy."""
    unknown = {"forbid": policy.forbid, "flag": policy.flag, "allow": ()}
    unknown[policy.unknown] = (*unknown[policy.unknown], Duty.UNKNOWN)
    forbidden, flagged = [], []
    for source in duties.sources:
        refused = _hits(source, unknown["forbid"], policy.allow)
        if refused:
            forbidden.append(Finding(source, refused))
        elif said := _hits(source, unknown["flag"], policy.allow):
            flagged.append(Finding(source, said))
    return Verdict(forbidden, flagged)


def _hits(source: LicensedSource, names: Sequence[str], allow: Sequence[str]) -> tuple[str, ...]:
    # Not where only one of several licences that all hold is allowed.
    if source.licence.is_within([name for name in allow if duty_named(name) is None]):
        return ()
    duties = set(map(duty_named, allow)) - {None}
    return tuple(
        dict.fromkeys(name for name in names if duty_named(name) not in duties and source.licence.covers(name))
    )
