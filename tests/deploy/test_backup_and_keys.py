"""A deployment that loses what it can lose: Redis is gone, the database is restored, keys are rotated."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.cli.command import Command
from tests.e2e.running_server import RunningServer
from tests.redis_server import RedisServer, needs_redis

TOML = '[use]\ncache = ["memory", "redis"]\n[quality]\nlive_cpu_percent = 0\n'
QUESTION = {"input": "What is the credit score of Edwina Hawthorne?"}


def ask(server: RunningServer, secret: str) -> Any:
    headers = {"Authorization": f"Bearer {secret}"}
    reply = httpx.post(f"{server.url}/chat/invoke", json=QUESTION, headers=headers, timeout=30)
    return reply.status_code if reply.is_error else reply.json()["output"]["response_metadata"]


@needs_redis
def test_restored_database_and_new_keys_answer_without_redis(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    with RedisServer(tmp_path) as redis:
        keys = {"TILORES_API_KEYS": "desk:old-secret,desk-2:new-secret", "TILORES_ADMIN_KEYS": "ops:admin-secret"}
        with RunningServer(tmp_path / "one", toml=TOML, variables={**keys, "REDIS_URL": redis.url}) as server:
            with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer admin-secret"}) as admin:
                body: dict[str, Any] = {"parts": {"answer_style": "Give exact values."}, "reason": "kept"}
                made = admin.post("/admin/prompts", json=body).raise_for_status().json()["version"]
                body = {"version": made, "reason": "kept", "skip_evaluation": True}
                admin.post("/admin/prompts/deploy", json=body).raise_for_status()
            first, second = ask(server, "old-secret"), ask(server, "new-secret")
            assert (first["cache"], second["cache"]) == ("miss", "l1")  # both keys are valid, and share answers
            exported = Command(tmp_path, {"TILORES_DATA_DIR": str(tmp_path / "one" / "data")})
            assert exported.run("state", "export", str(file)).returncode == 0
    # Redis and the machine are lost; the file is not.
    restored = Command(tmp_path, {"TILORES_DATA_DIR": str(tmp_path / "two" / "data")})
    assert restored.run("state", "import", str(file)).returncode == 0
    keys |= {"TILORES_API_KEYS": "desk-2:new-secret", "REDIS_URL": redis.url}
    with RunningServer(tmp_path / "two", toml=TOML, variables=keys, expects="redis|cache|tier") as server:
        answer = ask(server, "new-secret")
        assert (answer["cache"], answer["prompt_version"]) == ("miss", first["prompt_version"])
        assert answer["prompt_version"].startswith(f"{made}-")
        assert ask(server, "old-secret") == 401


def test_server_refuses_the_database_of_a_newer_version_and_says_what_to_do(tmp_path: Path) -> None:
    tilores = Command(tmp_path)
    assert tilores.run("state", "export", str(tmp_path / "state.jsonl")).returncode == 0
    with closing(sqlite3.connect(tmp_path / "data" / "state.sqlite3")) as database, database:
        database.execute("UPDATE tilores_revision SET version_num = '9999'")
    database.close()
    done = tilores.run("serve", "--no-worker", "--port", "0")
    assert done.returncode == 1
    assert "revision 9999" in done.stderr
    assert "restore the backup" in done.stderr
