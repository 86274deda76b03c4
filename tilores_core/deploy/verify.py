"""Whether a deployment works, asked as its callers ask it: is it ready, and does it answer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import httpx
from pydantic import SecretStr

from tilores_core.errors import DeployError

_PROBE_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_IN_A_ROW: Final = 3
"""So many readiness checks must fail one after another while a deployment is watched: one may meet a restart of the
platform's proxy."""
_SEE_LOG: Final = "see its log: tilores deploy logs"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment's public address, without a slash at its end. `key`, `admin_key`: one of its chat keys and of its
    admin keys; None where it is not known here."""

    url: str
    health_path: str
    key: SecretStr | None = None
    admin_key: SecretStr | None = None

    async def wait_until_ready(self, seconds: float) -> float:
        """Ask until the health path answers 200; the seconds that it took. Raises `DeployError` after `seconds`."""
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), _FIRST_PAUSE
        while (last := await self._probe()) != "200":
            if loop.time() - started + pause > seconds:
                raise DeployError(
                    f"{self.health_path} did not answer 200 within {seconds:g} s; last: {last}", fix=_SEE_LOG
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return loop.time() - started

    async def stays_ready(self, seconds: float) -> None:
        """Ask for so long, and raise `DeployError` when it stops being ready."""
        loop = asyncio.get_running_loop()
        until, failed, pause = loop.time() + seconds, 0, min(1.0, max(seconds / 10, 0.05))
        while loop.time() < until:
            answer = await self._probe()
            failed = 0 if answer == "200" else failed + 1
            if failed == _IN_A_ROW:
                raise DeployError(
                    f"{self.health_path} stopped answering 200 soon after the deployment; last: {answer}",
                    fix=_SEE_LOG,
                )
            await asyncio.sleep(pause)

    async def ask(self, question: str, *, model: str, seconds: float) -> None:
        """Ask one question, as a client of OpenAI's protocol. Raises `DeployError` without an answer in time."""
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        try:
            status, reply = await self._send("/v1/chat/completions", seconds, body, self.key)
            content = json.loads(reply)["choices"][0]["message"]["content"] if status == 200 else ""
        except (httpx.HTTPError, OSError, ValueError, LookupError, TypeError) as error:
            raise DeployError(
                f"the test question got no answer within {seconds:g} s ({type(error).__name__})", fix=_SEE_LOG
            ) from None
        if status in (401, 403):
            raise DeployError(
                f"the test question was refused with {status}",
                fix="the first key of TILORES_API_KEYS here must be one of those there",
            )
        if status != 200:
            raise DeployError(f"the test question got {status} instead of an answer", fix=_SEE_LOG)
        if not isinstance(content, str) or not content.strip():
            raise DeployError("the test question got an empty answer", fix=_SEE_LOG)

    async def report(self, moment: str, **body: str) -> str | None:
        """Report the `begin` or the `end` of a roll-out to `/admin/deploy`; why that failed, None when it did not."""
        if self.admin_key is None:
            return "TILORES_ADMIN_KEYS is not set here"
        try:
            status, _ = await self._send(f"/admin/deploy/{moment}", _PROBE_SECONDS, body, self.admin_key)
        except (httpx.HTTPError, OSError, ValueError) as error:
            return type(error).__name__
        return None if status == 200 else f"it answers {status}"

    async def _probe(self) -> str:
        """The status of the health path, or why there is none."""
        try:
            return str((await self._send(self.health_path, _PROBE_SECONDS))[0])
        except (httpx.HTTPError, OSError, ValueError) as error:
            return type(error).__name__

    async def _send(
        self, path: str, seconds: float, body: Any = None, key: SecretStr | None = None
    ) -> tuple[int, bytes]:
        headers = {"User-Agent": "tilores-deploy"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        # Redirects are not followed: they would carry the key to wherever they point.
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(timeout=seconds) as client,
            client.stream("GET" if body is None else "POST", self.url + path, json=body, headers=headers) as reply,
        ):
            data = bytearray()
            async for piece in reply.aiter_bytes():
                data += piece
                if len(data) > _MOST_BYTES:
                    raise ValueError("too long")
            return reply.status_code, bytes(data)
