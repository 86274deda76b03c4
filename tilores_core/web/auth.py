"""API keys: generated where there are none, compared in constant time; and what a server without keys refuses."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from tilores_core.contracts import DEFAULT_CALLER, Caller
from tilores_core.errors import AuthenticationError, ConfigError, PermissionDeniedError
from tilores_core.settings import Config, Environment, KeyTable
from tilores_core.settings.data_folder import KEY_VARIABLES, KeyKind, generate_key, key_file
from tilores_core.web.rate_limit import FailedAuthentication, peer_of

_BEARER = b"bearer "
_LOCAL_NAMES = (b"localhost", b"127.0.0.1", b"[::1]")
_GENERATED = "generated"

log = structlog.get_logger(part="keys")


class KeyRing:
    """The keys of one kind. `open`: requests are let in without a key, as the anonymous caller.

    Keys are kept and looked up as digests salted at random in this process: how long a look-up takes tells nothing
    about a secret, and no secret is kept.
    """

    def __init__(
        self,
        kind: KeyKind,
        keys: Mapping[str, SecretStr],
        tables: Mapping[str, KeyTable],
        failures: FailedAuthentication,
    ) -> None:
        self._failures = failures
        self._salt = secrets.token_bytes(32)
        self._fix = (
            f"send the header 'Authorization: Bearer KEY'; the key is in {KEY_VARIABLES[kind]} of the server, "
            f"or in {kind}.key in its data folder"
        )
        is_admin = kind == "admin"
        self._callers: dict[bytes, Caller] = {}
        for name, secret in keys.items():
            table = tables.get(name, KeyTable())
            self._callers[self._digest(secret.get_secret_value().encode())] = Caller(
                name=name, scope=table.scope, search=table.search, admin=is_admin
            )
        self.open = not self._callers and not is_admin

    def _digest(self, secret: bytes) -> bytes:
        return hashlib.sha256(self._salt + secret).digest()

    def accepts(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the request carries a key of this kind; `authenticate` decides whether it may pass."""
        given = headers.get(b"authorization", b"")
        return given[:7].lower() == _BEARER and self._digest(given[7:].strip()) in self._callers

    def authenticate(self, headers: Mapping[bytes, bytes], scope: Mapping[str, Any]) -> Caller:
        """The caller of `Authorization: Bearer <key>`; the value is ignored when there are no keys.

        `scope`: the request's ASGI scope. Raises `AuthenticationError`; `RateLimitedError` after many failures.
        """
        if self.open:
            return DEFAULT_CALLER
        given = headers.get(b"authorization", b"")
        is_bearer = given[:7].lower() == _BEARER
        caller = self._callers.get(self._digest(given[7:].strip())) if is_bearer else None
        peer = peer_of(scope)
        if caller is not None and self._failures.is_known(peer, caller.name):
            return caller
        self._failures.check(peer)
        if caller is None:
            self._failures.record_failure(peer)
            said = "the API key is wrong" if is_bearer else "no API key was given"
            raise AuthenticationError(said, fix=self._fix)
        self._failures.record_success(peer, caller.name)
        return caller


class Authenticator:
    """Chat keys and admin keys, apart: neither kind is accepted for the other. There is always an admin key.

    `folder`: where the processes of a server keep what they share; None for a server of one process.
    """

    def __init__(self, environment: Environment, config: Config, folder: Path | None) -> None:
        failures = FailedAuthentication(config.chat.failed_authentications, folder)
        self.chat = KeyRing("chat", environment.api_keys, config.keys, failures)
        self.admin = KeyRing("admin", environment.admin_keys, {}, failures)
        self.loopback = is_loopback(environment.host)

    @property
    def local_only(self) -> bool:
        """Whether the server answers to local requests alone: it has no chat keys and is bound to loopback."""
        return self.loopback and self.chat.open

    def metrics(self, scope: Mapping[str, Any]) -> None:
        """Let a request for `/metrics` pass: a local one, and any with a chat or an admin key.

        Raises `AuthenticationError`.
        """
        headers = dict(scope["headers"])
        if self.loopback and refuse_foreign(headers) is None:
            return
        ring = self.chat if self.chat.accepts(headers) else self.admin
        ring.authenticate(headers, scope)


def provide_keys(environment: Environment, *, synthetic: bool) -> Environment:
    """The environment with the keys that it lacks, which are generated into the data folder on the first start.

    There is always an admin key. A chat key is generated unless all customers are `synthetic`
    (`PluginHost.has_synthetic_customers`), or the environment allows anonymous questions. A generated key is
    printed once, on standard error and not into the log; where the log is JSON (it is collected then) only the
    place of the key is logged.
    Raises `ConfigError` when a key cannot be kept.
    """
    wanted: dict[KeyKind, str] = {}
    if not environment.admin_keys:
        wanted["admin"] = "admin_keys"
    if not environment.api_keys and not environment.allow_anonymous and not synthetic:
        wanted["chat"] = "api_keys"
    keys: dict[str, dict[str, SecretStr]] = {}
    for kind, field in wanted.items():
        key, is_new = generate_key(environment.data_dir, kind)
        keys[field] = {_GENERATED: SecretStr(key)}
        if is_new:
            path = key_file(environment.data_dir, kind)
            log.warning("keys.generated", kind=kind, file=str(path))
            if environment.log_format == "console":
                sys.stderr.write(_introduce(kind, key, path, environment))
    return environment.model_copy(update=keys)


def describe_keys(environment: Environment, *, synthetic: bool) -> dict[KeyKind, str]:
    """Where the keys of each kind are, for the start-up message; or who may chat without any."""
    chat = str(key_file(environment.data_dir, "chat"))
    if environment.api_keys:
        chat = "TILORES_API_KEYS"
    elif environment.allow_anonymous:
        chat = "none: everyone who reaches the server may ask (TILORES_ALLOW_ANONYMOUS)"
    elif synthetic:
        chat = "none: demo customers, for this machine alone"
    admin = "TILORES_ADMIN_KEYS" if environment.admin_keys else str(key_file(environment.data_dir, "admin"))
    return {"chat": chat, "admin": admin}


def _introduce(kind: KeyKind, key: str, path: Path, environment: Environment) -> str:
    host = f"[{environment.host}]" if ":" in environment.host else environment.host
    url = f"http://{host}:{environment.port or 'PORT'}"
    if kind == "admin":
        use = "`tilores` on this machine uses it by itself; other programs send it:"
        example = f"{url}/admin/cache"
    else:
        use = "Clients send it as their API key:"
        example = f"{url}/v1/models"
    return f"""
  A new {kind} key was generated. It is shown only this once and kept in
  {path}

      {key}

  {use}
      curl -H "Authorization: Bearer {key}" {example}
  To use keys of your own, set {KEY_VARIABLES[kind]}=name:secret
"""


def require_key(kind: KeyKind) -> Callable[[Request], Caller]:
    """A FastAPI dependency that lets a request pass with a key of this kind and returns its `Caller`.

        @router.get("/settings")
        def settings(caller: Annotated[Caller, Depends(require_key("admin"))]) -> dict[str, str]: ...

    Without a key, or with a wrong one, the request is answered with 401 and what to send.
    """

    def authenticate(request: Request) -> Caller:
        authenticator: Authenticator = request.app.state.authenticator
        ring = authenticator.admin if kind == "admin" else authenticator.chat
        return ring.authenticate(dict(request.scope["headers"]), request.scope)

    return authenticate


def route_with_key(kind: KeyKind) -> type[APIRoute]:
    """Routes that need a key, which is looked at before the body is read; it is in `request.state.caller`."""
    authenticate = require_key(kind)

    class KeyedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def authenticated(request: Request) -> Response:
                request.state.caller = authenticate(request)
                return await handle(request)

            return authenticated

    return KeyedRoute


def refuse_foreign(headers: Mapping[bytes, bytes], origins: Collection[bytes] = ()) -> PermissionDeniedError | None:
    """Why a server without keys refuses this request, or None for a local one.

    A proxy's clients are not local, and the proxy tells that it forwards by a header (some do not by default, so
    that nothing but demo data may be served without keys). A web page elsewhere may point its own name at this
    machine, or post here without reading the reply; the browser then sends the name, or the origin. `origins` are
    those that may (`*` for all).
    """
    names = b"\n".join(headers)
    if b"forwarded" in names or b"x-real-ip" in headers or b"via" in headers:
        return PermissionDeniedError("without keys this server refuses requests that a proxy forwards", fix=_KEYS)
    if not _is_local(headers.get(b"host", b"")):
        return PermissionDeniedError("without keys this server answers only requests to a local name", fix=_KEYS)
    origin = headers.get(b"origin")
    if origin is None or origin in origins or b"*" in origins or _is_local(origin.partition(b"://")[2]):
        return None
    return PermissionDeniedError("without keys this server answers no page from elsewhere", fix=_KEYS)


_KEYS = (
    "set TILORES_API_KEYS=name:secret and send the key, or call it as http://127.0.0.1 without a proxy; if everyone "
    "may ask, set TILORES_ALLOW_ANONYMOUS=true and TILORES_HOST=0.0.0.0"
)


@lru_cache(maxsize=64)
def _is_local(host: bytes) -> bool:
    """Whether a `Host` header names this machine."""
    name, _, port = host.rpartition(b":")
    name = (name if port.isdigit() and name else host).lower()
    return name in _LOCAL_NAMES or is_loopback(name.decode("latin-1"))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(environment: Environment) -> None:
    """Refuse to serve customers' data beyond this machine to everyone who asks. Raises `ConfigError`."""
    if is_loopback(environment.host) or environment.api_keys or environment.allow_anonymous:
        return
    raise ConfigError(
        f"the server would be reachable at {environment.host} without any API key",
        where="TILORES_HOST",
        fix="set TILORES_API_KEYS=name:secret, or TILORES_ALLOW_ANONYMOUS=true if that is really meant",
    )


def check_key_tables(environment: Environment, tables: Mapping[str, KeyTable]) -> None:
    """`[keys.NAME]` must name a key that exists. Raises `ConfigError`."""
    unknown = sorted(set(tables) - set(environment.api_keys))
    if unknown and environment.api_keys:
        raise ConfigError(
            f"there is no API key named {unknown[0]!r}",
            where=f"plugins.toml: [keys.{unknown[0]}]",
            fix=f"TILORES_API_KEYS names {', '.join(sorted(environment.api_keys))}",
        )
