"""The admin endpoints of a running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tilores_core.errors import ConfigError, TiloresError
from tilores_core.settings.data_folder import read_key

if TYPE_CHECKING:
    from tilores_core.settings import Environment

SECONDS: Final = 10.0
MAX_BYTES: Final = 10 * 1024 * 1024
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Server:
    """The server at `url`, such as `http://127.0.0.1:8000`; `key`: one of its admin keys.

    Its methods raise `TiloresError` with what to do about it.
    """

    url: str
    key: str | None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "this is not the address of a server", where="--url", fix="write it like http://127.0.0.1:8000"
            )

    @classmethod
    def of(cls, environment: Environment, url: str, key: str | None) -> Server:
        """With the admin key that was given, else the first of TILORES_ADMIN_KEYS, else, for a server on this machine
        alone, the one that was generated into the data folder."""
        if key is None and environment.admin_keys:
            key = next(iter(environment.admin_keys.values())).get_secret_value()
        if key is None and urlsplit(url).hostname in _LOOPBACK:
            key = read_key(environment.data_dir, "admin")
        return cls(url, key)

    async def get(self, path: str, *keys: str) -> dict[str, Any]:
        """`keys`: those that the JSON object of the reply has at least."""
        return await self._send("GET", path, keys)

    async def post(self, path: str, body: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        return await self._send("POST", path, keys, body)

    async def delete(self, path: str, *keys: str) -> dict[str, Any]:
        return await self._send("DELETE", path, keys)

    async def _send(
        self, method: str, path: str, keys: tuple[str, ...], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        import httpx  # not for help

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        uses_proxy = urlsplit(self.url).hostname not in _LOOPBACK
        data = bytearray()
        try:
            # Redirects are not followed: they would carry the admin key to wherever they point.
            async with (
                asyncio.timeout(SECONDS),
                httpx.AsyncClient(trust_env=uses_proxy, timeout=SECONDS) as client,
                client.stream(method, self.url.rstrip("/") + path, json=body, headers=headers) as reply,
            ):
                async for piece in reply.aiter_bytes():
                    data += piece
                    if len(data) > MAX_BYTES:
                        break
            if reply.status_code >= 300:
                raise self._refusal(reply.status_code, data)
            found = json.loads(data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # or it is late, or not JSON
            said = str(error) or f"{type(error).__name__}, {SECONDS:g} s are given"
            fix = "start the server, or correct its address"
            raise TiloresError(f"no answer of tilores at {self.url}: {said}", fix=fix) from None
        if not isinstance(found, dict) or not found.keys() >= set(keys):
            raise TiloresError(
                f"the answer of {self.url} cannot be read", fix="is this the address of a tilores server?"
            )
        return found

    def _refusal(self, status: int, data: bytearray) -> TiloresError:
        if status < 400:
            return TiloresError(f"{self.url} points elsewhere", fix="give the server's own address with --url")
        if status == 401:
            given = "the admin key is wrong" if self.key else "it wants an admin key"
            return TiloresError(
                f"{self.url} refuses: {given}",
                fix="set TILORES_ADMIN_KEYS or TILORES_DATA_DIR as the server has it, or give --admin-key",
            )
        try:
            said = json.loads(data)
            return TiloresError(f"{self.url} refuses: {said['detail']}", fix=said.get("fix"))
        except (ValueError, TypeError, KeyError):
            return TiloresError(
                f"{self.url} answers with status {status}", fix="is this the address of a tilores server?"
            )
