"""`tilores experiments …`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import Command
from tests.cli.test_cli_prompts import new


def test_experiment_is_planned_started_looked_at_and_stopped(tilores: Command) -> None:
    number = new(tilores)
    planned = tilores.run("experiments", "plan", "--candidate", str(number))
    assert "scored calls per arm; no scored traffic in the last week" in planned.stdout
    begun = tilores.json(
        "experiments",
        "start",
        "--candidate",
        str(number),
        "--name",
        "kinder",
        "--reason",
        "test",
        "--skip-evaluation",
    )
    assert (begun["state"], begun["control"], begun["weights"]) == ("running", 1, [0.5])
    status = tilores.run("experiments", "status", "kinder").stdout
    assert f"version {number} against 1, running" in status
    assert "continue: not decided yet" in status
    assert "lift: none yet, as both arms need scored answers" in status
    assert "no interval yet" in tilores.run("experiments", "report", "kinder").stdout
    ended = tilores.json("experiments", "stop", "kinder", "--reason", "enough")
    assert (ended["state"], ended["outcome"], ended["reason"]) == ("ended", "stopped", "enough")
    assert "kinder" in tilores.run("experiments", "list").stdout
    actions = [row["action"] for row in tilores.json("prompts", "history")]
    assert "prompts.deploy" in actions  # the candidate's label


def test_wrong_plans_are_refused_with_the_field(tilores: Command, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"name": "a", "candidate": 2, "weight": 0.5}))
    refused = tilores.run("experiments", "start", "--plan", str(plan), "--reason", "test")
    assert (refused.returncode, "weight" in refused.stderr) == (1, True)
    nothing = tilores.run("experiments", "start", "--reason", "test")
    assert (nothing.returncode, "--candidate" in nothing.stderr) == (1, True)
    unknown = tilores.run("experiments", "status", "none")
    assert (unknown.returncode, "there is no experiment 'none'" in unknown.stderr) == (1, True)
