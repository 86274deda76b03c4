"""Railway's API: calls with a deadline, its errors as `DeployError`, its rate limits respected."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from tilores_core import DeployError, __version__
from tilores_core.llm import parse_retry_after
from tilores_plugins.deploy.railway.settings import Settings

_LONGEST_WAIT: Final = 300.0
_FIRST_PAUSE: Final = 0.5
_TRIES: Final = 4
_UNAUTHORIZED: Final = "not authorized"


class NotAuthorizedError(DeployError):
    """The token is dead, or it is alive and has no right to this: Railway says the same for both."""


class UnclearError(DeployError):
    """A call failed so that it may have been carried out."""


class RailwayApi:
    """One connection pool. `wait_unit`: seconds of a second, less in tests."""

    def __init__(self, settings: Settings, *, wait_unit: float = 1.0) -> None:
        if settings.token is None:
            raise DeployError(
                "there is no Railway token",
                fix="make a project token in the project's settings on Railway, and set RAILWAY_TOKEN",
            )
        token = settings.token.get_secret_value()
        header = {"Authorization": f"Bearer {token}"} if settings.account_token else {"Project-Access-Token": token}
        self._unit = wait_unit
        self._client = httpx.AsyncClient(
            base_url=settings.api_url,
            headers={**header, "User-Agent": f"tilores-core/{__version__}"},
            timeout=settings.timeout_seconds,
            follow_redirects=False,
        )

    async def query(self, document: str, **variables: Any) -> Mapping[str, Any]:
        """Tried again when it fails in a way that may pass. Raises `DeployError`."""
        for attempt in range(_TRIES):
            try:
                return await self.call(document, **variables)
            except UnclearError:
                if attempt == _TRIES - 1:
                    raise
                await self.pause(_FIRST_PAUSE * 2**attempt * (0.75 + random.random() / 2))  # noqa: S311
        raise AssertionError

    async def call(self, document: str, **variables: Any) -> Mapping[str, Any]:
        """Once, but for a rate limit, which refuses before anything is done. Raises `DeployError`, `UnclearError`."""
        response = await self._send("/graphql/v2", json={"query": document, "variables": variables})
        data, errors = _parts(response)
        if errors:
            raise _error(errors)
        return data

    async def upload(
        self, archive: bytes, *, project: str, environment: str, service: str, message: str
    ) -> str | None:
        """Send the sources, which begins a deployment; its id where Railway says it. Raises as `call`."""
        path = f"/project/{quote(project)}/environment/{quote(environment)}/up"
        response = await self._send(
            path,
            params={"serviceId": service, "message": message},
            content=archive,
            headers={"Content-Type": "application/gzip"},
        )
        if response.status_code == 413:
            raise DeployError("Railway refuses the upload as too large", fix="keep files out of it by .gitignore")
        if response.status_code != 200:
            raise DeployError(f"Railway refuses the upload with {response.status_code}")
        body = _json(response)
        found = body.get("deploymentId") or body.get("id") if isinstance(body, dict) else None
        return found if isinstance(found, str) else None

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._unit)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self, path: str, **request: Any) -> httpx.Response:
        waited = 0.0
        while True:
            try:
                response = await self._client.post(path, **request)
            except httpx.ConnectError:
                raise UnclearError("Railway cannot be reached", fix="check the network and RAILWAY_API_URL") from None
            except httpx.HTTPError as error:
                raise UnclearError(f"Railway did not answer ({type(error).__name__})", fix="try again") from None
            if response.status_code == 429:
                after = parse_retry_after(response.headers)
                seconds = 5.0 if after is None else max(after, 0.1)
                waited += seconds
                if waited > _LONGEST_WAIT:
                    raise DeployError(
                        f"Railway's rate limit is used up; it asks to wait {seconds:g} s",
                        fix="run the same command again then: it goes on where it was",
                    )
                await self.pause(seconds)
                continue
            if response.status_code in (401, 403):
                raise _not_authorized()
            if response.status_code >= 500:
                raise UnclearError(f"Railway answered {response.status_code}", fix="try again later")
            return response


def _parts(response: httpx.Response) -> tuple[Mapping[str, Any], list[str]]:
    """The data and the messages of errors. Railway's errors come with status 200, and with 400."""
    body = _json(response)
    if not isinstance(body, dict):
        raise UnclearError(f"Railway answered {response.status_code} with something that is not GraphQL")
    errors = body.get("errors")
    if isinstance(errors, list) and errors:
        return {}, [str(error.get("message", "")) if isinstance(error, dict) else "" for error in errors]
    data = body.get("data")
    if not isinstance(data, dict):
        raise UnclearError(f"Railway answered {response.status_code} without data")
    return data, []


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _error(messages: list[str]) -> DeployError:
    """Railway's first message, shortened, and without what was sent."""
    first = " ".join(messages[0].split())[:300]
    if _UNAUTHORIZED in first.lower():
        return _not_authorized()
    if "invalid value" in first:  # such a message quotes what was sent
        first = "a value that it does not take"
    return DeployError(f"Railway refuses: {first or 'without a message'}", fix="tilores deploy check")


def _not_authorized() -> NotAuthorizedError:
    return NotAuthorizedError(
        "Railway says: Not Authorized",
        fix="the token was removed, or it is that of another project or environment: make a project token for this "
        "environment and set RAILWAY_TOKEN",
    )
