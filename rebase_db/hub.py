"""Models on the hub: the cached or fresh snapshot of one, and in plain words why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebase_db.errors import RebaseError


def snapshot(
    name: str,
    revision: str | None,
    *,
    kind: str,
    files: Sequence[str],
    left_out: Sequence[str],
    error: type[RebaseError],
    offline_hint: str,
) -> Path:
    """The folder of a hub model's files, named after the commit.

    Args:
        name: As the hub has it, `owner/model`.
        revision: A commit, tag or branch; None for the newest.
        kind: What it is called in messages.
        files: Glob patterns of the files wanted.
        left_out: Patterns of those among them that are not.
        error: What to raise.
        offline_hint: What to do when the hub cannot be reached.

    Raises:
        error: There is no such model, or it cannot be fetched.
    """
    import httpx  # the client of huggingface_hub: its errors come through where a download breaks off
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    wanted = f"{name} at revision {revision}" if revision else name
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=list(files), ignore_patterns=list(left_out))
        )
    except HFValidationError:
        problem, hint = f"{name} is neither a folder nor the name of a model", "Names look like owner/model."
    except GatedRepoError:
        problem = f"the hub gives {wanted} only to accounts that accepted its terms"
        hint = "Accept them on the model's page, then log in with `hf auth login`."
    except RevisionNotFoundError:
        problem, hint = f"the hub has the {kind} {name} but not its revision {revision}", "Use a commit, tag or branch."
    except RepositoryNotFoundError:
        problem, hint = f"there is no {kind} {name}, neither a folder nor on the hub", "Check the spelling."
    except LocalEntryNotFoundError:
        problem = f"the {kind} {wanted} is neither a folder nor in the local cache, and the hub cannot be reached"
        hint = offline_hint
    except (HfHubHTTPError, httpx.HTTPError, OSError) as failure:
        problem = f"the {kind} {wanted} cannot be fetched from the hub: {str(failure).partition(chr(10))[0]}"
        hint = "Try again later; what was fetched is kept."
    raise error(problem, hint=hint)
