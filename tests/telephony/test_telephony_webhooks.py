"""Twilio's and Vapi's webhooks against a real server: who calls is ready when the first question comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tilores_core.testing.waiting import wait_until

EDWINA, PHONE = "EDW_HAWTHORNE_001", "+15035550142"
PUBLIC = "https://phone.example.com/tilores"
NEXT = "https://app.example.com/calls?desk=1&lang=en"
TOKEN, SECRET = "twilio-token-0123456789", "vapi-secret-0123456789"
QUESTION = "What is the credit score?"
TOML = f"""
[use]
cache = ["memory"]
[prewarm]
file = "plan.json"
[keys.phone]
scope = "phone"
[plugins.telephony]
public_url = "{PUBLIC}/"
scope = "phone"
twilio_next_url = "{NEXT}"
twilio_auth_token = {{ env = "TWILIO_AUTH_TOKEN" }}
vapi_secret = {{ file = "vapi.secret" }}
vapi_assistant_id = "assistant-7"
"""
VARIABLES = {
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TILORES_API_KEYS": "phone:phone-secret",
    "TILORES_ADMIN_KEYS": "root:root-secret",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("telephony")
    (folder / "plan.json").write_text(json.dumps({"calls": {"questions": [QUESTION], "joined": "1s"}}))
    (folder / "vapi.secret").write_text(f"{SECRET}\n")
    with RunningServer(folder, toml=TOML, variables=VARIABLES) as running:
        yield running
        assert TOKEN not in running.log_text
        assert SECRET not in running.log_text


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        forget = {"customer_id": EDWINA}
        client.post("/admin/cache/invalidate", json=forget, headers=_bearer("root-secret")).raise_for_status()
        yield client


@pytest.fixture
def fresh(http: httpx.Client) -> httpx.Client:
    """Nobody who calls now is joined with the caller of a test before."""
    time.sleep(1.1)  # the plan says `joined = 1s`, and the server has no other clock
    return http


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def _calls(http: httpx.Client) -> Any:
    return http.get("/admin/prewarm", headers=_bearer("root-secret")).raise_for_status().json()["calls"]


def _tier_of_first_question(http: httpx.Client, *, ready_since: float | None = None) -> str:
    """Where the answer to the caller's first question comes from, once the caller is ready."""
    if ready_since is not None:
        wait_until(lambda: (_calls(http)["ended_at"] or 0.0) > ready_since, "the caller is ready")
    body = {"input": QUESTION, "config": {"configurable": {"customer_id": EDWINA}}}
    reply = http.post("/chat/invoke", json=body, headers=_bearer("phone-secret")).raise_for_status()
    return reply.headers["X-Tilores-Cache"]


def _signature(url: str, fields: Mapping[str, str], token: str = TOKEN) -> str:
    """As Twilio's documentation describes it."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _twilio(
    http: httpx.Client, path: str, fields: Mapping[str, str], *, signature: str | None = None
) -> httpx.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": "inner"}
    given = _signature(f"{PUBLIC}{path}", fields) if signature is None else signature
    if given:
        headers["X-Twilio-Signature"] = given
    return http.post(path, content=urlencode(fields), headers=headers)


INCOMING = {
    "CallSid": "CA00000000000000000000000000000001",
    "From": PHONE,
    "To": "+15035550100",
    "Direction": "inbound",
    "CallStatus": "ringing",
    "CallerName": "",
}
VOICE, STATUS, VAPI = (f"/plugins/telephony/{name}" for name in ("twilio/voice", "twilio/status", "vapi"))


def test_twilios_voice_webhook_makes_the_caller_ready_and_sends_the_call_on(fresh: httpx.Client) -> None:
    http, began = fresh, time.time()
    reply = _twilio(http, VOICE, INCOMING)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("text/xml")
    redirect = ElementTree.fromstring(reply.content).find("Redirect")
    assert redirect is not None
    assert (redirect.text, redirect.attrib) == (NEXT, {"method": "POST"})
    assert _tier_of_first_question(http, ready_since=began) == "l1"


def test_twilios_status_callback_makes_whoever_is_called_ready(fresh: httpx.Client) -> None:
    http, began = fresh, time.time()
    outgoing = {**INCOMING, "Direction": "outbound-api", "From": "+15035550100", "To": PHONE}
    reply = _twilio(http, f"{STATUS}?from=app&x=1", {**outgoing, "CallStatus": "initiated"})
    assert (reply.status_code, reply.content) == (204, b"")
    assert _tier_of_first_question(http, ready_since=began) == "l1"


@pytest.mark.parametrize(
    "changed",
    [{"CallStatus": "completed"}, {"From": "anonymous"}, {"From": "client:desk"}, {"From": "+266696687"}],
    ids=str,
)
def test_what_names_no_caller_is_answered_all_the_same(http: httpx.Client, changed: dict[str, str]) -> None:
    before = _calls(http)
    assert _twilio(http, VOICE, {**INCOMING, **changed}).status_code == 200
    after = _calls(http)
    assert after["warmed"] == before["warmed"]
    assert _tier_of_first_question(http) == "miss"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "bm90IGl0",
        _signature(f"{PUBLIC}{VOICE}", INCOMING, "another"),
        _signature("http://inner" + VOICE, INCOMING),
    ],
    ids=["none", "wrong", "another token", "another address"],
)
def test_what_twilio_did_not_sign_is_refused(http: httpx.Client, signature: str) -> None:
    before = _calls(http)["customers"]
    assert _twilio(http, VOICE, INCOMING, signature=signature).status_code == 403
    right = _signature(f"{PUBLIC}{VOICE}", INCOMING)
    assert _twilio(http, VOICE, {**INCOMING, "From": "+15035550143"}, signature=right).status_code == 403
    assert _calls(http)["customers"] == before


def test_the_port_in_the_address_may_be_signed_or_not(http: httpx.Client) -> None:
    with_port = _signature(f"https://phone.example.com:443/tilores{STATUS}", INCOMING)
    assert _twilio(http, STATUS, INCOMING, signature=with_port).status_code == 204


def _request(kind: str = "assistant-request", **more: Any) -> dict[str, Any]:
    call = {"id": "call-1", "type": "inboundPhoneCall"}
    return {"message": {"type": kind, "call": call, "customer": {"number": PHONE}, **more}}


@pytest.mark.parametrize("headers", [{"X-Vapi-Secret": SECRET}, _bearer(SECRET)], ids=["secret", "bearer"])
def test_vapi_gets_its_assistant_and_the_caller_is_ready(fresh: httpx.Client, headers: dict[str, str]) -> None:
    http, began = fresh, time.time()
    reply = http.post(VAPI, json=_request(), headers=headers)
    assert (reply.status_code, reply.json()) == (200, {"assistantId": "assistant-7"})
    assert _tier_of_first_question(http, ready_since=began) == "l1"


def test_vapis_status_update_makes_the_caller_ready_and_other_messages_do_not(fresh: httpx.Client) -> None:
    http, began = fresh, time.time()
    secret = {"X-Vapi-Secret": SECRET}
    for kind, more in (("transcript", {}), ("status-update", {"status": "ended"})):
        assert http.post(VAPI, json=_request(kind, **more), headers=secret).json() == {}
    assert _tier_of_first_question(http) == "miss"
    http.post("/admin/cache/invalidate", json={"customer_id": EDWINA}, headers=_bearer("root-secret"))
    nested = {"message": {"type": "status-update", "status": "ringing", "call": {"customer": {"number": PHONE}}}}
    assert http.post(VAPI, json=nested, headers=secret).json() == {}
    assert _tier_of_first_question(http, ready_since=began) == "l1"


@pytest.mark.parametrize(
    "headers", [{}, {"X-Vapi-Secret": "another"}, {"X-Vapi-Secret": ""}, _bearer("phone-secret")], ids=str
)
def test_what_is_not_from_vapi_is_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    reply = http.post(VAPI, json=_request(), headers=headers)
    assert reply.status_code == 401
    assert SECRET not in reply.text


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message": 1}', b'{"message": {}}', b"[" * 100_000, b"\xff"])
def test_rubbish_is_refused(http: httpx.Client, body: bytes) -> None:
    assert http.post(VAPI, content=body, headers={"X-Vapi-Secret": SECRET}).status_code == 400


def test_what_is_too_large_is_refused(http: httpx.Client) -> None:
    assert http.post(VAPI, content=b"x" * 300_000, headers={"X-Vapi-Secret": SECRET}).status_code == 413
    assert _twilio(http, VOICE, {**INCOMING, "x": "y" * 300_000}).status_code == 413
