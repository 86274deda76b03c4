"""Limits of requests and of failed authentication, over all processes of a server, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tilores_core.errors import RateLimitedError
from tilores_core.testing import Clock
from tilores_core.web import rate_limit
from tilores_core.web.rate_limit import FailedAuthentication, RateLimit, SharedCounters


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1_000_020.0)  # the beginning of a minute
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


def test_limit_is_kept_and_forgotten_with_time(clock: Clock) -> None:
    limit = RateLimit("6/minute", "requests", None)
    assert [limit.hit("desk") for _ in range(8)] == [True] * 6 + [False] * 2
    assert limit.hit("another")
    clock.advance(60 + 30)  # half of the last minute still counts
    assert [limit.hit("desk") for _ in range(4)] == [True] * 3 + [False]
    clock.advance(300)
    assert limit.hit("desk")


def test_wait_is_as_long_as_until_one_more_passes(clock: Clock) -> None:
    limit = RateLimit("6/minute", "requests", None)
    assert all(limit.hit("desk") for _ in range(6))
    for _ in range(3):
        wait = limit.error("desk", "requests").retry_after or 0.0
        clock.advance(wait - 0.1)
        assert not limit.hit("desk")
        clock.advance(0.2)
        assert limit.hit("desk")


def _hits(folder: Path) -> int:
    limit = RateLimit("1000/day", "requests", folder)
    return sum(limit.hit("desk") for _ in range(400))


def test_limit_holds_over_processes(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        assert sum(processes.map(_hits, [tmp_path] * 4)) == 1000


def test_counters_of_many_peers_take_no_more_memory(tmp_path: Path, clock: Clock) -> None:
    limit = RateLimit("5/minute", "requests", tmp_path)
    (file,) = tmp_path.iterdir()
    size = file.stat().st_size
    for number in range(20_000):
        limit.hit(f"198.51.{number // 250}.{number % 250}")
    assert file.stat().st_size == size < 1_000_000
    assert file.stat().st_mode & 0o077 == 0


def test_counter_that_was_used_longest_ago_makes_room(clock: Clock) -> None:
    counters = SharedCounters("requests", None)
    assert counters.hit("first", 1, 60)
    clock.advance(60)
    for number in range(20_000):
        counters.hit(str(number), 1, 60)
    assert counters.hit("first", 1, 60)


def test_peer_that_failed_too_often_is_refused_except_with_a_key_it_used_before(clock: Clock) -> None:
    failures = FailedAuthentication("3/minute", None)
    failures.record_success("203.0.113.9", "desk")
    for _ in range(3):
        failures.check("203.0.113.9")
        failures.record_failure("203.0.113.9")
    with pytest.raises(RateLimitedError, match="without the right key") as raised:
        failures.check("203.0.113.9")
    assert (raised.value.retry_after or 0) >= 1
    failures.check("203.0.113.10")
    assert failures.is_known("203.0.113.9", "desk")
    assert not failures.is_known("203.0.113.9", "batch")
    assert not failures.is_known("203.0.113.10", "desk")


def test_addresses_of_one_ipv6_network_are_one_peer(clock: Clock) -> None:
    failures = FailedAuthentication("2/minute", None)
    failures.record_failure("2001:db8::1")
    failures.record_failure("2001:db8::ffff:2")
    with pytest.raises(RateLimitedError):
        failures.check("2001:db8::3")
    failures.check("2001:db8:0:1::1")


# --- two web processes ----------------------------------------------------------------------------------------

TOML = '[use]\ncache = ["memory"]\n[chat]\nfailed_authentications = "20/hour"\n'
KEYS = {
    "TILORES_API_KEYS": "desk:desk-secret,late:late-secret",
    "TILORES_ADMIN_KEYS": "root:root-secret",
    "TILORES_RATE_LIMIT": "40/hour",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("limits")
    with RunningServer(folder, "--workers", "2", toml=TOML, variables=KEYS) as server:
        yield server


def from_address(address: str, url: str, path: str, key: str, **headers: str) -> httpx.Response:
    """A request on a connection of its own, so that either process may get it."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=30) as client:
        return client.get(url + path, headers={"Authorization": f"Bearer {key}", **headers})


def test_guessing_is_limited_by_address_over_all_processes(server: RunningServer) -> None:
    for _ in range(8):
        assert from_address("127.0.0.5", server.url, "/v1/models", "desk-secret").status_code == 200
    statuses = [
        from_address("127.0.0.5", server.url, path, f"guess-{number}", **{"X-Forwarded-For": f"203.0.113.{number}"})
        for number, path in enumerate(["/v1/models", "/admin/cache", "/chat/input_schema", "/health/detailed"] * 8)
    ]
    codes = [reply.status_code for reply in statuses]
    assert codes == [401] * 20 + [429] * 12
    refused = statuses[-4:]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert refused[0].json()["error"]["code"] == "rate_limit_exceeded"
    assert set(refused[1].json()) == {"detail", "fix"}
    assert "message" in refused[2].json()
    # A right key that this address has not used yet is not tried either; the one that it has used goes on, in every
    # process that has seen it.
    assert from_address("127.0.0.5", server.url, "/v1/models", "late-secret").status_code == 429
    assert 200 in [from_address("127.0.0.5", server.url, "/v1/models", "desk-secret").status_code for _ in range(20)]
    assert from_address("127.0.0.6", server.url, "/v1/models", "desk-secret").status_code == 200


def test_rate_limit_of_a_key_holds_over_all_processes(server: RunningServer) -> None:
    codes = [from_address("127.0.0.7", server.url, "/v1/models", "late-secret").status_code for _ in range(60)]
    assert codes.count(200) == 40
    assert set(codes) == {200, 429}
    assert from_address("127.0.0.7", server.url, "/chat/input_schema", "late-secret").headers["retry-after"]
