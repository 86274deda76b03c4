"""`tilores improve …` and `tilores learning …`, as a user types them."""

from __future__ import annotations

from tests.cli.command import Command

RUN = (
    *("improve", "run", "--strategy", "mock", "--models"),
    "demo:simulated-rounding",
    "--max-calls",
    "400",
    "--propose",
)


def test_before_the_first_cycle(tilores: Command) -> None:
    assert tilores.json("improve", "history") == []
    assert tilores.json("improve", "status")["cycle"] is None
    nowhere = tilores.run("improve", "run", "--strategy", "mock", "--spectrums", "credit_analyses")
    assert (nowhere.returncode, "credit_analysis" in nowhere.stderr) == (1, True)
    assert tilores.json("improve", "episodes") == {"episodes": [], "lessons": []}
    assert tilores.run("improve", "report", "--format", "pdf").returncode == 2
    assert "no improvement cycle" in tilores.run("improve", "history").stdout
    assert "Nothing was learned" in tilores.run("learning", "show").stdout
    missing = tilores.run("improve", "report", "0815")
    assert (missing.returncode, "tilores improve history" in missing.stderr) == (1, True)
    without = tilores.run("improve", "run")
    assert (without.returncode, "--strategy" in without.stderr) == (1, True)


def test_a_cycle_is_estimated_run_listed_reported_and_learned_from(tilores: Command) -> None:
    (tilores.folder / "plugins.toml").write_text("[improve]\nper_spectrum = 2\n")
    config = ("--config", str(tilores.folder / "plugins.toml"))
    estimate = tilores.json(*config, *RUN, "--dry-run")
    assert estimate["least_calls"] <= estimate["most_calls"] == 400
    assert "held-out" in tilores.run(*config, *RUN, "--dry-run").stdout
    done = tilores.run(*config, *RUN)
    assert done.returncode == 0
    assert "strategy: mock (mock)" in done.stdout
    assert "6/6 recommendations" in done.stderr
    (row,) = tilores.json("improve", "history")
    assert tilores.run("improve", "pause", "--reason", "a launch").returncode == 0
    said = tilores.json("improve", "status")
    assert (said["cycle"], said["paused"]["reason"]) == (row, "a launch")
    shown = tilores.run("improve", "status").stdout
    assert row["id"] in shown
    assert "a launch" in shown
    page = tilores.folder / "report.html"
    assert tilores.run("improve", "report", "--format", "html", "--output", str(page)).returncode == 0
    assert "<svg" in page.read_text()
    assert tilores.run("improve", "report", row["id"]).stdout == done.stdout
    learned = tilores.json("learning", "show")
    assert learned
    assert learned[0]["instruction"] in tilores.run("learning", "show").stdout
    file = str(tilores.folder / "lessons.json")
    assert tilores.run("learning", "export", file).returncode == 0
    assert tilores.run("learning", "import", file).stdout == "0 observations are new\n"
