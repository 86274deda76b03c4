"""A running server: `/admin/prompts`, health, metrics, and what the next answer comes from."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.e2e.running_server import TILORES, RunningServer, clean_environment
from tilores_core import __version__
from tilores_core.deploy.verify import Endpoint
from tilores_core.testing.waiting import wait_until

QUESTION = {"input": "What is the credit score of Edwina Hawthorne?"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    toml = '[use]\ncache = ["memory"]\n[deploy]\npause_seconds = 1800\n'
    with RunningServer(tmp_path_factory.mktemp("prompts"), toml=toml, worker=True) as server:
        yield server


@pytest.fixture
def admin(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.admin, timeout=30) as client:
        yield client


def ask(admin: httpx.Client) -> tuple[str, str, str]:
    """The answer, the number of its prompt version, and the cache tier."""
    output = admin.post("/chat/invoke", json=QUESTION).raise_for_status().json()["output"]
    told = output["response_metadata"]
    return output["content"], told["prompt_version"].partition("-")[0], told["cache"]


def make(admin: httpx.Client, **parts: str) -> int:
    body = {"parts": parts, "reason": "a test"}
    return int(admin.post("/admin/prompts", json=body).raise_for_status().json()["version"])


def deploy(admin: httpx.Client, version: int, **more: Any) -> httpx.Response:
    body = {"version": version, "reason": "a test", "skip_evaluation": True, **more}
    return admin.post("/admin/prompts/deploy", json=body)


def test_deployed_version_answers_and_a_rolled_back_one_finds_its_answer(
    server: RunningServer, admin: httpx.Client
) -> None:
    before = ask(admin)
    assert before[1] == "1"
    number = make(admin, answer_style="Give exact values.")
    assert ask(admin)[1:] == ("1", "l1")
    moved = deploy(admin, number).raise_for_status().json()
    assert (moved["version"], moved["before"]) == (number, 1)
    text, version, tier = ask(admin)
    assert (version, tier) == (str(number), "miss")
    assert text.startswith("Certainly.")
    assert f'tilores_prompt_version{{label="production"}} {number}' in admin.get("/metrics").text
    # By the command, as another process: the server follows by the change counter.
    environment = clean_environment(TILORES_DATA_DIR=str(server.folder / "data"))
    command = [str(TILORES), "prompts", "rollback", "--reason", "worse"]
    subprocess.run(command, cwd=server.folder, env=environment, check=True, timeout=60)
    wait_until(lambda: admin.get("/admin/prompts").json()["labels"]["production"] == 1, "the server does not follow")
    assert ask(admin) == (before[0], "1", "l1")


def test_history_names_key_and_reason(admin: httpx.Client) -> None:
    deploy(admin, make(admin, role="You help a colleague.")).raise_for_status()
    assert datetime.fromisoformat(admin.get("/admin/prompts").json()["known_at"]).tzinfo is not None
    body = {"reason": "worse", "label": "production"}
    assert admin.post("/admin/prompts/rollback", json=body).raise_for_status().json()["checks"] == []
    entry, deployed, *_ = admin.get("/admin/prompts/history?label=production").json()
    assert (entry["action"], entry["reason"]) == ("prompts.rollback", "worse")
    assert deployed["actor"] == entry["actor"] != ""
    assert deployed["detail"]["skip_evaluation"] is True


def test_refused_version_is_a_409_with_the_check(admin: httpx.Client) -> None:
    refused = deploy(admin, make(admin, hedging="Say {word}."))
    assert refused.status_code == 409
    assert "{word} in hedging is not a variable" in refused.json()["detail"]
    counted = 'tilores_prompt_deployments_total{result="refused"} 1'
    assert counted in admin.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("prompts", {"parts": {"tone": "x"}, "reason": "x"}, 422, "parts"),
        ("prompts", {"parts": {"role": "x"}}, 422, "reason"),
        ("prompts", {"parts": {"role": "x" * 20_001}, "reason": "x"}, 422, "role"),
        ("prompts", {"parts": {"role": "x"}, "reason": "x", "parent": 999}, 404, "there are 1 to "),
        ("prompts/check?version=999", {}, 404, "there are 1 to "),
        ("prompts/check?version=none", {}, 422, "version"),
        ("prompts/deploy", {"version": 999, "reason": "x"}, 404, "there are 1 to "),
        ("prompts/deploy", {"version": 999, "reason": "x", "skip_evaluation": True}, 404, "there are 1 to "),
        ("prompts/deploy", {"version": 1, "reason": "x", "label": "No!"}, 422, "label"),
        ("prompts/rollback", {"reason": "x", "to": 999}, 409, "no version before"),
        ("prompts/rollback", {"reason": "x", "label": "other"}, 409, "no version before"),
        ("experiments/plan", {"name": "a", "candidate": 2, "weight": 1}, 422, "weight"),
        ("experiments/plan", {"name": "a", "candidate": 999}, 404, "there are 1 to "),
        ("experiments/plan", {"name": "a"}, 422, "name a candidate"),
        ("experiments?wait=60", {"plan": {"name": "a", "candidate": 999}, "reason": "x"}, 404, "there are 1 to "),
        ("experiments?wait=60", {"plan": {"name": "a", "model": "nothing"}, "reason": "x"}, 422, "no model 'no"),
        ("experiments/runs/none/stop", {"reason": "x"}, 404, "there is no experiment 'none'; there are: none"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_field_or_with_what_there_is(
    admin: httpx.Client, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    refused = admin.post(f"/admin/{path}", json=body)
    assert (refused.status_code, said in refused.text) == (status, True), refused.text


def test_golden_questions_are_asked_by_the_worker_and_the_request_waits_as_long_as_it_likes(
    admin: httpx.Client,
) -> None:
    number = make(admin, answer_style="Give exact values. Use plain words.")
    body = {"version": number, "reason": "plain"}
    accepted = admin.post("/admin/prompts/deploy?wait=0", json=body)
    assert (accepted.status_code, accepted.json()["state"]) == (202, "queued")
    place = accepted.headers["location"]
    wait_until(lambda: admin.get(place).json()["ended"], "the worker does not deploy")
    done = admin.get(place).json()
    assert (done["state"], done["result"]["version"], done["error"]) == ("done", number, None)
    assert {check["check"]: check["result"] for check in done["result"]["checks"]}["evaluation"] == "passed"
    checked = admin.post(f"/admin/prompts/check?version={number}&wait=60")
    assert (checked.status_code, checked.json()["checks"][0]["result"]) == (200, "passed")
    body["version"] = make(admin, hedging="Say {word}.")
    refused = admin.post("/admin/prompts/deploy?wait=60", json=body)
    assert (refused.status_code, "{word} in hedging" in refused.json()["detail"]) == (409, True)
    assert admin.post("/admin/prompts/rollback", json={"reason": "over"}).json()["version"] == 1
    assert admin.get("/admin/prompts/jobs/none").status_code == 404


def test_versions_are_shown_by_number_and_label(admin: httpx.Client) -> None:
    number = make(admin, role="Shown.")
    assert admin.get(f"/admin/prompts/versions/{number}").json()["parts"]["role"] == "Shown."
    assert admin.get("/admin/prompts/versions/production").json()["version"] == 1
    unknown = admin.get("/admin/prompts/versions/nothing")
    assert (unknown.status_code, unknown.json()["fix"]) == (404, "give a number, or one of: production")
    no_text = admin.post("/admin/prompts", json={"parts": {"role": "Shown."}, "reason": "a\0b"})
    assert (no_text.status_code, "zero byte" in no_text.json()["detail"]) == (422, True)
    overview = admin.get("/admin/prompts?limit=1").json()
    assert (len(overview["versions"]), overview["stale"]) == (1, None)


def test_admin_key_is_needed(server: RunningServer) -> None:
    assert httpx.get(f"{server.url}/admin/prompts", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_health_says_which_version_serves(admin: httpx.Client) -> None:
    part = admin.get("/health/detailed").json()["parts"]["prompts"]
    assert (part["status"], part["detail"]["origin"]) == ("ok", "store")
    assert part["detail"]["production"].startswith("1-")


async def test_code_rollout_is_reported_with_the_admin_key_and_shown(
    server: RunningServer, admin: httpx.Client
) -> None:
    key = SecretStr(server.admin["Authorization"].removeprefix("Bearer "))
    endpoint = Endpoint(server.url, "/health/ready", admin_key=key)
    assert await endpoint.report("begin", id="r1", target="railway") is None
    shown = admin.get("/admin/deploy").json()
    assert shown["in_progress"]
    assert shown["version"].startswith(__version__)
    row = shown["rollouts"][0]
    assert (row["id"], row["target"], row["in_progress"]) == ("r1", "railway", True)
    assert row["end_ms"] - row["begin_ms"] == 1000 * 1800  # pause_seconds
    assert await endpoint.report("end", id="r1", result="rolled back") is None
    assert await endpoint.report("end", id="r2", result="failed") == "it answers 422"
    assert not admin.get("/admin/deploy?limit=1").json()["in_progress"]
    assert await Endpoint(server.url, "/health/ready", admin_key=SecretStr("no")).report("begin", id="r3") == (
        "it answers 401"
    )
