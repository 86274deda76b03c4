"""HTTP clients for the SDKs: bounded, with time-outs, and on aiohttp where that is installed.

httpx spends much time on a call when many are in flight (`benchmarks/providers` measures it); aiohttp does the same
work in a fraction, and `httpx-aiohttp` puts it below an ordinary httpx client. SDKs speak httpx or its successor
httpx2, and want a client of their own kind: `library_of` says which.

A client belongs to the event loop of its first call: aiohttp's part is made then, so a client may be made anywhere.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_CLOSE_SECONDS: Final = 3.0


def library_of(sdk: ModuleType) -> str:
    """Return `httpx` or `httpx2`: the library that an SDK is built on, by the `Timeout` that it exports."""
    timeout = getattr(sdk, "Timeout", None)
    # Not by the class's __module__: some SDKs write their own name there.
    newer = sys.modules.get("httpx2")
    return "httpx2" if newer is not None and newer.Timeout is timeout else "httpx"


class HttpClients:
    """The HTTP clients of one provider. `read_seconds`: the longest silence; `connect_seconds`: to get a connection,
    be it a new one or a turn in the pool. Proxies are taken from the environment, as httpx does."""

    def __init__(self, *, read_seconds: float, connect_seconds: float, max_connections: int) -> None:
        self._read = read_seconds
        self._connect = connect_seconds
        self._connections = max_connections
        self._lock = threading.Lock()  # chat models are made in threads
        self._async: dict[tuple[str, str], Any] = {}
        self._sync: dict[tuple[str, str], Any] = {}

    def async_client(self, library: str = "httpx", *, aiohttp: bool = True, name: str = "", **extra: Any) -> Any:
        """The shared asynchronous client (`httpx.AsyncClient` or `httpx2.AsyncClient`); the same one each time.

        `extra` goes to its constructor (`base_url`, `headers`); clients with another `extra` need another `name`.
        With `aiohttp=False`, or where httpx-aiohttp is not installed, it is a plain one.
        """
        key = (library, name)
        with self._lock:
            if key not in self._async:
                kind = (_aiohttp_client(library) if aiohttp else None) or import_module(library).AsyncClient
                self._async[key] = kind(**self._options(library), **extra)
            return self._async[key]

    def sync_client(self, library: str = "httpx", *, name: str = "", **extra: Any) -> Any:
        """The shared blocking client, for those who call a chat model's `invoke`; the same one each time."""
        key = (library, name)
        with self._lock:
            if key not in self._sync:
                self._sync[key] = import_module(library).Client(**self._options(library), **extra)
            return self._sync[key]

    def timeout(self, library: str = "httpx") -> Any:
        """The time-outs as a `Timeout` of the library, for SDKs that set their own on every request."""
        return import_module(library).Timeout(
            connect=self._connect, read=self._read, write=self._read, pool=self._connect
        )

    def tls(self, library: str = "httpx") -> ssl.SSLContext:
        """What the clients check certificates with, for SDKs that would make another: reading the authorities takes
        longer than a call does, so it is done once in a process."""
        return _tls(library, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    async def aclose(self) -> None:
        """Close them all; calls under way fail. May be called again."""
        with self._lock:
            clients, self._async = list(self._async.values()), {}
            blocking, self._sync = list(self._sync.values()), {}
        for client in blocking:
            client.close()
        closing = asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)
        async with asyncio.timeout(_CLOSE_SECONDS):
            await closing

    def _options(self, library: str) -> dict[str, Any]:
        module = import_module(library)
        limits = module.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections, keepalive_expiry=30.0
        )
        return {
            "verify": self.tls(library),
            "timeout": self.timeout(library),
            "limits": limits,
            "follow_redirects": False,
        }


@lru_cache(maxsize=8)
def _tls(library: str, cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """The library's own choice of authorities, which may depend on those variables."""
    context: ssl.SSLContext = import_module(library).create_ssl_context()
    return context


def _aiohttp_client(library: str) -> Any | None:
    """The client class over aiohttp, None where httpx-aiohttp is not installed."""
    try:
        if library == "httpx2":
            return import_module("httpx_aiohttp.httpx2").Httpx2AiohttpClient
        return import_module("httpx_aiohttp").HttpxAiohttpClient
    except ImportError:
        return None
