"""Access tokens: had early, by one request for all who wait, and never by many in a row."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import structlog

from tilores_core import SourceError, SourceUnavailableError
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status

_log = structlog.get_logger(part="source")

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_REFUSED_PAUSE = 10.0  # after an answer that asking again will not change
_MARGIN = 60.0
_EARLY = 0.8


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `refresh_at` and `expires_at` on `time.monotonic()`."""

    value: str
    refresh_at: float
    expires_at: float

    def __repr__(self) -> str:
        return "Token(…)"

    @classmethod
    def new(cls, value: str, seconds: float, now: float) -> Token:
        # 80 % of its life or a minute before the end, whichever is earlier; of a very short life 80 %.
        early = min(_EARLY * seconds, seconds - _MARGIN) if seconds > 2 * _MARGIN else _EARLY * seconds
        return cls(value, now + early, now + seconds)


@dataclass(frozen=True, slots=True)
class Granted:
    """What the token endpoint gave: the token and how many seconds it lives."""

    value: str
    seconds: float


Ask = Callable[[], Awaitable[Granted]]


class Tokens:
    """One token at a time, for all calls. `ask` makes the request."""

    def __init__(self, ask: Ask, settings: Settings, status: Status) -> None:
        self._ask = ask
        self._status = status
        self._token: Token | None = None
        self._refreshing: asyncio.Task[Token] | None = None
        self._failures = 0
        self._error: SourceError | None = None
        self._again_at = 0.0
        self._distrusted_until = 0.0
        self._after_refusal: str | None = None

    async def get(self) -> str:
        """A token that is valid now. Raises `SourceError`, `SourceUnavailableError`."""
        now = time.monotonic()
        token = self._token
        if token is not None and now < token.expires_at:
            if now >= token.refresh_at and now >= self._again_at:
                self._refresh()
            return token.value
        if self._refreshing is None and now < self._again_at and self._error is not None:
            raise _again(self._error, self._again_at - now)
        # One caller who gives up must not end it for the others.
        return (await asyncio.shield(self._refresh())).value

    def on_refused(self, value: str) -> bool:
        """The gateway did not take `value`: forget it. False when another token will not help now."""
        now = time.monotonic()
        token = self._token
        if token is None or token.value != value:
            return True  # noticed before: there is another one, or one is being fetched
        if now < self._distrusted_until:
            return False
        if value == self._after_refusal:  # had because another was refused, and refused too
            self._distrusted_until = now + _REFUSED_PAUSE
            self._after_refusal = None
            return False
        self._token = None
        self._status.token_until = 0.0
        self._after_refusal = ""
        return True

    def on_accepted(self, value: str) -> None:
        """The gateway took `value`."""
        if value == self._after_refusal:
            self._after_refusal = None

    def _refresh(self) -> asyncio.Task[Token]:
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._request())
            self._refreshing.add_done_callback(self._on_fetched)
        return self._refreshing

    def _on_fetched(self, task: asyncio.Task[Token]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()  # those who wait get it; there may be none

    async def _request(self) -> Token:
        try:
            granted = await self._ask()
        except SourceError as error:
            self._on_failure(error)
            raise
        token = self._token = Token.new(granted.value, granted.seconds, time.monotonic())
        if self._after_refusal is not None:
            self._after_refusal = token.value
        if self._error is not None:
            _log.info("tilores.token_recovered")
        self._failures, self._error, self._again_at = 0, None, 0.0
        self._status.token_until = token.expires_at
        self._status.token_error = None
        return token

    def _on_failure(self, error: SourceError) -> None:
        now = time.monotonic()
        if isinstance(error, SourceUnavailableError):
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
            pause = max(pause, min(error.retry_after, _LONGEST_PAUSE) if error.retry_after > 1 else 0.0)
        else:
            pause = _REFUSED_PAUSE
        if self._error is None:
            _log.warning("tilores.token_failed", error=error.message)
        self._failures += 1
        self._error = error
        self._again_at = now + pause
        self._status.token_error = error.message

    async def aclose(self) -> None:
        task = self._refreshing
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _again(error: SourceError, seconds: float) -> SourceError:
    """The same error for the next caller: a traceback must not grow, and the pause has become shorter."""
    if isinstance(error, SourceUnavailableError):
        return SourceUnavailableError(error.message, retry_after=max(0.1, round(seconds, 1)), fix=error.fix)
    return SourceError(error.message, fix=error.fix)


def basic(client_id: str, secret: str) -> str:
    """The header for client credentials; RFC 6749 2.3.1 wants both parts form-encoded."""
    return "Basic " + base64.b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()
