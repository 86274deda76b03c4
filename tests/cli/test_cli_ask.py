from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.host.throwaway_plugins import Site
from tests.redis_server import needs_redis
from tilores_core.contracts import Answer
from tilores_core.testing.waiting import wait_until

QUESTION = "What is Edwina Hawthorne's credit score?"
# A warning in every log: nothing of it belongs on standard output.
WARNS = "[plugins.no-such-plugin]\nx = 1\n[plugins.demo-model]\nlatency_ms = {latency}\n"


def test_the_answer_and_nothing_else_is_printed(tilores: Command) -> None:
    tilores.config(WARNS.format(latency=0))
    done = tilores.run("ask", QUESTION)
    assert done.returncode == 0, done.stderr
    assert "742" in done.stdout
    assert done.stdout.count("\n") == 1
    assert "no-such-plugin" in done.stderr


@needs_redis
def test_with_the_defaults_the_second_time_it_is_known(tilores: Command) -> None:
    def tier() -> str:
        done = tilores.run("ask", QUESTION, "--json")
        assert done.stderr == ""
        return str(json.loads(done.stdout)["cache_tier"])

    assert tier() == "miss"
    # A Redis that needs longer to start than a command waits for it keeps the next answer.
    wait_until(lambda: tier() == "l2", "an answer from the embedded Redis")


def test_json_is_the_whole_answer(tilores: Command) -> None:
    tilores.config(WARNS.format(latency=0))
    answer = tilores.json("ask", "What is the credit score?", "--customer", "EDW_HAWTHORNE_001")
    assert "742" in answer["text"]
    assert answer["customer"] == {
        "kind": "one",
        "customer_id": "EDW_HAWTHORNE_001",
        "choices": [],
        "distinguished_by": [],
        "more": 0,
    }
    assert set(answer) == {*Answer.__struct_fields__, "latency_ms"}
    assert answer["latency_ms"] > 0


def test_a_customer_who_does_not_exist_is_exit_code_1(tilores: Command) -> None:
    assert tilores.json("ask", "Credit score?", "--customer", "NOBODY", code=1)["customer"]["kind"] == "none"


def test_an_unknown_model_is_answered_with_what_to_do(tilores: Command) -> None:
    assert "tilores models" in tilores.fails("ask", "hi", "--model", "nobody:nothing")
    assert "did you mean 'demo:simulated-1'" in tilores.fails("ask", "hi", "--model", "demo-simulated-1")


def test_a_model_that_fails_is_an_error(tilores: Command) -> None:
    tilores.config("[plugins.demo-model]\nfailure_rate = 1.0\n")
    said = tilores.run("ask", QUESTION)
    assert said.returncode == 1
    assert said.stdout == ""
    assert "error: the demo model does not answer" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("is_asking", [False, True], ids=["importing", "asking"])
def test_ctrl_c_ends_it_quietly_at_any_time(tilores: Command, is_asking: bool) -> None:
    tilores.config(WARNS.format(latency=600_000))
    process = tilores.start("ask", QUESTION)
    tilores.wait_for_library(process, "pydantic_core")  # before that Python itself is starting
    if is_asking:
        assert process.stderr is not None
        assert "no-such-plugin" in process.stderr.readline()
        time.sleep(1.0)  # nothing is written when the model is asked; an earlier moment is as good
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err


def test_models(tilores: Command) -> None:
    lines = [line.split(maxsplit=1) for line in tilores.run("models").stdout.splitlines()]
    assert ["demo:simulated-1", "default, simulated, context 128000"] in lines
    rows = tilores.json("models")
    assert [row["id"] for row in rows] == [name for name, _ in lines]
    assert {row["id"].startswith("demo:") == row["simulated"] for row in rows} == {True}
    (row,) = [row for row in rows if row["default"]]
    assert row["id"] == "demo:simulated-1"
    assert row["default"] is row["simulated"] is True
    for row in rows:
        if row["id"].startswith("anthropic:"):
            assert "ANTHROPIC_API_KEY" in row["unavailable"]


ELSEWHERE = """
from tilores_core import LLMProviderSpec, hookimpl

@hookimpl
def register_llm_providers():
    lacking = {"nowhere_sdk": "dist-elsewhere[sdk]"}
    return [LLMProviderSpec(name="elsewhere", factory=lambda context: None, requires=lacking)]
"""


def test_a_provider_without_its_library_says_what_to_install(tilores: Command, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    Site(site).install("elsewhere", ELSEWHERE)
    tilores.variables["PYTHONPATH"] = str(site)
    install = "pip install 'dist-elsewhere[sdk]'"
    (line,) = [line for line in tilores.run("models").stdout.splitlines() if line.startswith("elsewhere")]
    assert line.startswith("elsewhere:* ")
    assert install in line
    models = tilores.json("models")
    (row,) = [row for row in models if row["id"] == "elsewhere:*"]
    assert install in row["unavailable"]
    assert row.keys() == models[0].keys()
    said = tilores.fails("ask", QUESTION, "--model", "elsewhere:large")
    assert "the library of 'elsewhere' is not installed" in said
    assert install in said
    (finding,) = [row for row in tilores.json("doctor") if row["part"] == "provider elsewhere"]
    assert finding["state"] == "ok"
    assert install in finding["detail"]


def test_models_are_listed_without_the_customers(tilores: Command) -> None:
    tilores.config('[use]\nsource = "file"\n[plugins.file]\npath = "missing.csv"\n')
    assert tilores.run("models").returncode == 0
    assert "there is no file 'missing.csv'" in tilores.fails("ask", "hi")


@pytest.mark.parametrize(
    "line",
    [
        "tilores plugins list | head -1",
        "tilores --help | true",
        "tilores models --json | true",
        f'tilores ask "{QUESTION}" | true',
        f'printf "%s\\n" "{QUESTION}" | tilores chat | true',
        "tilores plugins list >&-",
    ],
)
def test_a_reader_that_goes_leaves_no_traceback(tilores: Command, line: str) -> None:
    done = tilores.shell(line)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert "Exception ignored" not in done.stderr
