"""Who may ask what: chat keys, admin keys, scopes, and a server without any."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.running_server import TILORES, RunningServer, StartServer, clean_environment
from tests.processes.forked import run

SCORE = "What is Edwina Hawthorne's credit score?"
CHAT = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": SCORE}]}
LANGSERVE_POST = ["/chat/invoke", "/chat/batch", "/chat/stream", "/chat/stream_log", "/chat/stream_events"]
LANGSERVE = [("POST", path) for path in LANGSERVE_POST] + [("GET", "/chat/input_schema"), ("GET", "/chat/nowhere")]
OPENAI = [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/v1/models/x"), ("GET", "/v1/nowhere")]
ADMIN = [
    ("GET", "/admin/cache"),
    ("POST", "/admin/cache/invalidate"),
    ("GET", "/admin/plugins"),
    ("GET", "/health/detailed"),
]


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-secret"}


def ask(http: httpx.Client, name: str, question: str = SCORE, **configurable: Any) -> httpx.Response:
    body = {"input": question, "config": {"configurable": configurable}}
    return http.post("/chat/invoke", json=body, headers=key(name))


def cache_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["output"]["response_metadata"]["cache"])


# --- a server with keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer null", "Basic ZGVzazpkZXNr", "Bearer root-secret"]
)
def test_without_the_right_key_each_protocol_says_so_its_own_way(
    keyed: httpx.Client, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in LANGSERVE:
        reply = keyed.request(method, path, headers=headers)
        assert reply.status_code == 401, path
        assert set(reply.json()) == {"detail", "message"}, path
        assert reply.headers["www-authenticate"] == "Bearer"
    for method, path in OPENAI:
        reply = keyed.request(method, path, headers=headers)
        assert reply.status_code == 401, path
        error = reply.json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
        assert error["message"]
        assert reply.headers["www-authenticate"] == "Bearer"


def test_the_openai_client_knows_what_is_wrong(keyed: httpx.Client) -> None:
    with (
        openai.OpenAI(base_url=f"{keyed.base_url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


@pytest.mark.parametrize(
    ("path", "authorization"),
    [("/chat/invoke", "nobody"), ("/v1/chat/completions", "nobody"), ("/admin/cache/invalidate", "desk-secret")],
)
def test_a_stranger_is_sent_away_before_the_body_is_read(keyed: httpx.Client, path: str, authorization: str) -> None:
    with socket.create_connection((keyed.base_url.host, keyed.base_url.port or 0), timeout=30) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {authorization}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode()
        )
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_a_right_key_gets_an_answer(keyed: httpx.Client) -> None:
    assert "742" in ask(keyed, "desk").json()["output"]["content"]
    spelt = keyed.post("/v1/chat/completions", json=CHAT, headers={"Authorization": "bearer   desk-secret"})
    assert "742" in spelt.json()["choices"][0]["message"]["content"]
    assert keyed.get("/v1/models", headers=key("desk")).status_code == 200


def test_admin_keys_are_apart(keyed: httpx.Client) -> None:
    for method, path in ADMIN:
        for headers in ({}, key("desk")):
            reply = keyed.request(method, path, headers=headers)
            assert reply.status_code == 401, path
            assert set(reply.json()) == {"detail", "fix"}
        reply = keyed.request(method, path, headers=key("root"))
        assert reply.status_code == (422 if method == "POST" else 200), reply.text
    assert ask(keyed, "root").status_code == 401
    for path in ("/health", "/health/ready", "/openapi.json"):
        assert keyed.get(path).status_code == 200, path


def test_a_key_without_search_has_to_name_the_customer(keyed: httpx.Client) -> None:
    reply = ask(keyed, "bot")
    assert (reply.status_code, "customer_id" in reply.json()["message"]) == (403, True)
    reply = keyed.post("/v1/chat/completions", json=CHAT, headers=key("bot"))
    assert (reply.status_code, "customer_id" in reply.json()["error"]["message"]) == (403, True)
    stream = keyed.post("/chat/stream", json={"input": SCORE}, headers=key("bot"))
    assert (stream.status_code, stream.headers["content-type"]) == (403, "application/json")
    # Somebody's cached answer is no way around it.
    ask(keyed, "desk")
    assert ask(keyed, "bot").status_code == 403
    assert "742" in ask(keyed, "bot", customer_id="EDW_HAWTHORNE_001").json()["output"]["content"]


def test_scopes_do_not_share_answers(keyed: httpx.Client) -> None:
    question = f"{SCORE} Scope by scope."
    assert [cache_of(ask(keyed, name, question)) for name in ("desk", "colleague", "elsewhere", "elsewhere")] == [
        "miss",
        "l1",  # keys of one scope share
        "miss",
        "l1",
    ]


def test_the_log_names_the_key(keyed: httpx.Client, shared_keyed: RunningServer) -> None:
    keyed.post("/chat/batch", json={"inputs": [SCORE]}, headers={**key("colleague"), "X-Request-Id": "named"})
    assert shared_keyed.wait_for_line(request_id="named")["key"] == "colleague"


def test_with_keys_the_server_may_have_any_name(keyed: httpx.Client) -> None:
    reply = keyed.get("/v1/models", headers={**key("desk"), "Host": "chat.example"})
    assert reply.status_code == 200
    assert keyed.get("/admin/cache", headers={**key("root"), "Host": "chat.example"}).status_code == 200


# --- a server without keys ----------------------------------------------------------------------------------


def test_chat_without_keys_ignores_the_header(http: httpx.Client) -> None:
    for value in (b"Bearer null", b"Basic x", b"\xff"):
        assert http.get("/v1/models", headers={b"Authorization": value}).status_code == 200


def test_administration_without_configured_keys_takes_the_generated_one(server: RunningServer) -> None:
    for method, path in ADMIN:
        for headers in ({}, key("root"), {"Authorization": "Bearer"}):
            reply = httpx.request(method, server.url + path, headers=headers)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), path
            assert "admin.key" in reply.json()["fix"]
            assert str(server.folder) not in reply.text
        reply = httpx.request(method, server.url + path, headers=server.admin)
        assert reply.status_code == (422 if method == "POST" else 200), reply.text


FORWARDING = [
    ("Forwarded", "for=203.0.113.9"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("X-FORWARDED-PREFIX", ""),
    ("X-Real-IP", "203.0.113.9"),
    ("Via", "1.1 proxy"),
]


@pytest.mark.parametrize("header", FORWARDING)
def test_forwarded_request_to_an_open_server_is_refused(http: httpx.Client, header: tuple[str, str]) -> None:
    for method, path in [*LANGSERVE, *OPENAI, *ADMIN, ("GET", "/health"), ("GET", "/metrics"), ("GET", "/nowhere")]:
        reply = http.request(method, path, headers=dict([header]))
        assert reply.status_code == 403, path
        said = reply.json()
        text = said["error"]["message"] if path.startswith("/v1") else said.get("message") or said["fix"]
        assert "TILORES_API_KEYS" in text, reply.text
    assert http.get("/v1/models", headers={"X-Forward": "x", "Vias": "x", "X-Real": "x"}).status_code == 200


@pytest.mark.parametrize("header", FORWARDING)
def test_forwarded_request_with_a_key_is_answered(keyed: httpx.Client, header: tuple[str, str]) -> None:
    assert keyed.get("/v1/models", headers={**key("desk"), **dict([header])}).status_code == 200
    assert keyed.get("/admin/cache", headers={**key("root"), **dict([header])}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
def test_without_keys_a_foreign_host_is_refused(http: httpx.Client, host: str) -> None:
    """A web page may point its own name at this machine; the browser then tells that name."""
    for method, path in [*LANGSERVE, *OPENAI, *ADMIN, ("GET", "/health"), ("GET", "/openapi.json")]:
        reply = http.request(method, path, headers={"Host": host})
        assert reply.status_code == 403, path
        assert reply.headers["x-request-id"]
        assert ("error" in reply.json()) == path.startswith("/v1"), reply.text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example:8000", "null"])
def test_without_keys_a_page_from_elsewhere_is_refused(http: httpx.Client, origin: str) -> None:
    """A page can post to this machine without being able to read the reply."""
    for method, path in [*LANGSERVE, *OPENAI, *ADMIN]:
        assert http.request(method, path, headers={"Origin": origin}).status_code == 403, path
    for local in ("http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:1"):
        assert http.get("/v1/models", headers={"Origin": local}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000", "127.0.0.2:1"])
def test_without_keys_local_names_are_good(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/models", headers={"Host": host}).status_code == 200
    assert http.get("/health", headers={"Host": host}).status_code == 200


def test_administration_with_chat_keys_alone_takes_the_generated_key(start_server: StartServer) -> None:
    server = start_server(variables={"TILORES_API_KEYS": "desk:desk-secret"})
    for headers in ({}, {"Host": "chat.example"}, key("desk")):
        for method, path in ADMIN:
            reply = httpx.request(method, server.url + path, headers=headers)
            assert (reply.status_code, set(reply.json())) == (401, {"detail", "fix"}), path
    assert httpx.get(f"{server.url}/admin/cache", headers={"Host": "chat.example", **server.admin}).status_code == 200
    assert httpx.get(f"{server.url}/health", headers={"Host": "chat.example"}).status_code == 200


# --- start-up -----------------------------------------------------------------------------------------------


def refused(folder: Path, *arguments: str, toml: str = "", **variables: str) -> str:
    (folder / "plugins.toml").write_text(toml)
    environment = clean_environment(TILORES_DATA_DIR=str(folder / "data"), **variables)
    done = run([TILORES, "serve", "--port", "0", *arguments], cwd=folder, env=environment)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_beyond_loopback_a_server_without_keys_does_not_start(tmp_path: Path) -> None:
    said = refused(tmp_path, "--host", "0.0.0.0")
    assert "the server would be reachable at 0.0.0.0 without any API key" in said
    assert "TILORES_API_KEYS=name:secret" in said
    assert "TILORES_ALLOW_ANONYMOUS=true" in said


def test_a_table_for_a_key_that_is_not_there(tmp_path: Path) -> None:
    said = refused(tmp_path, toml="[keys.dsk]\nsearch = false\n", TILORES_API_KEYS="desk:desk-secret")
    assert "there is no API key named 'dsk'" in said
    assert "desk-secret" not in said


def test_beyond_loopback_administration_takes_the_generated_key(start_server: StartServer) -> None:
    server = start_server(variables={"TILORES_HOST": "0.0.0.0", "TILORES_ALLOW_ANONYMOUS": "true"})
    body = {"input": SCORE}
    for headers in ({"Host": "localhost"}, {"Host": "chat.example", "X-Forwarded-For": "203.0.113.9"}):
        assert httpx.post(f"{server.chat}/invoke", json=body, headers=headers).status_code == 200
        for method, path in ADMIN:
            assert httpx.request(method, server.url + path, headers=headers).status_code == 401, path
        assert httpx.get(f"{server.url}/admin/cache", headers={**headers, **server.admin}).status_code == 200
