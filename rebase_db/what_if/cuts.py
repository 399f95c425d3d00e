"""Other settings of checks, as `near_duplicate.similarity=0.7`: read, and put into a task file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from rebase_db.errors import TaskError, did_you_mean
from rebase_db.task.checks import Checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.task.file import TaskFile


def with_cuts(file: TaskFile, cuts: Sequence[str]) -> TaskFile:
    """A task file with other settings of its checks.

    Raises:
        TaskError: A cut names no check or no setting of one, or a value it cannot have.
    """
    if not cuts:
        return file
    checks: dict[str, Any] = file.checks.model_dump(mode="json")
    for cut in cuts:
        place, equals, value = cut.partition("=")
        check, dot, key = place.partition(".")
        if not (check and dot and key and equals and value.strip()):
            raise TaskError(f"{cut!r} sets nothing of a check.", hint="Write it as near_duplicate.similarity=0.7.")
        _require_known(file, checks, check, key)
        try:
            checks[check][key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise TaskError(
                f"{value!r} is no value that {place} can have.", hint="Write it as in a task file."
            ) from None
    try:
        changed = Checks.model_validate(checks)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise TaskError(f"checks.{where}: {fault['msg']}.") from None
    return file.model_copy(update={"checks": changed})


def _require_known(file: TaskFile, checks: dict[str, Any], check: str, key: str) -> None:
    if check not in checks:
        raise TaskError(f"There is no check {check!r}.", hint=did_you_mean(check, list(checks)))
    if checks[check] is None:
        raise TaskError(
            f"Task {file.name!r} has no {check}, so none has said anything.", hint="Add one to its file first."
        )
    # Another model would have to be asked.
    keys = [name for name in checks[check] if name != "model"]
    if key not in keys:
        raise TaskError(f"The check {check} has no setting {key!r}.", hint=did_you_mean(key, keys))


def refuse_to_apply(file: TaskFile, changed: TaskFile) -> None:
    """Say how other settings of checks are applied: what decides is the task file that is stored, each time anew.

    Raises:
        TaskError: Always.
    """
    before, after = file.checks.model_dump(mode="json"), changed.checks.model_dump(mode="json")
    keys = {
        check: {key: value for key, value in settings.items() if value != before[check][key]}
        for check, settings in after.items()
        if settings != before[check]
    }
    lines = yaml.safe_dump({"checks": keys}, sort_keys=False).rstrip()
    raise TaskError(
        "Checks are decided by the task file, so --apply cannot change them.",
        hint=f"Write this there, then run `rebase task add` and `rebase check {file.name}`:\n{lines}",
    )
