"""`tilores batch` as a user runs it."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command, Terminal
from tests.jobs.conftest import TOML
from tilores_core.testing.waiting import wait_until

EDWINA = "EDW_HAWTHORNE_001"


def _questions(folder: Path, count: int, **more: str) -> list[str]:
    ids = [f"line-{place}" for place in range(count)]
    rows = [
        {"id": one, "customer_id": EDWINA, "question": f"What is the credit score? ({one})", **more} for one in ids
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ids


def _rows(folder: Path, name: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


class Coloured(Command):
    """On a terminal that can draw."""

    def environment(self, **added: str) -> dict[str, str]:
        return super().environment(**{**added, "TERM": "xterm-256color"})


def test_questions_in_answers_out(tilores: Command) -> None:
    (tilores.folder / "in.csv").write_text(
        "id;customer_id;question\na;;What is Edwina Hawthorne's credit score?\n"
        f"b;{EDWINA};What is the credit score?\nc;;What is Edwina Hawthorne's credit score?\nd;{EDWINA};\n"
    )
    done = tilores.run("batch", "in.csv", "out.jsonl", "--model", "demo:simulated-1")
    assert done.returncode == 0, done.stderr
    rows = _rows(tilores.folder)
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert all("742" in row["answer"] for row in rows[:3])
    assert rows[2]["cache"] in ("batch", "l1")
    assert {record["system"] for record in rows[3]["records"]}
    assert "out.jsonl: 4 lines, in" in done.stdout
    assert "failed 0" in done.stdout
    assert not (tilores.folder / "out.jsonl.failed.jsonl").exists()


def test_failures_end_with_code_1_and_a_file_to_run_again(tilores: Command) -> None:
    ids = _questions(tilores.folder, 5)
    with (tilores.folder / "in.jsonl").open("a") as file:
        file.write('{"id": "bad", "question": "Hello?", "model": "nowhere:x"}\n')
    done = tilores.run("batch", "in.jsonl", "out.jsonl")
    assert done.returncode == 1
    assert "failed 1" in done.stdout
    assert "tilores batch out.jsonl.failed.jsonl out.jsonl.again.jsonl" in done.stderr
    assert [row["id"] for row in _rows(tilores.folder)] == [*ids, "bad"]
    error = _rows(tilores.folder)[-1]["error"]
    assert error["code"] == "unknown_model"
    again = tilores.folder / "out.jsonl.failed.jsonl"
    again.write_text(again.read_text().replace("nowhere:x", "demo:simulated-1"))
    assert tilores.run("batch", again.name, "again.jsonl").returncode == 0
    assert [row["id"] for row in _rows(tilores.folder, "again.jsonl")] == ["bad"]


def test_failures_that_pass_are_tried_again(tilores: Command) -> None:
    tilores.config(TOML.format(latency=0, failures=0.3) + "[routing]\nattempts = 1\nbreaker_failures = 10000\n")
    ids = _questions(tilores.folder, 30)
    done = tilores.run("batch", "in.jsonl", "out.jsonl", "--concurrency", "8", "--json")
    rows = _rows(tilores.folder)
    assert [row["id"] for row in rows] == ids
    assert any(row["attempts"] > 1 for row in rows)
    assert sum("error" not in row for row in rows) >= 25
    assert json.loads(done.stdout.splitlines()[-1])["attempts"] > 30


def test_json_is_json_and_nothing_else(tilores: Command) -> None:
    tilores.config(TOML.format(latency=150, failures=0))
    _questions(tilores.folder, 20)
    done = tilores.run("batch", "in.jsonl", "out.jsonl", "--concurrency", "2", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert len(events) > 1
    last = events[-1]
    assert (last["event"], last["lines"], last["of"], last["failures"]) == ("end", 20, 20, None)
    assert {"failed", "cached", "rate", "eta_s", "seconds", "output"} <= set(last)


def test_a_bar_on_a_terminal(tilores: Command) -> None:
    tilores.config(TOML.format(latency=200, failures=0))
    _questions(tilores.folder, 12)
    terminal = Terminal(Coloured(tilores.folder), "batch", "in.jsonl", "out.jsonl", "--concurrency", "2")
    try:
        seen = terminal.wait_for("/s, ")
        assert re.search(r"\d+/12", seen)
        assert "failed" in seen
        terminal.wait_for("12 lines, in")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()


def test_wrong_use(tilores: Command) -> None:
    assert "does not exist" in tilores.fails("batch", "nowhere.jsonl", "out.jsonl", code=2)
    _questions(tilores.folder, 1)
    assert "is the input" in tilores.fails("batch", "in.jsonl", "in.jsonl")
    (tilores.folder / "there.jsonl").write_text("precious")
    assert "continue it with --resume" in tilores.fails("batch", "in.jsonl", "there.jsonl")
    assert (tilores.folder / "there.jsonl").read_text() == "precious"
    assert "known: dask, threads" in tilores.fails("batch", "in.jsonl", "out.jsonl", "--executor", "thread")
    assert "nowhere" in tilores.fails("batch", "in.jsonl", "out.jsonl", "--model", "nowhere:x")
    assert "'--concurrency'" in tilores.fails("batch", "in.jsonl", "out.jsonl", "--concurrency", "0", code=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_asked_to_end_it_keeps_what_was_finished(tilores: Command, number: int) -> None:
    tilores.config(TOML.format(latency=100, failures=0))
    ids = _questions(tilores.folder, 100)
    words = ("batch", "in.jsonl", "out.jsonl", "--concurrency", "5")
    child = tilores.start(*words, imported=True)
    _wait_for_lines(tilores.folder / "out.jsonl", 10)
    child.send_signal(number)
    _, told = child.communicate(timeout=30)
    assert child.returncode == 130, told
    assert "what was finished is kept" in told
    assert "tilores batch in.jsonl out.jsonl --resume" in told
    kept = len(_rows(tilores.folder))
    assert 10 <= kept < 100
    done = tilores.run(*words, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"100 lines, {kept} of them before" in done.stdout
    assert [row["id"] for row in _rows(tilores.folder)] == ids


def test_killed_five_times_and_resumed(tilores: Command) -> None:
    tilores.config(TOML.format(latency=20, failures=0))
    ids = _questions(tilores.folder, 400)
    words = ("batch", "in.jsonl", "out.jsonl", "--concurrency", "4", "--resume")
    chance, output = random.Random(11), tilores.folder / "out.jsonl"
    for _ in range(5):
        begun = output.read_bytes().count(b"\n") if output.exists() else 0
        child = tilores.start(*words, imported=True)
        _wait_for_lines(output, begun + chance.randrange(2, 50))
        child.kill()
        child.communicate()
        output.write_bytes(output.read_bytes() + b'{"id": "torn')  # as a write that a power cut tore
    before = output.read_bytes().rpartition(b"\n")[0].count(b"\n") + 1
    assert 5 < before < 400
    done = tilores.run(*words)
    assert done.returncode == 0, done.stderr
    rows = _rows(tilores.folder)
    assert [row["id"] for row in rows] == ids
    assert all("742" in row["answer"] for row in rows)
    assert f"{before} of them before" in done.stdout


def _wait_for_lines(path: Path, lines: int) -> None:
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= lines, "too few lines")
