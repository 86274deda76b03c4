"""Whether a deployment works, asked as its callers ask it: is it ready, and does it answer."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from tilores_core.errors import DeployError

_PROBE_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_IN_A_ROW: Final = 3
"""So many readiness checks must fail one after another while a deployment is watched: one may meet a restart of the
platform's proxy."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment's public address, without a slash at its end. `key`: a chat key, None where none is needed."""

    url: str
    health_path: str
    key: SecretStr | None = None

    async def wait_until_ready(self, seconds: float) -> float:
        """Ask until the health path answers 200; the seconds that it took. Raises `DeployError` after `seconds`."""
        loop = asyncio.get_running_loop()
        started, pause, last = loop.time(), _FIRST_PAUSE, "no answer"
        while True:
            last = await asyncio.to_thread(self._probe)
            took = loop.time() - started
            if last == "200":
                return took
            if took + pause > seconds:
                raise DeployError(
                    f"{self.health_path} did not answer 200 within {seconds:g} s; last: {last}",
                    fix="see its log: tilores deploy logs",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def stays_ready(self, seconds: float) -> None:
        """Ask for so long, and raise `DeployError` when it stops being ready."""
        loop = asyncio.get_running_loop()
        until, failed, pause = loop.time() + seconds, 0, min(1.0, max(seconds / 10, 0.05))
        while loop.time() < until:
            answer = await asyncio.to_thread(self._probe)
            failed = 0 if answer == "200" else failed + 1
            if failed == _IN_A_ROW:
                raise DeployError(
                    f"{self.health_path} stopped answering 200 soon after the deployment; last: {answer}",
                    fix="see its log: tilores deploy logs",
                )
            await asyncio.sleep(pause)

    async def ask(self, question: str, *, model: str, seconds: float) -> None:
        """Ask one question, as a client of OpenAI's protocol. Raises `DeployError` without an answer in time."""
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        try:
            reply = await asyncio.to_thread(self._send, "/v1/chat/completions", seconds, body)
            content = json.loads(reply)["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise DeployError(
                    f"the test question was refused with {error.code}",
                    fix="the first key of TILORES_API_KEYS here must be one of those there",
                ) from None
            raise DeployError(
                f"the test question got {error.code} instead of an answer", fix="see its log: tilores deploy logs"
            ) from None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DeployError(
                f"the test question got no answer within {seconds:g} s ({type(error).__name__})",
                fix="see its log: tilores deploy logs",
            ) from None
        if not isinstance(content, str) or not content.strip():
            raise DeployError("the test question got an empty answer", fix="see its log: tilores deploy logs")

    def _probe(self) -> str:
        """The status of the health path, or why there is none."""
        try:
            self._send(self.health_path, _PROBE_SECONDS)
        except urllib.error.HTTPError as error:
            return str(error.code)
        except (OSError, ValueError) as error:
            return type(error).__name__
        return "200"

    def _send(self, path: str, seconds: float, body: Any = None) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "tilores-deploy"}
        if self.key is not None and body is not None:
            headers["Authorization"] = f"Bearer {self.key.get_secret_value()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310  # a target's http(s) address
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=seconds) as reply:
            text: bytes = reply.read(_MOST_BYTES)
            return text


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
