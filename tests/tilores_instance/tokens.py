"""The token endpoint: OAuth 2.0 client credentials as AWS Cognito answers them, with its bad days."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from aiohttp import web

from tests.tilores_instance.recording import SeenTokenRequest, kept_token_requests
from tests.tilores_instance.replies import dropped, json_reply

PRIVILEGES: Final = (
    "query.search",
    "query.entity",
    "query.metrics",
    "mutation.submit",
    "mutation.disassemble",
    "mutation.removeConnectionBan",
)


@dataclass(slots=True)
class Client:
    secret: str
    scopes: set[str]


@dataclass(frozen=True, slots=True)
class Token:
    scopes: frozenset[str]
    ends: float


@dataclass(slots=True)
class TokenEndpoint:
    """`expires_in` is what a new token's answer says, in seconds; it is valid for `valid_seconds` instead when set.

    Bad days, each until switched off: `down` resets every connection, `hanging` answers nothing, `throttled`
    answers 429 (with `retry_after` when set), `status` answers that 5xx, `latency_seconds` is slow.
    """

    prefix: str
    clients: dict[str, Client]
    expires_in: float = 3600.0
    valid_seconds: float | None = None
    latency_seconds: float = 0.0
    down: bool = False
    hanging: bool = False
    throttled: bool = False
    status: int = 0
    retry_after: float | None = None
    issued: int = 0
    requests: deque[SeenTokenRequest] = field(default_factory=kept_token_requests)
    in_flight: int = 0
    in_flight_max: int = 0
    _tokens: dict[str, Token] = field(default_factory=dict)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def scopes(self) -> set[str]:
        """The scopes that the first client has."""
        return next(iter(self.clients.values())).scopes

    @scopes.setter
    def scopes(self, scopes: set[str]) -> None:
        next(iter(self.clients.values())).scopes = set(scopes)

    def expire_all(self) -> None:
        """Every token handed out so far is unknown from now on."""
        self._tokens.clear()

    def granted(self, authorization: str) -> frozenset[str] | None:
        """The scopes of the bearer token in this header; None when it is missing, unknown or has expired."""
        scheme, _, value = authorization.partition(" ")
        token = self._tokens.get(value.strip()) if scheme.lower() == "bearer" else None
        if token is None or token.ends <= asyncio.get_running_loop().time():
            return None
        return token.scopes

    def close(self) -> None:
        """Lets go of requests that hang."""
        self._closing.set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /oauth2/token."""
        if request.path != "/oauth2/token":
            return json_reply(404, {"message": "Not Found"})
        if request.method != "POST":
            return json_reply(405, {"error": "invalid_request"})
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {
            name: values[0] for name, values in parse_qs((await request.read()).decode("utf-8", "replace")).items()
        }
        kind, client_id, secret = _credentials(request.headers.get("Authorization", ""), form)
        at = asyncio.get_running_loop().time()
        seen = SeenTokenRequest(at, kind, client_id, form.get("scope", ""))
        self.requests.append(seen)
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)  # the latency that was asked for
        if self.hanging:
            await self._closing.wait()
        if self.down or self.hanging:
            seen.status = 0
            return dropped(request)
        status, body, headers = self._decide(request, form, client_id, secret)
        seen.status = status
        return json_reply(status, body, headers)

    def _decide(
        self, request: web.BaseRequest, form: dict[str, str], client_id: str, secret: str
    ) -> tuple[int, dict[str, object], dict[str, str]]:
        later = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        if self.throttled:
            return 429, {"error": "too_many_requests"}, later
        if self.status:
            return self.status, {"error": "server_error"}, later
        if request.content_type != "application/x-www-form-urlencoded":
            return 400, {"error": "invalid_request"}, {}
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}, {}
        client = self.clients.get(client_id)
        if client is None or not secrets.compare_digest(client.secret.encode(), secret.encode()):
            return 400, {"error": "invalid_client"}, {}
        asked = set(form.get("scope", "").split())
        if asked - client.scopes:
            return 400, {"error": "invalid_scope"}, {}
        return 200, self._issue(frozenset(asked or client.scopes)), {}

    def _issue(self, scopes: frozenset[str]) -> dict[str, object]:
        now = asyncio.get_running_loop().time()
        self._tokens = {value: token for value, token in self._tokens.items() if token.ends > now}
        valid = self.expires_in if self.valid_seconds is None else self.valid_seconds
        value = secrets.token_urlsafe(32)
        self._tokens[value] = Token(scopes, now + valid)
        self.issued += 1
        expires = int(self.expires_in) if self.expires_in == int(self.expires_in) else self.expires_in
        return {"access_token": value, "expires_in": expires, "token_type": "Bearer"}


def _credentials(header: str, form: dict[str, str]) -> tuple[str, str, str]:
    """Where id and secret were, and both; Basic goes before the body, its parts form-encoded or as they are."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "basic", "", ""
        return "basic", unquote(client_id), unquote(secret)
    if "client_id" in form:
        return "body", form["client_id"], form.get("client_secret", "")
    return "none", "", ""
