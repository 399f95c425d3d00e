"""The Retry-After header (RFC 9110, section 10.2.3): a number of seconds or a date."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# The library has waited and asked again several times by then, so a quick further try has little to hope for.
DEFAULT_SECONDS = 15.0
LONGEST_SECONDS = 3600.0


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float:
    """Seconds to wait before a failed request is worth another try, between 0 and an hour.

    Args:
        header: The header's value; None or one that cannot be read gives `DEFAULT_SECONDS`.
        now: Against which a date is counted; the clock by default.
    """
    seconds = _seconds(header, now or datetime.now(UTC)) if header else DEFAULT_SECONDS
    return min(max(seconds, 0.0), LONGEST_SECONDS)


def _seconds(header: str, now: datetime) -> float:
    try:
        seconds = float(header)
    except ValueError:
        pass
    else:
        return seconds if math.isfinite(seconds) else DEFAULT_SECONDS
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return DEFAULT_SECONDS
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()
