"""The routes under /plugins/telephony: those of the services whose secret is there."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from tilores_core import Identifiers, PluginContext, PluginServices
from tilores_plugins.telephony import twilio, vapi
from tilores_plugins.telephony.settings import Settings

if TYPE_CHECKING:
    from fastapi import APIRouter, Request, Response

_LARGEST = 256 * 1024
_BODY_SECONDS = 10.0  # these routes are open to anyone until the signature is checked, which needs the body


def build(context: PluginContext) -> APIRouter:
    """Plain routes: the bodies are the services' own, signed byte by byte, and none of our API's description."""
    from fastapi import APIRouter

    settings: Settings = context.settings
    services = context.services
    router = APIRouter()
    if settings.twilio_auth_token is not None:
        token = settings.twilio_auth_token.get_secret_value()
        twiml = twilio.redirect_to(settings.twilio_next_url) if settings.twilio_next_url else settings.twilio_twiml

        async def voice(request: Request) -> Response:
            return await _twilio(request, services, settings, token, twiml)

        async def status(request: Request) -> Response:
            return await _twilio(request, services, settings, token, None)

        if twiml is not None:
            router.add_route("/twilio/voice", voice, ["POST"], include_in_schema=False)
        router.add_route("/twilio/status", status, ["POST"], include_in_schema=False)
    if settings.vapi_secret is not None or settings.vapi_hmac_key is not None:

        async def message(request: Request) -> Response:
            return await _vapi(request, services, settings)

        router.add_route("/vapi", message, ["POST"], include_in_schema=False)
    return router


async def _twilio(
    request: Request, services: PluginServices, settings: Settings, token: str, twiml: str | None
) -> Response:
    """The voice webhook is answered with TwiML; the status callback wants nothing back."""
    from fastapi import Response

    body = await _body(request)
    if not isinstance(body, bytes):
        return body
    fields = twilio.read_fields(body)
    if fields is None:
        return _text(400, "This is not one of Twilio's forms.")
    signature = request.headers.get("x-twilio-signature", "")
    if not twilio.is_signed(signature, url=_url(request, settings), fields=fields, token=token):
        return _text(403, "The signature is missing or wrong. Is public_url what Twilio calls?")
    _begin(services, settings, twilio.caller_of(dict(fields)))
    return Response(status_code=204) if twiml is None else Response(twiml, media_type="text/xml")


async def _vapi(request: Request, services: PluginServices, settings: Settings) -> Response:
    """Vapi's server URL: asked for an assistant, and told what becomes of a call."""
    from fastapi.responses import JSONResponse

    body = await _body(request)
    if not isinstance(body, bytes):
        return body
    if not vapi.is_authentic(settings, request.headers, body, time.time()):
        return _text(401, "The secret or the signature is missing or wrong.")
    try:
        said = vapi.message_of(json.loads(body))
    except (ValueError, RecursionError):
        said = None
    if said is None:
        return _text(400, "This is not one of Vapi's messages.")
    _begin(services, settings, vapi.caller_of(said))
    return JSONResponse(vapi.reply_to(said, settings))


def _begin(services: PluginServices, settings: Settings, number: str | None) -> None:
    if number is not None:
        services.calls.begins(Identifiers(phone=number), scope=settings.scope)


async def _body(request: Request) -> bytes | Response:
    """The body; or the reply to one that is larger than any of theirs, or does not arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _LARGEST:
                    return _text(413, "This is too large for a message of the service.")
    except TimeoutError:
        return _text(408, "The body did not arrive in time.")
    return bytes(body)


def _url(request: Request, settings: Settings) -> str:
    """The address as the service called it, which behind a proxy only the settings know."""
    scope = request.scope
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    base = settings.public_url or f"{scope['scheme']}://{request.headers.get('host', '')}"
    return f"{base.rstrip('/')}{path}{'?' if query else ''}{query}"


def _text(status: int, said: str) -> Response:
    from fastapi import Response

    return Response(said, status, media_type="text/plain")
