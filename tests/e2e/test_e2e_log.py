"""The log: whose request a line belongs to, wherever it was written; and nothing of a customer at any level."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer, StartServer
from tests.host.throwaway_plugins import Site
from tilores_core.testing.fake_upstream import (
    DEFAULT_KEY,
    ContentRefused,
    Cut,
    ErrorEvent,
    FakeUpstream,
    HttpError,
    InvalidKey,
    MalformedReply,
    Reply,
)
from tilores_core.testing.waiting import wait_until

# --- whose line it is ----------------------------------------------------------------------------------------

CHATTY = """
import asyncio, logging, threading
import structlog
from tilores_core import Customer, CustomerSourceSpec, Record, RouterSpec, SourceSchema, hookimpl

ours = structlog.get_logger(part="chatty")
theirs = logging.getLogger("chatty")


class Source:
    async def get(self, customer_id):
        ours.info("in the request's task")
        theirs.warning("through logging")
        await asyncio.create_task(self.elsewhere())
        await asyncio.to_thread(self.thread)
        return Customer(id=customer_id, name=None, records=(Record(id="r", system="s", fields={"a": 1}),))

    async def elsewhere(self):
        ours.info("in a task of its own")

    def thread(self):
        ours.info("in a thread")
        theirs.warning("through logging in a thread")

    async def find(self, identifiers, *, limit=10):
        return []

    async def schema(self):
        return SourceSchema(fields=(), hash="h")

    async def aclose(self):
        pass


def router(context):
    from fastapi import APIRouter

    routes = APIRouter()

    @routes.get("/said")
    def said() -> str:  # FastAPI runs it in a thread
        ours.info("in a plugin's route")
        return "said"

    return routes


@hookimpl
def register_customer_sources():
    return [CustomerSourceSpec(name="chatty", factory=lambda context: Source())]


@hookimpl
def register_routers():
    return [RouterSpec(name="chatty", factory=router)]
"""
SAID = (
    "in the request's task",
    "through logging",
    "in a task of its own",
    "in a thread",
    "through logging in a thread",
)
DEMO = """
[use]
cache = ["memory"]
source = "{source}"
model = "demo:simulated-1"
"""


@pytest.fixture
def chatty(start_server: StartServer, tmp_path: Path) -> RunningServer:
    site = tmp_path / "plugins"
    site.mkdir()
    Site(site).install("chatty", CHATTY, target="chatty_plugin")
    return start_server(
        toml=DEMO.format(source="chatty"), variables={"PYTHONPATH": str(site), "TILORES_ALLOW_ANONYMOUS": "true"}
    )


def test_every_line_of_a_request_names_it_in_whichever_task_or_thread(chatty: RunningServer) -> None:
    stream = {"model": "demo:simulated-1", "stream": True, "messages": [{"role": "user", "content": "And now?"}]}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "one": ("/chat/invoke", {"input": "What is a?", "config": {"configurable": {"customer_id": "one"}}}),
        "two": ("/v1/chat/completions", {**stream, "metadata": {"customer_id": "two"}}),
        "three": (
            "/chat/batch",
            {"inputs": ["What is a?"], "config": {"configurable": {"customer_id": "three"}}},
        ),
    }
    with httpx.Client(
        base_url=chatty.url, timeout=30, headers=chatty.admin
    ) as http:  # one connection for all of them
        for name, (path, body) in asked.items():
            reply = http.post(path, json=body, headers={"X-Request-Id": f"request-{name}"})
            assert reply.status_code == 200, reply.text
            assert reply.headers["x-request-id"] == f"request-{name}"
        assert http.get("/plugins/chatty/said", headers={"X-Request-Id": "request-four"}).status_code == 200
    for name in asked:
        for event in SAID:
            lines = chatty.lines(event=event, request_id=f"request-{name}")
            assert len(lines) == 1, f"{event!r} of request {name}: {chatty.log_text}"
        assert len(chatty.lines(event="request.finished", request_id=f"request-{name}")) == 1
    assert [line["request_id"] for line in chatty.lines(event="in a plugin's route")] == ["request-four"]


# --- one line for each ---------------------------------------------------------------------------------------


def ask(server: RunningServer, question: str) -> str:
    reply = httpx.post(f"{server.chat}/invoke", json={"input": question}, timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.headers["x-tilores-cache"]


@pytest.mark.parametrize(
    ("setting", "lines"), [("", [100, 100]), ("log_hits_every = 1", [1] * 150), ("log_hits_every = 0", [])]
)
def test_of_known_answers_some_have_a_line(start_server: StartServer, setting: str, lines: list[int]) -> None:
    server = start_server(toml=DEMO.format(source="demo") + f"[chat]\n{setting}\n")
    assert ask(server, "What is Edwina Hawthorne's credit score?") == "miss"
    with httpx.Client(base_url=server.url, timeout=30, headers=server.admin) as http:
        for _ in range(150):
            http.post("/chat/invoke", json={"input": "What is Edwina Hawthorne's credit score?"})
    (miss,) = server.lines(event="request.finished", cache="miss")
    assert (miss["key"], miss["path"], miss["status"]) == ("anonymous", "/chat/invoke", 200)
    assert miss["model"] == "demo:simulated-1"
    assert miss["input_tokens"] > 100
    assert miss["output_tokens"] > 0
    assert miss["ms"] > 0

    def hits() -> list[dict[str, Any]]:
        return server.lines(event="request.finished", cache="l1")

    wait_until(lambda: len(hits()) >= len(lines), "the line of the last hit is missing")  # it may follow its reply
    assert [line["sampled"] for line in hits()] == lines
    assert all(line["model"] == "demo:simulated-1" and "input_tokens" not in line for line in hits())


# --- nothing of a customer -----------------------------------------------------------------------------------

MARKS = {
    "first_name": "Zyxwanda",
    "last_name": "Qvortrupsen",
    "email": "zyxwanda.q@example.com",
    "phone": "(503) 555-0177",
    "account_number": "ACCT-88127734",
    "street": "4417 Nimbleberry Crescent",
    "credit_score": 617331,
    "note": "prefers-marmalade-at-noon",
}
CUSTOMER = "CUST-ZQ-90210-XK"
ANSWER = "Her secret is prefers-marmalade-at-noon and quillfeather-cantata."
SECRETS = (
    *(str(value).lower() for value in MARKS.values()),
    CUSTOMER.lower(),
    "quillfeather",
    "5035550177",
    "marmalade",
)

PROVIDER = """
import logging

import structlog
from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers():
    structlog.get_logger(part="remote").debug("debug is on")
    logging.getLogger("some.library").debug("SELECT * FROM people WHERE name = 'Qvortrupsen'")
    return [LLMProviderSpec(
        name="remote", factory="tilores_plugins.providers.openai.provider:build",
        settings="tilores_core.llm:KeyedProviderSettings", abilities=(SupportsCompletion,),
    )]


class Broken(Exception):
    pass


from tilores_core import HealthCheckSpec, RouterSpec


def router(context):
    from fastapi import APIRouter

    routes = APIRouter()

    @routes.post("/fault")
    async def fault(said: dict):
        raise Broken(said)

    return routes


@hookimpl
def register_routers():
    return [RouterSpec(name="remote", factory=router)]
"""
TOML = """
[use]
cache = ["memory"]
source = "file"
model = "remote:good"
[chat]
max_characters = 3000
log_hits_every = 1
[routing]
attempts = 1
backoff_seconds = 0.01
first_token_seconds = 1.0
stall_seconds = 0.5
[plugins.file]
path = "{path}"
[plugins.remote]
base_url = "{address}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}
"""
WHO = f"What does {MARKS['first_name']} {MARKS['last_name']} of {MARKS['street']} prefer?"


@dataclass
class Marked:
    """A server whose customer, questions and answers hold marks, and whose models fail in many ways."""

    server: RunningServer
    http: httpx.Client
    refusals: list[str]

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        reply = self.http.request(method, path, **more)
        if reply.status_code >= 400:
            self.refusals.append(reply.text)
        return reply


@pytest.fixture
def marked(start_server: StartServer, tmp_path: Path) -> Iterator[Marked]:
    site = tmp_path / "plugins"
    site.mkdir()
    Site(site).install("remote", PROVIDER, target="remote_models")
    customers = tmp_path / "customers.jsonl"
    customers.write_text(json.dumps({"customer_id": CUSTOMER, "record_id": "r1", "system": "crm", **MARKS}) + "\n")
    with FakeUpstream("openai", otherwise=Reply(ANSWER)) as fake_upstream:
        fake_upstream.always.update(
            {
                "down": HttpError(status=503),
                "refused": ContentRefused(),
                "key": InvalidKey(),
                "odd": MalformedReply(),
                "cut": Reply(ANSWER, fault=Cut(after=2)),
                "error": Reply(ANSWER, fault=ErrorEvent(after=2)),
            }
        )
        server = start_server(
            toml=TOML.format(path=customers, address=fake_upstream.base_url),
            variables={
                "PYTHONPATH": str(site),
                "FAKE_UPSTREAM_KEY": DEFAULT_KEY,
                "TILORES_LOG_LEVEL": "debug",
                "TILORES_ALLOW_ANONYMOUS": "true",
            },
            expects="Broken|request.failed",
        )
        with httpx.Client(base_url=server.url, timeout=30, headers=server.admin) as http:
            yield Marked(server, http, [])


def test_nothing_of_a_customer_in_log_metrics_and_errors(marked: Marked) -> None:
    named = {"messages": [{"role": "user", "content": WHO}]}
    for _ in range(2):
        reply = marked.send("POST", "/chat/invoke", json={"input": WHO})
        assert "quillfeather" in reply.text, reply.text  # the marks were really there
    for path in ("stream", "stream_log", "stream_events"):
        assert marked.send("POST", f"/chat/{path}", json={"input": WHO}).status_code == 200
    assert marked.send("POST", "/chat/batch", json={"inputs": [WHO, f"And {CUSTOMER}?"]}).status_code == 200
    for model in ("good", "down", "refused", "key", "odd", "cut", "error"):
        for stream in (False, True):
            body = {"model": f"remote:{model}", "stream": stream, **named}
            marked.send("POST", "/v1/chat/completions", json=body)
            metadata = {"customer_id": CUSTOMER, "session_id": MARKS["note"], "no_cache": "true"}
            marked.send("POST", "/v1/chat/completions", json={**body, "metadata": metadata})
    marks = {str(value): value for value in MARKS.values()}
    config = base64.b64encode(json.dumps({"configurable": {"customer_id": CUSTOMER}}).encode()).decode()
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/chat/invoke", {"content": f'{{"input": "{WHO}'.encode()}),
        ("POST", "/chat/invoke", {"json": {"input": marks}}),
        ("POST", "/chat/invoke", {"json": {"input": WHO, "config": {"configurable": {"max_age": MARKS["note"]}}}}),
        ("POST", "/chat/invoke", {"json": {"input": WHO * 60}}),
        ("POST", f"/chat/c/{config}/invoke", {"json": {"input": WHO}}),
        ("POST", f"/chat/{CUSTOMER}", {"json": {"input": WHO}}),
        ("GET", f"/chat/c/{CUSTOMER}/input_schema", {}),
        ("POST", "/v1/chat/completions", {"json": {**named, "temperature": WHO}}),
        ("POST", "/v1/chat/completions", {"json": {"messages": [{"role": WHO, "content": WHO}]}}),
        ("POST", "/v1/chat/completions", {"json": named, "headers": {"X-Customer-Id": CUSTOMER}}),
        ("POST", "/v1/chat/completions", {"json": {**named, "metadata": {"customer_id": "NOBODY"}}}),
        ("POST", "/chat/feedback", {"json": {"run_id": "x", "key": WHO, "comment": WHO}}),
        ("POST", "/events/call", {"json": {"phone": MARKS["phone"]}}),
        ("POST", "/events/call", {"json": {"customer_id": CUSTOMER}}),
        ("POST", "/admin/cache/invalidate", {"json": {"customer_id": CUSTOMER}}),
        ("POST", "/admin/cache/invalidate", {"json": {"namespace": 7, "key": list(marks)}}),
        ("POST", "/plugins/remote/fault", {"json": marks}),
        ("GET", f"/health/{CUSTOMER}", {}),
    ]
    for method, path, more in wrong:
        marked.send(method, path, **more)
    assert len(marked.refusals) > 15
    metrics = marked.send("GET", "/metrics").text
    health = marked.send("GET", "/health/detailed").text
    log = marked.server.log_text
    for line in ("request.failed", "request.stream_failed"):
        assert line in log, "the script met no such error"
    assert "debug is on" in log
    told = {"the log": log, "/metrics": metrics, "/health/detailed": health, "an error": "\n".join(marked.refusals)}
    found = [(where, secret) for where, text in told.items() for secret in SECRETS if secret in text.lower()]
    assert found == []
