"""A real nginx in front of the server: with its default configuration, and with forwarding headers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.redis_server import free_port
from tilores_core.testing.waiting import wait_until

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            {headers}
        }}
    }}
}}
"""
FORWARDED_FOR = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
REAL_IP = "proxy_set_header X-Real-IP $remote_addr;"
FILE_SOURCE = '[use]\ncache = ["memory"]\nsource = "file"\n[plugins.file]\npath = "customers.csv"\n'
ASK_DEMO = {"input": "What is the credit score of Edwina Hawthorne?"}
ASK_OWN = {"input": "What is the credit score of Odalys Marchetti?"}
ADMIN = (
    ("GET", "/admin/cache"),
    ("GET", "/admin/plugins"),
    ("GET", "/health/detailed"),
    ("POST", "/admin/batch"),
    ("POST", "/admin/cache/invalidate"),
)


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def proxied(stack: ExitStack, folder: Path, upstream: str, headers: str = "") -> httpx.Client:
    """A client that visits the server through an nginx of its own."""
    assert NGINX is not None
    folder.mkdir()
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream, headers=headers))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")])
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)

    def is_listening() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_listening, "nginx does not listen")
    return stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))


@pytest.fixture(scope="module")
def demo(stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    return stack.enter_context(RunningServer(tmp_path_factory.mktemp("demo")))


@pytest.fixture(scope="module")
def own(stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    folder = tmp_path_factory.mktemp("own")
    (folder / "customers.csv").write_text("customer_id,name,credit_score\nC-1,Odalys Marchetti,688\n")
    return stack.enter_context(RunningServer(folder, toml=FILE_SOURCE))


def chat_statuses(visitor: httpx.Client, question: dict[str, str]) -> set[int]:
    messages = [{"role": "user", "content": question["input"]}]
    return {
        visitor.post("/chat/invoke", json=question).status_code,
        visitor.post("/chat/stream", json=question).status_code,
        visitor.post("/v1/chat/completions", json={"model": "demo:simulated-1", "messages": messages}).status_code,
        visitor.get("/v1/models").status_code,
    }


def test_default_nginx_opens_neither_administration_nor_the_users_customers(
    stack: ExitStack, own: RunningServer, tmp_path: Path
) -> None:
    visitor = proxied(stack, tmp_path / "nginx", own.url)
    for method, path in ADMIN:
        assert visitor.request(method, path).status_code == 401, path
    assert chat_statuses(visitor, ASK_OWN) == {401}
    assert visitor.post("/events/call", json={"customer_id": "C-1"}).status_code == 401
    assert visitor.get("/admin/cache", headers=own.admin).status_code == 200


def test_default_nginx_in_front_of_the_demo_opens_its_customers_and_not_administration(
    stack: ExitStack, demo: RunningServer, tmp_path: Path
) -> None:
    visitor = proxied(stack, tmp_path / "nginx", demo.url)
    for method, path in ADMIN:
        assert visitor.request(method, path).status_code == 401, path
    assert chat_statuses(visitor, ASK_DEMO) == {200}  # synthetic customers: nothing to protect


@pytest.mark.parametrize("headers", [FORWARDED_FOR, REAL_IP, FORWARDED_FOR + REAL_IP])
def test_nginx_with_forwarding_headers_is_refused_by_an_open_server(
    stack: ExitStack, demo: RunningServer, tmp_path: Path, headers: str
) -> None:
    visitor = proxied(stack, tmp_path / "nginx", demo.url, headers)
    assert chat_statuses(visitor, ASK_DEMO) == {403}
    for path in ("/", "/health", "/metrics", "/openapi.json", "/admin/cache"):
        assert visitor.get(path).status_code == 403, path
    refusal = visitor.post("/v1/chat/completions", json={}).json()["error"]["message"]
    assert "TILORES_API_KEYS" in refusal


def test_nginx_with_forwarding_headers_is_served_with_the_key(
    stack: ExitStack, own: RunningServer, tmp_path: Path
) -> None:
    visitor = proxied(stack, tmp_path / "nginx", own.url, FORWARDED_FOR)
    assert chat_statuses(visitor, ASK_OWN) == {401}
    key = (own.folder / "data" / "chat.key").read_text().strip()
    reply = visitor.post("/chat/invoke", json=ASK_OWN, headers={"Authorization": f"Bearer {key}"})
    assert "688" in reply.json()["output"]["content"]
