"""`tilores evaluate` and `tilores questions`, run as a user runs them."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

from tests.cli.command import Command
from tests.e2e.running_server import PATIENCE, TILORES
from tests.processes.forked import start
from tilores_core.testing.waiting import wait_until

ROSTER = "demo:simulated-units,demo:simulated-1"
SMALL = ("evaluate", "--models", ROSTER, "--per-spectrum", "2")
CALLS = 28
SLOW = '[use]\nsource = "demo"\n[plugins.demo-model]\nlatency_ms = 150\n'


def test_evaluate_reports_goes_on_after_a_kill_and_compares(tmp_path: Path) -> None:
    command = Command(tmp_path)
    done = command.run(*SMALL, "--json", "whole.json", "--html", "e.html", "--junit", "e.xml")
    assert done.returncode == 0, done.stderr
    assert "simulated models: they read instructions by rule" in done.stdout
    assert "28 of 28 answers" in done.stdout
    assert "demo:simulated-units" in done.stdout
    assert "grounding.flagged" not in done.stderr
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert (whole["simulated"], len(whole["table"]), len(whole["results"])) == (True, 14, CALLS)
    page = (tmp_path / "e.html").read_text()
    assert "Simulated models" in page
    assert page.count("<td") >= 14 * 6
    suites = ElementTree.parse(tmp_path / "e.xml").getroot()
    assert [suite.get("tests") for suite in suites] == ["14", "14"]
    # the same again, killed in the middle
    kept = _killed_in_the_middle(command) - CALLS
    assert 0 < kept < CALLS
    done = command.run(*SMALL, "--compare", "last", "--json", "resumed.json", "--min", "0.99")
    assert done.returncode == 1  # below the minimum
    assert "below --min 0.99" in done.stderr
    assert "No difference was found: +0.0 points over 28 pairs" in done.stdout
    resumed = json.loads((tmp_path / "resumed.json").read_text())
    assert (resumed["resumed"], resumed["calls"]) == (kept, CALLS - kept)
    assert resumed["table"] == whole["table"]


def _killed_in_the_middle(command: Command) -> int:
    """How many finished calls the store holds after a kill -9."""
    (command.folder / "slow.toml").write_text(SLOW)
    with (command.folder / "out").open("w+b") as out:
        running = start(
            [str(TILORES), "--config", "slow.toml", *SMALL, "--concurrent", "1", "--fresh"],
            cwd=command.folder,
            env=command.environment(),
            stdin=out.fileno(),
            stdout=out.fileno(),
            stderr=out.fileno(),
        )
        wait_until(lambda: _finished(command.folder) > CALLS + 2, "finished calls")
        running.send_signal(signal.SIGKILL)
        running.wait(PATIENCE)
    return _finished(command.folder)


def _finished(folder: Path) -> int:
    (path,) = [path for path in (folder / "data").glob("*") if path.suffix in (".db", ".sqlite", ".sqlite3")]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
        return int(opened.execute("SELECT count(*) FROM tilores_evaluation_results").fetchone()[0])


def test_dry_run_and_wrong_use(tmp_path: Path) -> None:
    command = Command(tmp_path)
    dry = command.run(*SMALL, "--dry-run")
    assert dry.returncode == 0
    assert "calls: 28" in dry.stdout
    assert "cost, about: 0.00 USD" in dry.stdout
    wrong = command.run("evaluate", "--spectrums", "credit_analsis")
    assert wrong.returncode == 2
    assert "credit_analysis" in wrong.stderr
    unknown = command.run("evaluate", "--models", f"{ROSTER},demo:nope")
    assert (unknown.returncode, "answers" in unknown.stderr) == (2, False)
    assert "demo has no model 'nope'; use one of demo:simulated-1" in " ".join(unknown.stderr.split())
    assert command.run("improve", "run", "--strategy", "mock", "--models", "demo:nope").returncode == 2
    assert command.run("evaluate", "--seed", str(2**31)).returncode == 2
    nowhere = command.run(*SMALL, "--html", "nowhere/page.html")
    assert (nowhere.returncode, "of 28 answers" in nowhere.stderr) == (1, False)  # before a call is paid for
    assert "nowhere/page.html: cannot be written" in nowhere.stderr


def test_answers_with_values_of_no_record_are_summed_up_and_not_logged_one_by_one(tmp_path: Path) -> None:
    command = Command(tmp_path)
    parts = ("--part", "role=Answer at length.", "--part", "refusal=", "--part", "answer_style=")
    assert command.run("prompts", "new", *parts, "--reason", "poor").returncode == 0
    models = "demo:simulated-rounding,demo:simulated-guessing"
    done = command.run("evaluate", "--models", models, "--per-spectrum", "3", "--prompt", "2")
    assert "of 42 answers held values that are not in the records" in done.stderr
    assert "grounding.flagged" not in done.stderr


def test_questions_are_made_checked_and_listed(tmp_path: Path) -> None:
    command = Command(tmp_path)
    made = command.run("questions", "make", "-o", "own.yaml", "--customers", "6", "--per-spectrum", "2")
    assert made.returncode == 0, made.stderr
    assert "own.yaml: 42 questions (training 14, validation 14, held-out 14)" in made.stdout
    checked = command.json("questions", "check", "own.yaml")
    assert checked["problems"] == []
    rows = command.json("questions", "list", "own.yaml", "--spectrum", "credit_analysis")
    assert [row["split"] for row in rows].count("held-out") == 2
    assert (tmp_path / "own.yaml").stat().st_mode & 0o077 == 0
    wrong = command.run("questions", "list", "own.yaml", "--spectrum", "credit_analsis")
    assert (wrong.returncode, "known: call_center_operations" in wrong.stderr) == (2, True)
