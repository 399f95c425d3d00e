"""The licences a task will have in its training sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from rebase_db.errors import did_you_mean
from rebase_db.licence.known import is_known, known_names
from rebase_db.licence.policy import FLAGGED, Policy
from rebase_db.task.strict import Strict, Text, fault


def _known(name: str) -> str:
    if not is_known(name):
        hint = did_you_mean(name, known_names()) or "Write a duty, such as non-commercial, or a licence."
        raise fault(f"{name!r} is neither a duty nor a licence that is known", hint=hint)
    return name


LicenceName = Annotated[Text, AfterValidator(_known)]


class Licences(Strict):
    """Duties and licences that an export refuses (`forbid`) or says aloud (`flag`); `unknown` where none is known."""

    forbid: tuple[LicenceName, ...] = ()
    flag: tuple[LicenceName, ...] = tuple(map(str, FLAGGED))
    unknown: Literal["allow", "flag", "forbid"] = "flag"

    def policy(self) -> Policy:
        """The same as a policy."""
        return Policy(self.forbid, self.flag, self.unknown)
