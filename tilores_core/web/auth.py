"""API keys: who asks, compared in constant time, and what an unprotected server may be bound to."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Literal

from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from tilores_core.contracts import DEFAULT_CALLER, Caller
from tilores_core.errors import AuthenticationError, ConfigError, PermissionDeniedError
from tilores_core.settings import Environment, KeyTable

_BEARER = b"bearer "
_LOCAL_NAMES = (b"localhost", b"127.0.0.1", b"[::1]")

FOREIGN_HOST = PermissionDeniedError(
    "without keys this server answers only to requests made to localhost, and to no page from elsewhere",
    fix="call it as http://127.0.0.1, or set TILORES_API_KEYS and TILORES_ADMIN_KEYS",
)


class KeyRing:
    """The keys of one kind. Without any, everybody is let in as the anonymous caller (`open` is True).

    Keys are kept and looked up as digests salted at random in this process: how long a look-up takes tells nothing
    about a secret, and no secret is kept.
    """

    def __init__(self, keys: Mapping[str, SecretStr], tables: Mapping[str, KeyTable], *, admin: bool = False) -> None:
        self._salt = secrets.token_bytes(32)
        self._callers: dict[bytes, Caller] = {}
        for name, secret in keys.items():
            table = tables.get(name, KeyTable())
            self._callers[self._digest(secret.get_secret_value().encode())] = Caller(
                name=name, scope=table.scope, search=table.search, admin=admin
            )
        self.open = not self._callers

    def _digest(self, secret: bytes) -> bytes:
        return hashlib.sha256(self._salt + secret).digest()

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of `Authorization: Bearer <key>`; the value is ignored when there are no keys.

        Raises `AuthenticationError`.
        """
        if self.open:
            return DEFAULT_CALLER
        given = headers.get(b"authorization", b"")
        if given[:7].lower() != _BEARER:
            raise AuthenticationError("no API key was given", fix="send the header 'Authorization: Bearer <key>'")
        caller = self._callers.get(self._digest(given[7:].strip()))
        if caller is None:
            raise AuthenticationError("the API key is wrong", fix="check the key in 'Authorization: Bearer <key>'")
        return caller


class Authenticator:
    """Chat keys and admin keys, apart. `loopback`: the server is reachable from this machine alone."""

    def __init__(self, environment: Environment, tables: Mapping[str, KeyTable]) -> None:
        self.chat = KeyRing(environment.api_keys, tables)
        self._admin = KeyRing(environment.admin_keys, {}, admin=True)
        self.loopback = is_loopback(environment.host)

    @property
    def admin_open(self) -> bool:
        """There are no admin keys."""
        return self._admin.open

    def admin(self, headers: Mapping[bytes, bytes]) -> Caller:
        """An admin. Without admin keys only a server bound to loopback lets anybody be one, and only those who call
        it by a local name: not a page whose name was pointed here, not a proxy's clients."""
        if self._admin.open:
            if not self.loopback:
                raise PermissionDeniedError(
                    "administration is off: the server is reachable from outside and has no admin keys",
                    fix="set TILORES_ADMIN_KEYS",
                )
            if not is_from_here(headers):
                raise FOREIGN_HOST
        return self._admin.authenticate(headers)

    def metrics(self, headers: Mapping[bytes, bytes]) -> None:
        """Who may read `/metrics`: everybody on this machine, elsewhere who has a chat or an admin key.

        Raises `AuthenticationError`, `PermissionDeniedError`.
        """
        if self.loopback and is_from_here(headers):
            return
        rings = [ring for ring in (self.chat, self._admin) if not ring.open]
        if not rings:
            raise PermissionDeniedError(
                "without keys the metrics can be read on this machine alone",
                fix="set TILORES_API_KEYS or TILORES_ADMIN_KEYS",
            )
        for ring in rings[:-1]:
            with suppress(AuthenticationError):
                ring.authenticate(headers)
                return
        rings[-1].authenticate(headers)


def require_key(kind: Literal["chat", "admin"]) -> Callable[[Request], Caller]:
    """A FastAPI dependency that lets a request pass with a key of this kind and returns its `Caller`.

        @router.get("/settings")
        def settings(caller: Annotated[Caller, Depends(require_key("admin"))]) -> dict[str, str]: ...

    Without a key, or with a wrong one, the request is answered with 401 and what to send.
    """

    def authenticate(request: Request) -> Caller:
        authenticator: Authenticator = request.app.state.authenticator
        headers = dict(request.scope["headers"])
        return authenticator.admin(headers) if kind == "admin" else authenticator.chat.authenticate(headers)

    return authenticate


def keyed_route(kind: Literal["chat", "admin"]) -> type[APIRoute]:
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


def is_from_here(headers: Mapping[bytes, bytes], origins: Collection[bytes] = ()) -> bool:
    """Whether a request to an open server was made to a local name, and by no page from elsewhere.

    A page may point its own name at this machine, or post here blindly; the browser tells the name, or the origin.
    `origins` are those that may (`*` for all).
    """
    if not is_local(headers.get(b"host", b"")):
        return False
    origin = headers.get(b"origin")
    return origin is None or origin in origins or b"*" in origins or is_local(origin.partition(b"://")[2])


def is_local(host: bytes) -> bool:
    """Whether a Host header names this machine: a page elsewhere whose name was pointed here does not get in."""
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
    """Refuse to serve customers' data beyond this machine to anybody who asks. Raises `ConfigError`."""
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
