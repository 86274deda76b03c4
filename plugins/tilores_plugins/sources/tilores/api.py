"""One GraphQL operation, from the token to the answer's data: limits, second tries, what the errors mean."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilores_core import SourceError
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.deadlines import Deadline, in_background
from tilores_plugins.sources.tilores.limiter import Limiter
from tilores_plugins.sources.tilores.problems import BusyError, Fault, Problem, RejectedTokenError
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status
from tilores_plugins.sources.tilores.tokens import Tokens
from tilores_plugins.sources.tilores.transport import Reply, Transport

_MOST_TRIES = 2
_FIRST_PAUSE = 0.2
_WORTH_TRYING = 0.1  # seconds; with less left a second try cannot succeed


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a GraphQL query. `data` may be partial: then `errors` say what is missing."""

    data: Mapping[str, Any] | None
    errors: tuple[Problem, ...] = ()


class Api:
    """Calls one instance. Raises what problems.py has, and nothing else."""

    def __init__(self, settings: Settings, status: Status) -> None:
        self._status = status
        self._transport = Transport(settings)
        self._tokens = Tokens(self._transport.token, settings, status)
        background = int(settings.max_in_flight * settings.background_share)
        self._limiter = status.limiter = Limiter(settings.max_in_flight, background, settings.max_waiting)

    async def run(self, document: str, variables: Mapping[str, Any], limit: Deadline) -> Result:
        """The operation's answer.

        Raises `SourceError`, and for callers that can do something about it `StaleSchemaError`, `TooLargeError`.
        """
        started = time.monotonic()
        try:
            result = await self._try_once({"query": document, "variables": dict(variables)}, limit)
        except SourceError as error:
            self._status.record_failure(error.message)
            raise
        self._status.record_success(time.monotonic() - started)
        return result

    async def _try_once(self, body: Mapping[str, Any], limit: Deadline) -> Result:
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                return _result(await self._post_authorised(body, limit))
            except BusyError as busy:
                wait = random.uniform(0, _FIRST_PAUSE * 2**attempt)  # noqa: S311  full jitter
                wait = max(wait, busy.after or 0.0)
                if attempt == _MOST_TRIES or wait + _WORTH_TRYING > limit.left:
                    raise busy.error from busy
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _post_authorised(self, body: Mapping[str, Any], limit: Deadline) -> Reply:
        """Once with the token there is, and if that is refused once with a new one."""
        for last in (False, True):
            token = await self._tokens.get()
            async with self._limiter.turn(background=in_background()):
                reply = await self._transport.graphql(token, body, limit.left)
            problem = problems.by_status(reply.status, reply.retry_after)
            if not isinstance(problem, RejectedTokenError):
                self._tokens.on_accepted(token)
                if problem is not None:
                    raise problem
                return reply
            if not self._tokens.on_refused(token) or last:
                break
        raise problems.lasting(Fault.TOKEN_REFUSED)

    async def aclose(self) -> None:
        await self._tokens.aclose()
        await self._transport.aclose()


def _result(reply: Reply) -> Result:
    body = reply.body
    if not isinstance(body, dict):
        raise (
            problems.lasting(Fault.MALFORMED_REPLY, status=reply.status)
            if reply.status >= 400
            else problems.passing(Fault.BROKEN)
        )
    given = body.get("errors")
    errors = tuple(error for error in given if isinstance(error, dict)) if isinstance(given, list) else ()
    problem = problems.by_errors(reply.status, errors)
    if problem is not None:
        raise problem
    data = body.get("data")
    if data is None and not errors:
        raise problems.lasting(Fault.MALFORMED_REPLY, status=reply.status)
    return Result(data if isinstance(data, dict) else None, errors)
