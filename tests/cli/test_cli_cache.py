"""`tilores cache …` on the shared tier, and on a server that has none."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest

from tests.cli.command import Command
from tests.e2e.running_server import RunningServer
from tests.redis_server import RedisServer, needs_redis
from tilores_core.testing.waiting import wait_until

QUESTION = "What is Edwina Hawthorne's credit score?"
MEMORY = '[use]\ncache = ["memory"]\n'
TIERS = '[use]\ncache = {tiers}\n[plugins.redis]\nurl = "{url}"\n'


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def shared(redis: RedisServer) -> str:
    return TIERS.format(tiers='["memory", "redis"]', url=redis.url)


def ask(server: RunningServer, question: str = QUESTION) -> str:
    """Where the answer came from."""
    reply = httpx.post(f"{server.chat}/invoke", json={"input": question}, timeout=30)
    assert reply.status_code == 200
    tier: str = reply.json()["output"]["response_metadata"]["cache"]
    return tier


def test_without_a_shared_tier_it_says_so(tilores: Command) -> None:
    tilores.config(MEMORY)
    for words in (["stats"], ["stats", "--json"], ["invalidate", "--key", "answers:x"], ["clear", "--yes"]):
        said = tilores.fails("cache", *words)
        assert "no shared cache tier is configured: memory lives inside each server's own process" in said
        assert "--url http://127.0.0.1:8000" in said


def test_statistics_of_the_shared_tier(tilores: Command, redis: RedisServer) -> None:
    tilores.config(shared(redis))
    assert tilores.run("ask", QUESTION).returncode == 0
    tiers = tilores.json("cache", "stats")["tiers"]
    assert list(tiers) == ["l2"]
    tier = tiers["l2"]
    assert tier["name"] == "redis"
    assert tier["extra"]["server_keys"] >= 3
    done = tilores.run("cache", "stats")
    assert done.returncode == 0
    assert "server_keys" in done.stdout
    assert "l1 " not in done.stdout  # this process's own memory is nobody's business
    assert "--url" in done.stderr


def test_removing_reaches_the_shared_tier_and_the_memory_of_running_servers(
    tilores: Command, redis: RedisServer, tmp_path: Path
) -> None:
    tilores.config(shared(redis))
    with RunningServer(tmp_path / "server", toml=shared(redis)) as server:

        def remembered() -> None:
            assert ask(server) == "miss"
            assert ask(server) == "l1"

        def shared_answers() -> list[bytes]:
            """Asked again, since an answer that was being made while something was removed is not kept."""
            ask(server)
            return list(redis.run("KEYS", "tilores:entry:answers:*"))

        def forgotten(*words: str) -> None:
            wait_until(
                shared_answers, "the answer is not in Redis"
            )  # a write to a shared tier follows a little later
            assert tilores.json("cache", *words)["removed"] > 0
            wait_until(lambda: ask(server) == "miss", f"still remembered after {words}")

        remembered()
        forgotten("invalidate", "--customer", "EDW_HAWTHORNE_001")
        forgotten("invalidate", "--namespace", "answers")
        forgotten("clear", "--yes")
        wait_until(shared_answers, "the answer is not in Redis")
        forgotten("invalidate", "--key", shared_answers()[0].decode().removeprefix("tilores:entry:"))
        assert tilores.json("cache", "invalidate", "--customer", "NOBODY") == {"removed": 0}


def test_a_shared_tier_that_is_down_is_an_error(tilores: Command, redis: RedisServer) -> None:
    tilores.config(shared(redis))
    redis.kill()
    for words in (["stats"], ["clear", "--yes"]):
        said = tilores.fails("cache", *words)
        assert "the cache tier 'redis' does not answer" in said
        assert "REDIS_URL" in said


def test_a_server_is_asked_by_its_address(tilores: Command, tmp_path: Path) -> None:
    keys = {"TILORES_API_KEYS": "desk:d3sk", "TILORES_ADMIN_KEYS": "ops:0ps, other:0ther"}
    with RunningServer(tmp_path / "server", toml=MEMORY, variables=keys) as server:
        headers = {"Authorization": "Bearer d3sk"}
        body = {"input": QUESTION}

        def tier() -> str:
            reply = httpx.post(f"{server.chat}/invoke", json=body, headers=headers, timeout=30).json()
            return str(reply["output"]["response_metadata"]["cache"])

        assert tier() == "miss"
        assert tier() == "l1"
        at = ("--url", server.url)
        assert "it wants an admin key" in tilores.fails("cache", "stats", *at)
        assert "the admin key is wrong" in tilores.fails("cache", "stats", *at, "--admin-key", "d3sk")
        figures = tilores.json("cache", "stats", *at, "--admin-key", "0ther")
        assert figures["tiers"]["l1"]["namespaces"]["answers"]["hits"] == 1
        tilores.variables["TILORES_ADMIN_KEYS"] = keys["TILORES_ADMIN_KEYS"]  # the first of them is used
        table = tilores.run("cache", "stats", *at)
        assert "answers" in table.stdout
        assert table.stderr == ""
        assert tilores.json("cache", "invalidate", "--customer", "EDW_HAWTHORNE_001", *at)["removed"] > 0
        assert tier() == "miss"
        assert tilores.json("cache", "clear", "--yes", *at)["removed"] > 0
        assert tier() == "miss"
        assert tilores.run("cache", "invalidate", "--namespace", "answers", *at).stdout == "removed 1 entries\n"
        assert tier() == "miss"


def test_clear_asks_on_a_terminal(terminal: Any, tilores: Command, redis: RedisServer) -> None:
    tilores.config(shared(redis))
    tilores.run("ask", QUESTION)
    one = terminal("cache", "clear")
    one.wait_for("Remove everything from the cache? [y/N]")
    one.type("n\n")
    assert one.exit_code() == 1
    assert tilores.json("cache", "stats")["tiers"]["l2"]["extra"]["server_keys"] > 0
    two = terminal("cache", "clear")
    two.wait_for("[y/N]")
    two.type("y\n")
    two.wait_for("removed ")
    assert two.exit_code() == 0
    assert redis.run("KEYS", "tilores:entry:*") == []


class _Elsewhere(BaseHTTPRequestHandler):
    """Answers as something that is not tilores would."""

    reply: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        status, headers, body = self.reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((200, {}, b"<html>"), "no answer of tilores"),
        ((200, {}, b"[]"), "cannot be read"),
        ((200, {}, b'{"status": "up"}'), "cannot be read"),
        ((404, {}, b"nothing here"), "answers with status 404"),
        ((403, {}, b'{"detail": "administration is off", "fix": "set TILORES_ADMIN_KEYS"}'), "administration is off"),
        ((302, {"Location": "/elsewhere"}, b""), "points elsewhere"),
    ],
)
def test_what_is_not_a_server_of_ours_is_told(
    tilores: Command, elsewhere: str, reply: tuple[int, dict[str, str], bytes], said: str
) -> None:
    _Elsewhere.reply, _Elsewhere.seen = reply, []
    assert said in tilores.fails("cache", "stats", "--url", elsewhere, "--admin-key", "0ps")
    assert _Elsewhere.seen == ["Bearer 0ps"]  # once: a redirect is not followed


def test_addresses_that_are_none(tilores: Command) -> None:
    for url in ("127.0.0.1:8000", "file:///etc/passwd", "http://"):
        assert "not the address of a server" in tilores.fails("cache", "stats", "--url", url)
    assert "start the server" in tilores.fails("cache", "stats", "--url", "http://127.0.0.1:1")


@needs_redis
def test_the_embedded_redis_is_a_shared_tier(tilores: Command) -> None:
    with RunningServer(tilores.folder, toml='[use]\ncache = ["memory", "redis"]\n') as server:
        wait_until(lambda: (ask(server), "l2" in tilores.json("cache", "stats")["tiers"])[1], "no embedded Redis")
        assert ask(server) == "l1"
        assert tilores.json("ask", QUESTION)["cache_tier"] == "l2"  # one data folder, one embedded Redis
        assert tilores.json("cache", "invalidate", "--customer", "EDW_HAWTHORNE_001")["removed"] > 0
        wait_until(lambda: ask(server) == "miss", "still remembered")
