"""`/admin/evaluations`, and the worker that does what is asked for there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.quality.evaluated import evaluator, golden, opened
from tilores_core.quality.evaluation import EvaluationPlan
from tilores_core.resilience.work_mark import has_work
from tilores_core.testing import TestApp
from tilores_core.testing.waiting import eventually
from tilores_core.worker.evaluating import run_evaluations


async def test_runs_and_tables_are_served_to_admins(tmp_path: Path) -> None:
    async with opened(tmp_path) as services:
        plan = EvaluationPlan(models=("demo:simulated-1",), questions=golden().validation[:4])
        run = await evaluator(services).evaluate(plan)
    async with TestApp(data_dir=tmp_path) as app:
        listed = (await app.http.get("/admin/evaluations")).json()
        assert [(row["id"], row["state"]) for row in listed] == [(run.id, "done")]
        assert listed[0]["summary"]["answers"] == 4
        one = (await app.http.get(f"/admin/evaluations/{run.id}")).json()
        assert sum(cell["count"] for cell in one["table"]) == 4
        for name in ("none", "no%00ne", "%F0%9F%90%9F" * 80, "../etc"):
            missing = await app.http.get(f"/admin/evaluations/{name}")
            assert missing.status_code == 404, name
        assert run.id in (await app.http.get("/admin/evaluations/none")).json()["fix"]
        assert (await app.http.get("/admin/evaluations?limit=0")).status_code == 422
        refused = await app.http.get("/admin/evaluations", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401


async def test_an_evaluation_asked_for_over_http_is_done_by_the_worker(tmp_path: Path) -> None:
    body = {"models": ["demo:simulated-1"], "per_spectrum": 1, "spectrums": ["credit_analysis"], "max_calls": 5}
    async with TestApp(data_dir=tmp_path) as app:
        asked = await app.http.post("/admin/evaluations", json=body)
        assert asked.status_code == 202, asked.text
        run_id = asked.json()["id"]
        for wrong in (
            {"models": ["nowhere:nothing"]},
            {"judge": "nowhere:nothing"},
            {"spectrums": ["credit_analsis"]},
            {"prompt": "77"},
            {"compare": "none"},
            {"max_calls": True},
        ):
            refused = await app.http.post("/admin/evaluations", json=wrong)
            assert (refused.status_code, wrong) == (422, wrong)
            assert next(iter(wrong)).removesuffix("s") in refused.json()["detail"], refused.text
        assert (await app.http.post("/admin/evaluations", json={"split": "all"})).status_code == 422
        assert (await app.http.get(f"/admin/evaluations/{run_id}")).json()["state"] == "queued"

        async def ended() -> bool:
            states = {row["id"]: row["state"] for row in (await app.http.get("/admin/evaluations")).json()}
            return bool(states[run_id] == "done")

        async with opened(tmp_path) as services:
            working = asyncio.create_task(run_evaluations(services))
            await eventually(ended)
            await eventually(lambda: not has_work(tmp_path))  # it only waits now
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            assert services.metrics is not None
            counted = (await services.metrics.text())[0].decode()
            assert 'tilores_evaluation_answers_total{result="ok"} 1' in counted
            (score,) = [line for line in counted.splitlines() if line.startswith("tilores_evaluation_score{")]
            assert 'model="simulated-1"' in score
            assert 'spectrum="credit_analysis"' in score
        row = (await app.http.get(f"/admin/evaluations/{run_id}")).json()
        assert row["summary"]["answers"] == 1
        assert [(cell["spectrum"], cell["count"]) for cell in row["table"]] == [("credit_analysis", 1)]
