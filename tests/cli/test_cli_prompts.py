"""`tilores prompts …`, as a user types it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Command


def new(tilores: Command, text: str = "Use short sentences. Be kind.") -> int:
    made = tilores.json("prompts", "new", "--part", f"answer_style={text}", "--reason", "kinder")
    assert made["new"]
    return int(made["version"])


def test_untouched_prompts_are_the_builtin_and_make_no_database(tilores: Command) -> None:
    (row,) = tilores.json("prompts", "list")
    assert (row["version"], row["labels"], row["author"]) == (1, ["production"], "tilores-core")
    assert set(tilores.json("prompts", "show")["parts"]) >= {"role", "refusal", "guidance.credit_analysis"}
    assert tilores.json("prompts", "history") == []
    assert not (tilores.folder / "data" / "state.sqlite3").exists()


def test_version_is_made_deployed_and_rolled_back(tilores: Command) -> None:
    number = new(tilores)
    done = tilores.json("prompts", "deploy", str(number), "--reason", "test", "--skip-evaluation", "--author", "jo")
    assert (done["label"], done["version"], done["before"]) == ("production", number, 1)
    back = tilores.json("prompts", "rollback")
    assert (back["version"], back["before"]) == (1, number)
    assert [row["kind"] for row in tilores.json("alerts", "list")] == ["prompt.rolled_back"]
    actions = [(row["action"], row["from"], row["to"]) for row in tilores.json("prompts", "history")]
    assert actions[0] == ("prompts.rollback", number, 1)
    assert actions[1] == ("prompts.deploy", 1, number)
    assert tilores.run("prompts", "rollback", "--reason", " ").returncode == 2
    shown = tilores.run("prompts", "history", "--label", "production")
    assert "rolled back by hand" in shown.stdout
    is_there = tilores.run("prompts", "rollback", "--to", "1")
    assert (is_there.returncode, "version 1 is 'production' already" in is_there.stderr) == (1, True)
    nothing_before = tilores.run("prompts", "rollback")
    assert (nothing_before.returncode, "no version before version 1" in nothing_before.stderr) == (1, True)


def test_refused_version_shows_all_checks_and_ends_with_one(tilores: Command) -> None:
    nothing_yet = tilores.fails("prompts", "rollback")
    assert "'production' has no version before this one" in nothing_yet
    number = new(tilores, "Greet {agent} in short sentences.")
    refused = tilores.run("prompts", "deploy", str(number), "--reason", "test", "--skip-evaluation")
    assert refused.returncode == 1
    assert "refused  variables   {agent} in answer_style is not a variable" in refused.stdout
    assert "passed   length" in refused.stdout
    assert tilores.run("prompts", "check", str(number), "--skip-evaluation").returncode == 1
    assert tilores.json("prompts", "list")[1]["labels"] == ["production"]


def test_diff_shows_the_lines_of_parts_that_changed(tilores: Command) -> None:
    number = new(tilores, "Be kind.")
    said = tilores.run("prompts", "diff", "production", str(number)).stdout
    assert f"--- 1/answer_style\n+++ {number}/answer_style\n" in said
    assert "+Be kind." in said
    assert "hedging" not in said
    assert tilores.run("prompts", "diff", "1", "1").stdout == ""


def test_files_go_out_and_come_back(tilores: Command, tmp_path: Path) -> None:
    folder = tmp_path / "prompt"
    pulled = tilores.json("prompts", "pull", str(folder))
    assert pulled["version"] == 1
    assert (folder / "guidance" / "credit_analysis.md").is_file()
    unchanged = tilores.json("prompts", "push", str(folder), "--reason", "none")
    assert unchanged == {"version": 1, "new": False}
    (folder / "role.md").write_text("You help a colleague.\n")
    (folder / "guidance" / "credit_analysis.md").unlink()
    (folder / "README.md").write_text("ours")
    pushed = tilores.json("prompts", "push", str(folder), "--reason", "ours")
    assert pushed == {"version": 2, "new": True}
    assert "version = 2" in (folder / "prompt.toml").read_text()
    shown = tilores.json("prompts", "show", "2")
    assert (shown["parts"]["role"], shown["parent"]) == ("You help a colleague.", 1)
    assert "guidance.credit_analysis" not in shown["parts"]
    tilores.json("prompts", "pull", str(folder), "1")
    assert (folder / "guidance" / "credit_analysis.md").is_file()


def test_files_that_are_no_prompt_are_refused(tilores: Command, tmp_path: Path) -> None:
    folder = tmp_path / "prompt"
    folder.mkdir()
    empty = tilores.run("prompts", "push", str(folder), "--reason", "x")
    assert (empty.returncode, "no files of a prompt" in empty.stderr) == (1, True)
    (folder / "tone.md").write_text("x")
    unknown = tilores.run("prompts", "push", str(folder), "--reason", "x")
    assert "'tone' is not a part of a prompt" in unknown.stderr
    (folder / "tone.md").unlink()
    (folder / "role.md").write_bytes(b"\xff")
    assert "is not UTF-8" in tilores.run("prompts", "push", str(folder), "--reason", "x").stderr
