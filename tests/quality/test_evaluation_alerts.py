"""A fall is seen: in the tables, and as alerts that go out and end; nothing is paid for twice."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.quality.evaluated import opened
from tilores_core import Alert, InvalidRequestError
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.quality.evaluation import AnswerResult, Evaluation
from tilores_core.quality.evaluation.alerting import update_alerts
from tilores_core.quality.evaluation.plan import EvaluationRequest
from tilores_core.quality.evaluation.report import as_html, as_text
from tilores_core.quality.scoring.scores import Scores
from tilores_core.settings import QualityTable
from tilores_core.testing import eventually
from tilores_core.worker.evaluating import Evaluated, plan_of, prompt_of, run_evaluation
from tilores_core.worker.jobs import run_alerts

MODELS = ("demo:simulated-rounding", "demo:simulated-1")
CONFIG = {"use": {"source": "demo", "alerts": ["file"]}, "alerts": {"group_seconds": 0}}
SPOILT = {**BUILTIN_PARTS, "answer_style": "Use short sentences and plain words."}
ASKED = EvaluationRequest(models=MODELS, spectrums=("credit_analysis",), per_spectrum=12)


async def test_a_spoilt_prompt_is_seen_alerted_and_mended(tmp_path: Path) -> None:
    async with opened(tmp_path, CONFIG) as services:
        plan = await plan_of(services, ASKED)

        async def evaluated(request: EvaluationRequest) -> Evaluated:
            prompt = None if request.prompt is None else await prompt_of(services, request.prompt)
            return await run_evaluation(services, request, replace(plan, prompt=prompt))

        def sent() -> list[tuple[str, str, str]]:
            """What the file channel has written, the order of one message aside."""
            path = tmp_path / "alerts.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            found = [entry for line in lines for entry in json.loads(line)["alerts"]]
            return sorted((one["reason"], one["kind"], one["model"] or "") for one in found)

        delivering = asyncio.create_task(run_alerts(services))
        first = await evaluated(ASKED)
        assert (first.simulated, first.comparison, first.alerts) == (True, None, 0)
        number, _ = await services.prompts.versions.new(SPOILT, author="test", reason="spoilt on purpose")
        bad = await evaluated(ASKED.model_copy(update={"prompt": str(number), "compare": "last"}))
        assert bad.comparison is not None
        assert bad.comparison.verdict == "worse"
        fallen = {(model, "credit_analysis") for model in MODELS}
        assert set(bad.comparison.worse_cells) == fallen
        levels = services.host.config.quality
        text = as_text(bad.run, levels, simulated=True, comparison=bad.comparison)
        assert text.count("\x1b[31m ! ") + text.count("\x1b[31m! ") == 2, "red, and marked"
        page = as_html(bad.run, levels, simulated=True, comparison=bad.comparison)
        assert page.count('class="worse"') == 2
        assert page.count('against the run compared with" style="background:#ef9a9a"') == 2
        assert bad.alerts == 3
        kinds = [("raised", "quality.degradation", model) for model in ("", *sorted(MODELS))]
        await eventually(lambda: sent() == kinds)
        stored = await (await services.store.get()).prompts.get(number)
        assert stored is not None
        assert stored.scores["golden questions"]["run"] == bad.run.id
        # Still as bad: compared with the good run, not with the last, so that nothing ends.
        assert (await evaluated(ASKED.model_copy(update={"prompt": str(number)}))).alerts == 3
        assert (await evaluated(ASKED.model_copy(update={"alerts": False}))).alerts == 0
        assert (await evaluated(ASKED)).alerts == 0  # the prompt in use is the good one
        await eventually(lambda: [reason for reason, _, _ in sent()] == ["raised"] * 3 + ["resolved"] * 3)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)


async def test_two_at_once_do_not_pay_twice_and_a_spent_budget_is_told(tmp_path: Path) -> None:
    config = {**CONFIG, "plugins": {"demo-model": {"latency_ms": 5}}}
    few = EvaluationRequest(models=MODELS, spectrums=("credit_analysis",), per_spectrum=1)
    async with opened(tmp_path, config) as services:
        plan = await plan_of(services, few)
        done = await asyncio.gather(*(run_evaluation(services, few, plan) for _ in range(2)), return_exceptions=True)
        (refused,) = [one for one in done if isinstance(one, InvalidRequestError)]
        assert "another process does this evaluation already" in refused.message
        (one,) = [one for one in done if isinstance(one, Evaluated)]
        assert (one.run.state, one.run.calls) == ("done", plan.calls)
        alerts = (await services.store.get()).alerts

        async def is_now(state: str) -> bool:
            return [(one.alert.kind, one.state) for one in await alerts.recent()] == [("budget.spent", state)]

        stopped = await run_evaluation(services, few.model_copy(update={"max_calls": 1}), plan, resume=False)
        assert (stopped.run.state, stopped.alerts) == ("stopped", 1)
        await eventually(lambda: is_now("open"))
        assert (await run_evaluation(services, few, plan)).run.resumed == 1
        await eventually(lambda: is_now("resolved"))


class Sink:
    def __init__(self) -> None:
        self.open: dict[str, Alert] = {}

    def raise_alert(self, alert: Alert) -> None:
        self.open[alert.fingerprint] = alert

    def clear(self, fingerprint: str) -> None:
        self.open.pop(fingerprint, None)


def run_of(overall: float, answers: int) -> Evaluation:
    scores = Scores(overall=overall)
    results = tuple(
        AnswerResult(model="x:y", question_id=str(number), spectrum="credit_analysis", scores=scores)
        for number in range(answers)
    )
    return Evaluation(
        id="1", state="done", prompt_version="1", results=results, planned=answers, resumed=0, calls=0,
        dollars=0, seconds=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overall", "answers", "simulated", "severities"),
    [
        (0.97, 5, False, []),
        (0.93, 5, False, ["LOW"]),
        (0.88, 5, False, ["HIGH"]),
        (0.5, 5, False, ["CRITICAL"]),
        (0.5, 4, False, []),
        (0.5, 5, True, []),
    ],
)
def test_floors_of_cells(overall: float, answers: int, simulated: bool, severities: list[str]) -> None:
    sink = Sink()
    update_alerts(sink, run_of(overall, answers), QualityTable(), simulated=simulated)
    assert [alert.severity for alert in sink.open.values()] == severities
    update_alerts(sink, run_of(0.99, 5), QualityTable(), simulated=False)
    assert sink.open == {}
