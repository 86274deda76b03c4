"""An experiment on a running server, over HTTP: callers keep their arm, and what they saw reaches its sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running_server import RunningServer
from tilores_core.testing import eventually

KEYS = {"TILORES_API_KEYS": "desk:key-of-the-desk", "TILORES_ADMIN_KEYS": "ops:key-of-operations"}
DESK, OPS = ({"Authorization": f"Bearer {key}"} for key in ("key-of-the-desk", "key-of-operations"))


async def test_experiment_runs_over_http(tmp_path: Path) -> None:
    toml = 'schema = 1\n[use]\ncache = ["memory"]\n[quality]\nlive_cpu_percent = 50\n'
    with RunningServer(tmp_path, toml=toml, variables=KEYS) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:

            async def admin(method: str, path: str, body: Any = None) -> Any:
                reply = await http.request(method, f"/admin/{path}", json=body, headers=OPS)
                assert reply.status_code < 400, reply.text
                return reply.json()

            async def ask(session: str, number: int) -> str:
                question = f"What is the credit score of EDW_HAWTHORNE_001? ({number})"
                body = {
                    "model": "demo:simulated-1",
                    "messages": [{"role": "user", "content": question}],
                    "metadata": {"session_id": session},
                }
                reply = await http.post("/v1/chat/completions", json=body, headers=DESK)
                assert reply.status_code == 200, reply.text
                return str(reply.json()["tilores"]["prompt_version"]).partition("-")[0]

            style = "Use short sentences and plain words, without lists, headings or markup. Give exact values."
            made = await admin("POST", "prompts", {"parts": {"answer_style": style}, "reason": "test"})
            plan = {"name": "kinder", "candidate": made["version"]}
            body = {"plan": plan, "reason": "test", "skip_evaluation": True}
            begun = await admin("POST", "experiments", body)
            assert (begun["state"], begun["control"]) == ("running", 1)
            again = await http.post("/admin/experiments", json=body, headers=OPS)
            assert again.status_code == 409
            arms = {f"s{i}": await ask(f"s{i}", 0) for i in range(24)}
            assert set(arms.values()) == {"1", str(made["version"])}
            assert {session: await ask(session, 1) for session in arms} == arms

            async def seen() -> bool:
                verdict = (await admin("GET", "experiments/runs/kinder"))["verdict"]
                units, scored = (sum(verdict[name].values()) for name in ("units", "scored"))
                return bool(units == 24 and scored > 0)

            await eventually(seen, seconds=60)
            ended = await admin("POST", "experiments/runs/kinder/stop", {"reason": "enough"})
            assert (ended["state"], ended["outcome"]) == ("ended", "stopped")
            assert {await ask(session, 2) for session in arms} == {"1"}
            refused = await http.get("/admin/experiments", headers=DESK)
            assert refused.status_code in (401, 403)
