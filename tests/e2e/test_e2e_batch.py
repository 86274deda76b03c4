"""Batches over HTTP: taken in, followed, read, cancelled, gone on with after a kill, never before live callers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer, StartServer
from tilores_core.testing.waiting import wait_until

EDWINA = "EDW_HAWTHORNE_001"
TOML = """
[use]
cache = ["memory"]
executor = "threads"
[plugins.demo-model]
latency_ms = {latency}
[batch]
max_body_bytes = 2000000
max_jobs = 3
[worker]
nice = 0  # other tests run beside it
"""
NDJSON = {"Content-Type": "application/x-ndjson"}


def _questions(count: int, mark: str = "") -> bytes:
    rows = [
        {"id": f"line-{n}", "customer_id": EDWINA, "question": f"What is the credit score? {mark}({n})"}
        for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _client(server: RunningServer, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30, headers={**server.admin, **headers})


def _send(http: httpx.Client, body: bytes, **options: Any) -> dict[str, Any]:
    sent = http.post("/admin/batch", content=body, headers=NDJSON, **options)
    assert sent.status_code == 202, sent.text
    job: dict[str, Any] = sent.json()
    assert sent.headers["location"] == f"/admin/batch/{job['id']}"
    return job


def _ended(http: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = wait_until(
        lambda: (now := http.get(f"/admin/batch/{job['id']}").json())["ended"] and now, "the batch does not end"
    )
    return found


def _results(http: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    found = http.get(f"/admin/batch/{job['id']}/results")
    assert found.headers["content-type"].startswith("application/x-ndjson")
    assert not found.content or found.content.endswith(b"\n")
    return [json.loads(line) for line in found.text.splitlines()]


def test_a_batch_from_its_questions_to_its_results(start_server: StartServer) -> None:
    with _client(start_server(worker=True, toml=TOML.format(latency=150))) as http:
        job = _send(http, _questions(300) + b"no JSON\n", params={"concurrency": 16})
        assert (job["state"], job["lines"], job["owner"]) == ("queued", 301, "generated")

        seen: list[tuple[str, dict[str, Any]]] = []
        with http.stream("GET", f"/admin/batch/{job['id']}/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in events.iter_lines():
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    seen.append((name, json.loads(value)))
        assert [name for name, _ in seen] == ["progress"] * (len(seen) - 1) + ["end"]
        counts = [told["totals"].get("lines", 0) for _, told in seen]
        assert counts == sorted(counts)
        assert len(set(counts)) > 2, "progress was not seen"
        assert seen[-1][1]["state"] == "done"
        assert seen[-1][1]["totals"]["failed"] == 1

        rows = _results(http, job)
        assert [row["id"] for row in rows] == [*(f"line-{n}" for n in range(300)), "301"]
        assert all("742" in row["answer"] for row in rows[:-1])
        assert rows[-1]["error"]["code"] == "invalid_request"

        sent = http.post(
            "/admin/batch",
            content=b"id,customer_id,question\nx,,What is Edwina Hawthorne's credit score?\n",
            headers={"Content-Type": "text/csv"},
        )
        assert _ended(http, sent.json())["state"] == "done"
        assert [row["id"] for row in _results(http, sent.json())] == ["x"]

        unread = http.post("/admin/batch", content=b"nothing known\n1\n", headers={"Content-Type": "text/csv"})
        failed = _ended(http, unread.json())
        assert failed["state"] == "failed"
        assert "no column is known" in failed["error"]
        unknown = _ended(http, _send(http, _questions(1), params={"model": "nowhere:x"}))
        assert (unknown["state"], _results(http, unknown)) == ("failed", [])


def test_limits_and_cancelling(start_server: StartServer) -> None:
    server = start_server(worker=True, toml=TOML.format(latency=300))
    with _client(server) as http:
        empty = http.post("/admin/batch", content=b"", headers=NDJSON)
        assert empty.status_code == 422, empty.text
        large = http.post("/admin/batch", content=b"x" * 2_000_001, headers=NDJSON)
        assert large.status_code == 413
        pieces = http.post("/admin/batch", content=(b"x" * 500_000 for _ in range(5)), headers=NDJSON)
        assert pieces.status_code == 413, pieces.text
        assert http.post("/admin/cache/invalidate", content=b"x" * 1_100_000).status_code == 413
        assert os.listdir(server.folder / "data" / "batch") == [], "a refused body leaves nothing"

        missing = "0" * 32
        for path in (missing, f"{missing}/events", f"{missing}/results"):
            assert http.get(f"/admin/batch/{path}").status_code == 404
        assert http.delete(f"/admin/batch/{missing}").status_code == 404
        assert http.get("/admin/batch/..%2Fx").status_code in (404, 422)

        first = _send(http, _questions(2000), params={"concurrency": 2})
        waiting = [_send(http, _questions(1, "again ")) for _ in range(2)]
        full = http.post("/admin/batch", content=_questions(1), headers=NDJSON)
        assert full.status_code == 429
        assert full.headers["retry-after"] == "60"

        assert http.delete(f"/admin/batch/{waiting[1]['id']}").json()["state"] == "cancelled"
        wait_until(lambda: _results(http, first), "no result yet")
        assert http.delete(f"/admin/batch/{first['id']}").json()["state"] == "cancelling"
        ended = _ended(http, first)
        assert ended["state"] == "cancelled"
        rows = _results(http, first)
        assert 0 < len(rows) < 2000
        assert [row["id"] for row in rows] == [f"line-{n}" for n in range(len(rows))]
        assert http.delete(f"/admin/batch/{first['id']}").json()["state"] == "cancelled"
        assert _ended(http, waiting[0])["state"] == "done"
        assert _results(http, waiting[1]) == []


def test_only_admins(keyed: httpx.Client) -> None:
    for method, path in (
        ("POST", ""),
        *(("GET", f"/{'0' * 32}{end}") for end in ("", "/events", "/results")),
        ("DELETE", f"/{'0' * 32}"),
    ):
        for secret, status in ((None, 401), ("desk-secret", 401)):
            headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
            sent = keyed.request(method, f"/admin/batch{path}", content=_questions(1), headers=headers)
            assert sent.status_code == status, (method, path)
    admin = {"Authorization": "Bearer root-secret", **NDJSON}
    job = keyed.post("/admin/batch", content=_questions(1), headers=admin).json()
    assert job["owner"] == "root"
    wait_until(lambda: keyed.get(f"/admin/batch/{job['id']}", headers=admin).json()["state"] == "done", "not done")


@pytest.mark.slow
def test_a_killed_servers_batch_is_gone_on_with(start_server: StartServer, tmp_path: Path) -> None:
    toml, shared = TOML.format(latency=20), {"TILORES_DATA_DIR": str(tmp_path / "data")}
    first = RunningServer(tmp_path / "first", toml=toml, variables=shared, worker=True).start()
    try:
        with _client(first) as http:
            job = _send(http, _questions(800), params={"concurrency": 8})
            wait_until(lambda: len(_results(http, job)) > 50, "no results")
    finally:
        first.kill()
    output = tmp_path / "data" / "batch" / job["id"] / "out.jsonl"
    before = output.read_bytes()
    assert 50 < before.count(b"\n") < 800

    servers = [
        start_server(worker=True, toml=toml, variables=shared) for _ in range(2)
    ]  # two that would both go on with it
    with _client(servers[0]) as http, _client(servers[1]) as other:
        assert _ended(http, job)["state"] == "done"
        rows = _results(other, job)
    assert [row["id"] for row in rows] == [f"line-{n}" for n in range(800)]
    whole = before[: before.rfind(b"\n") + 1]
    assert output.read_bytes().startswith(whole), "what was written is not asked again"
    assert sum(len(server.lines(event="job.started", job=job["id"])) for server in servers) == 1


def test_an_ending_server_leaves_it_to_the_next(start_server: StartServer, tmp_path: Path) -> None:
    toml, shared = TOML.format(latency=100), {"TILORES_DATA_DIR": str(tmp_path / "data")}
    with RunningServer(tmp_path / "first", toml=toml, variables=shared, worker=True) as first, _client(first) as http:
        job = _send(http, _questions(60), params={"concurrency": 4})
        with http.stream("GET", f"/admin/batch/{job['id']}/events") as events:  # it must not keep the server
            wait_until(lambda: len(_results(http, job)) > 4, "no results")
            first.signal()
            list(events.iter_lines())
        assert first.wait() == 0
    with _client(start_server(worker=True, toml=toml, variables=shared)) as http:
        ended = _ended(http, job)
        assert (ended["state"], ended["totals"]["lines"]) == ("done", 60)
        whole = {name for name, value in ended["totals"].items() if type(value) is int}
        assert whole == {"lines", "failed", "cached", "repeated", "unidentified", "attempts"}, "no 60.0"


def test_live_callers_are_answered_meanwhile(start_server: StartServer) -> None:
    """They are not kept waiting until the batch has ended, cached or not."""
    with _client(start_server(worker=True, toml=TOML.format(latency=0))) as http:
        ask = {"input": "What is Edwina Hawthorne's credit score?"}
        assert http.post("/chat/invoke", json=ask).status_code == 200
        job = _send(http, _questions(3000))
        wait_until(lambda: _results(http, job), "it does not begin")
        for n in range(20):
            assert http.post("/chat/invoke", json=ask).json()["output"]["response_metadata"]["cache"] == "l1"
            fresh = http.post("/chat/invoke", json={"input": f"{ask['input']} ({n})"})
            assert "742" in fresh.json()["output"]["content"]
        assert http.get(f"/admin/batch/{job['id']}").json()["state"] == "running", "too quick to show anything"
        http.delete(f"/admin/batch/{job['id']}")
        _ended(http, job)
