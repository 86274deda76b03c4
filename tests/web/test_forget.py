"""`DELETE /admin/customers/{id}` and `tilores forget`: caches, batch inputs and results, and what is out of reach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import TILORES, RunningServer, clean_environment
from tests.processes.forked import Done, run
from tilores_core.jobs.batch_output import keep_early
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.testing.waiting import wait_until

EDWINA = "EDW_HAWTHORNE_001"
QUESTION = {"input": "What is the credit score of Edwina Hawthorne?"}
NDJSON = {"Content-Type": "application/x-ndjson"}
MEMORY = '[use]\ncache = ["memory"]\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("forget"), toml=MEMORY, worker=True) as server:
        yield server


@pytest.fixture
def admin(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.admin, timeout=30) as client:
        yield client


def ask(admin: httpx.Client) -> str:
    reply = admin.post("/chat/invoke", json=QUESTION).json()
    return str(reply["output"]["response_metadata"]["cache"])


def run_batch(admin: httpx.Client, *rows: dict[str, Any]) -> str:
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    job = str(admin.post("/admin/batch", content=body, headers=NDJSON).raise_for_status().json()["id"])
    wait_until(lambda: admin.get(f"/admin/batch/{job}").json()["ended"], "the batch does not end")
    return job


def results(admin: httpx.Client, job: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in admin.get(f"/admin/batch/{job}/results").text.splitlines()]


def test_forgotten_customer_is_in_no_cache_and_no_batch(server: RunningServer, admin: httpx.Client) -> None:
    job = run_batch(
        admin,
        {"id": "1", "customer_id": EDWINA, "question": "What is the credit score?"},
        {"id": "2", "customer_id": EDWINA},
        {"id": "3", "customer_id": "NOBODY", "question": "What is the credit score?"},
    )
    assert [ask(admin), ask(admin)][1] == "l1"
    folder = server.folder / "data" / "batch" / job
    wait_until(lambda: (folder / "ended").exists(), "the job is not marked as ended")
    removed = admin.delete(f"/admin/customers/{EDWINA}").raise_for_status().json()
    assert removed["removed"]["cache"]["answers"] >= 1
    assert removed["removed"]["batch_results"] == 2
    assert removed["removed"]["batch_inputs"] == 1
    assert [one["where"] for one in removed["not_reached"]] == ["customer source 'demo'"]
    assert [row["id"] for row in results(admin, job)] == ["3"]
    held = [path for path in folder.rglob("*") if path.is_file() and EDWINA.encode() in path.read_bytes()]
    assert held == []
    assert ask(admin) == "miss"


def test_forgetting_again_removes_nothing(admin: httpx.Client) -> None:
    admin.delete(f"/admin/customers/{EDWINA}").raise_for_status()
    again = admin.delete(f"/admin/customers/{EDWINA}").raise_for_status().json()
    assert again["removed"] == {"cache": {}, "batch_results": 0, "batch_inputs": 0, "questions": 0}
    assert admin.delete("/admin/customers/no%2Fsuch/customer").status_code == 200


@pytest.mark.parametrize("path", ["%20", "a%00b", "x" * 501, "%0A"])
def test_customer_id_that_cannot_be_one_is_refused_with_the_field(admin: httpx.Client, path: str) -> None:
    reply = admin.delete(f"/admin/customers/{path}")
    assert (reply.status_code, "500 printable characters" in reply.json()["detail"]) == (422, True), reply.text


def test_forgetting_needs_an_admin_key(server: RunningServer) -> None:
    assert httpx.delete(f"{server.url}/admin/customers/{EDWINA}", timeout=30).status_code == 401


def test_batch_that_has_not_ended_is_reported_and_left_alone(tmp_path: Path) -> None:
    running = tmp_path / "running"
    running.mkdir()
    (running / "in.csv").write_text(f"id,customer_id\n1,{EDWINA}\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "in.jsonl").write_text('{"customer_id": "C-1"}\n')
    assert JobFolder(tmp_path).forget(EDWINA) == (0, 0, ["running"])
    assert EDWINA in (running / "in.csv").read_text()


def test_results_are_searched_by_the_id_as_json_spells_it(tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    (job / "ended").touch()
    rows = [{"id": "1", "customer_id": 'Mü"ller'}, {"id": "2", "customer_id": "Müller"}]
    (job / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (job / "in.jsonl").write_text(json.dumps({"customer_id": 'Mü"ller'}, ensure_ascii=False) + "\n")
    assert JobFolder(tmp_path).forget('Mü"ller') == (1, 1, [])
    assert [json.loads(line)["id"] for line in (job / "out.jsonl").read_text().splitlines()] == ["2"]
    assert (job / "out.jsonl").stat().st_mode & 0o077 == 0


def test_results_that_were_kept_before_their_turn_are_searched_as_well(tmp_path: Path) -> None:
    """A batch that is cancelled keeps what was finished before its turn beside its results."""
    for name in ("cancelled", "running", "ending"):
        (tmp_path / name).mkdir()
        keep_early(tmp_path / name / "out.jsonl", {3: {"id": "4", "customer_id": EDWINA, "answer": "812"}})
    (tmp_path / "cancelled" / "ended").touch()
    folder = JobFolder(tmp_path)
    folder.mark_ended("ending")
    assert folder.forget(EDWINA) == (0, 0, ["running"])
    assert [path.parent.name for path in tmp_path.glob("*/*.early")] == ["running"]


def test_command_line_forgets_by_the_server_and_says_what_it_removed(
    server: RunningServer, admin: httpx.Client, tmp_path: Path
) -> None:
    ask(admin)

    def forget(*words: str) -> Done:
        environment = clean_environment(TILORES_DATA_DIR=str(server.folder / "data"))
        return run([TILORES, "forget", *words], cwd=server.folder, env=environment)

    done = forget(EDWINA, "--url", server.url)
    assert done.returncode == 0, done.stderr
    assert re_answers(done.stdout) >= 1
    assert "not reached: customer source 'demo'" in done.stdout
    assert json.loads(forget(EDWINA, "--url", server.url, "--json").stdout)["removed"]["cache"] == {}
    refused = forget("")
    assert (refused.returncode, "500 printable characters" in refused.stderr) == (1, True)
    alone = forget(EDWINA).stdout  # all tiers are inside the server
    assert f"not reached: the memory of running servers: ask each server: tilores forget {EDWINA} --url" in alone


def re_answers(text: str) -> int:
    words = text.split("\n")[0].replace(",", "").split()
    return int(words[words.index("answers") - 1])
