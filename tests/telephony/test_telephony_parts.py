"""Signatures and settings, without a server."""

from __future__ import annotations

import asyncio
import base64
import hmac
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from starlette.routing import Route

from tilores_core import PluginContext
from tilores_plugins.telephony import routes, twilio, vapi
from tilores_plugins.telephony.routes import build
from tilores_plugins.telephony.settings import Settings

KEY, BODY, NOW = "hmac-key-0123456789", b'{"message": {}}', 1_800_000_000.0


def test_the_example_of_twilios_documentation() -> None:
    fields = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ]
    url, signature = "https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert twilio.is_signed(signature, url=url, fields=fields, token="12345")
    assert not twilio.is_signed(signature, url=url, fields=fields[:-1], token="12345")
    assert not twilio.is_signed(signature, url=url, fields=fields, token="12346")
    assert not twilio.is_signed("\u20ac", url=url, fields=fields, token="12345")


def _signed(form: str, algorithm: str = "sha256", *, encoding: str = "hex") -> str:
    digest = hmac.new(KEY.encode(), form.encode() + BODY, algorithm).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _settings(**more: Any) -> Settings:
    return Settings(**{"vapi_hmac_key": SecretStr(KEY), **more})


@pytest.mark.parametrize(
    ("settings", "headers", "authentic"),
    [
        ({}, {"x-timestamp": "1800000000", "x-signature": _signed("1800000000.")}, True),
        ({}, {"x-timestamp": "1800000000000", "x-signature": _signed("1800000000000.")}, True),
        ({}, {"x-timestamp": "1800000000", "x-signature": _signed("1800000000.", encoding="base64")}, True),
        ({}, {"x-timestamp": "1799999000", "x-signature": _signed("1799999000.")}, False),  # replayed
        (
            {"vapi_tolerance_seconds": 2000},
            {"x-timestamp": "1799999000", "x-signature": _signed("1799999000.")},
            True,
        ),
        ({}, {"x-timestamp": "1800000001", "x-signature": _signed("1800000000.")}, False),
        ({}, {"x-timestamp": "soon", "x-signature": _signed("soon.")}, False),
        ({}, {"x-signature": _signed(".")}, False),
        ({}, {"x-timestamp": "1800000000", "x-signature": ""}, False),
        ({}, {"x-vapi-secret": "vapi-secret-0123456789"}, False),  # where messages are signed it is not enough
        ({"vapi_timestamp_header": ""}, {"x-signature": _signed("")}, True),
        (
            {"vapi_hmac_algorithm": "sha512", "vapi_signature_header": "X-Hub", "vapi_signature_prefix": "sha512="},
            {"x-timestamp": "1800000000", "x-hub": "sha512=" + _signed("1800000000.", "sha512")},
            True,
        ),
    ],
)
def test_vapis_signatures(settings: dict[str, Any], headers: dict[str, str], authentic: bool) -> None:
    settings = {"vapi_secret": SecretStr("vapi-secret-0123456789"), **settings}
    assert vapi.is_authentic(_settings(**settings), headers, BODY, NOW) is authentic


def test_without_a_secret_there_is_no_route(tmp_path: Any) -> None:
    def paths(settings: Settings) -> set[str]:
        router = build(PluginContext(plugin_id="telephony", settings=settings, data_dir=tmp_path))
        return {route.path for route in router.routes if isinstance(route, Route)}

    token = SecretStr("twilio-token-0123456789")
    assert paths(Settings()) == set()
    assert paths(Settings(twilio_auth_token=token)) == {"/twilio/status"}
    assert paths(Settings(twilio_auth_token=token, twilio_twiml="<Response/>")) == {"/twilio/voice", "/twilio/status"}
    assert paths(_settings()) == {"/vapi"}


def test_vapi_without_an_assistant_hears_why() -> None:
    assert vapi.reply_to({"type": "assistant-request"}, _settings(vapi_refusal="Later.")) == {"error": "Later."}


@pytest.mark.parametrize(
    "wrong",
    [
        {"public_url": "phone.example.com"},
        {"public_url": "https://phone.example.com/?x=1"},
        {"twilio_next_url": "https://a.example", "twilio_twiml": "<Response/>"},
        {"twilio_auth_token": "short"},
        {"vapi_secret": ""},
        {"vapi_hmac_key": ""},
        {"vapi_hmac_algorithm": "md5"},
        {"token": "x"},
    ],
    ids=str,
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_a_url_with_special_characters_stays_a_url_in_twiml() -> None:
    assert '<Redirect method="POST">https://a.example/?x=1&amp;y=2</Redirect>' in twilio.redirect_to(
        "https://a.example/?x=1&y=2"
    )


async def test_a_body_that_does_not_arrive_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_BODY_SECONDS", 0.01)
    settings = Settings(vapi_secret=SecretStr("0123456789"), twilio_auth_token=SecretStr("0123456789"))
    router = routes.build(PluginContext(plugin_id="telephony", settings=settings, data_dir=tmp_path))
    for path in ("/vapi", "/twilio/status"):
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)  # noqa: B023 - called before the next path

        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        async with asyncio.timeout(30):
            await router(scope, receive, send)
        assert sent[0]["status"] == 408
