"""What Google says of a failure in a way of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")


def retry_delay(error: BaseException) -> float | None:
    """Seconds to wait before another try: a 429 has them in its body (`RetryInfo`), not in a header."""
    cause: BaseException | None = error
    while cause is not None:
        details = _details(getattr(cause, "details", None))
        if details is not None:
            return next((seconds for item in details if (seconds := _seconds(item)) is not None), None)
        cause = cause.__cause__
    return None


def _details(body: Any) -> list[Any] | None:
    error = body.get("error", body) if isinstance(body, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    return details if isinstance(details, list) else None


def _seconds(item: Any) -> float | None:
    if not isinstance(item, Mapping) or not str(item.get("@type", "")).endswith("RetryInfo"):
        return None
    found = _SECONDS.fullmatch(str(item.get("retryDelay", "")))
    return float(found[1]) if found else None
