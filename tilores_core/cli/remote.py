"""The admin endpoints of a running server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
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


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the admin key to wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


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

    def get(self, path: str, *keys: str) -> dict[str, Any]:
        """`keys`: those that the JSON object of the reply has at least."""
        return self._send("GET", path, keys)

    def post(self, path: str, body: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        return self._send("POST", path, keys, json.dumps(body).encode())

    def delete(self, path: str, *keys: str) -> dict[str, Any]:
        return self._send("DELETE", path, keys)

    def _send(self, method: str, path: str, keys: Sequence[str], data: bytes | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)  # noqa: S310  # http(s), see above
        handlers: list[Any] = [_NoRedirects]
        if urlsplit(self.url).hostname in _LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as reply:
                found = json.loads(reply.read(MAX_BYTES))
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from None
        except (OSError, ValueError) as error:  # no connection, no answer in time, or not JSON
            reason = getattr(error, "reason", error)
            raise TiloresError(
                f"no answer of tilores at {self.url}: {reason}", fix="is the server running, and at this address?"
            ) from None

        if not isinstance(found, dict) or not found.keys() >= set(keys):
            raise TiloresError(
                f"the answer of {self.url} cannot be read", fix="is this the address of a tilores server?"
            )
        return found

    def _refusal(self, error: urllib.error.HTTPError) -> TiloresError:
        if error.code in (301, 302, 303, 307, 308):
            return TiloresError(f"{self.url} points elsewhere", fix="give the server's own address with --url")
        if error.code == 401:
            given = "the admin key is wrong" if self.key else "it wants an admin key"
            return TiloresError(
                f"{self.url} refuses: {given}",
                fix="set TILORES_ADMIN_KEYS or TILORES_DATA_DIR as the server has it, or give --admin-key",
            )
        try:
            said = json.loads(error.read(MAX_BYTES))
            detail, fix = said["detail"], said.get("fix")
        except (OSError, ValueError, TypeError, KeyError):
            return TiloresError(
                f"{self.url} answers with status {error.code}", fix="is this the address of a tilores server?"
            )
        return TiloresError(f"{self.url} refuses: {detail}", fix=fix)
