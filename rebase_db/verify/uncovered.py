"""What verifying cannot hold against anything: columns that say how work is to go on, not what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEERING = "when and how often workers may try again; each try and its end is an event"

UNCOVERED: Mapping[str, Mapping[str, str]] = {
    **{
        table: {"attempt_limit": _STEERING, "crashes": _STEERING, "ready_at": _STEERING}
        for table in ("embed_chunk", "retrieval", "retrieval_link", "training_run")
    },
    "task": {
        "settings": "what people ask for from now on; what was asked for is in the task's versions, runs and teachers",
        "priority": "which task workers take first, set by people",
        "paused_at": "whether workers leave a task alone, set by people",
    },
    "budget": {
        "max_cost": "a limit, set by people",
        "max_tokens": "a limit, set by people",
        "max_examples": "a limit, set by people",
        "exhausted_at": "a note to workers, which they renew",
    },
    "worker": {
        "heartbeat_at": "a sign of life, written over every few seconds",
        "stopped_at": "when a worker ended; what it held was taken back by events",
    },
}
"""Columns by table, with the reason."""

PARTLY: Mapping[str, Mapping[str, str]] = {
    **{
        table: {"finished_at": "to the hour; the event of the move has the very moment, under a seal"}
        for table in ("embed_chunk", "retrieval", "training_run")
    },
    "retrieval_link": {
        "finished_at": "to the hour; the event of the move has the very moment, under a seal",
        "rank": "of a displaced link only that some ranking was as long: the scores of its last one were replaced",
        "score": "of a displaced link to a millionth, and only where all rankings of its task are by average score",
        "displaced_by": "of a displaced link that it is a later finished retrieval, within its count",
        "error": "of a link whose words were erased only its form",
    },
    "text": {
        "sha256": "of the erased description of a dataset nothing else is left",
        "erased_by": "that it is one of the retractions that erased a row which has the text",
    },
}
"""Columns that are held to less than their exact value, with what they are held to."""

DELETIONS: Mapping[str, str] = {
    "check_result": "those a judgement, or a link that was kept out, rests on",
    "example_parent": "nothing: no other record says how many parents an example has",
    "likely_source": "nothing: it is a guess that can be made again",
    "metric": "nothing: no other record says how many steps a training had",
    "published_rank": "nothing, if no other rank hangs on it; the file it came from is named with its hash",
    "reservation": "one that is open, or stands for a call nobody heard the end of, by the sums of the budget",
    "retrieval_exclusion": "one of the newest ranking, if it kept out rows that would be in it",
    "ingest_column": "those of columns that rows have cells in, not those left out",
}
"""Tables of which some record can be deleted unseen, with what shows all the same.

Of others a deleted record shows as long as anything refers to it or counts it: a teacher that was never asked, or the
newest of several versions of a task that was never used, leaves no trace.
"""
