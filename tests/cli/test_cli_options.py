"""What the commands share."""

from __future__ import annotations

import pwd

import pytest
from typer.testing import CliRunner

from tilores_core.cli.command import app
from tilores_core.cli.options import get_user


def test_user_without_a_name_is_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number: commands that write the audit log failed there."""

    def no_such_user(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_such_user)
    assert get_user() == "command line"


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(
    "words",
    [
        ("alerts", "silence", "--minutes"),
        ("alerts", "silence", "--starts-in"),
        ("doctor", "--timeout"),
        ("evaluate", "--max-dollars"),
        ("experiments", "plan", "--min-hours"),
        ("questions", "collect", "--output", "questions.jsonl", "--days"),
    ],
)
def test_number_that_is_not_finite_is_refused_with_its_option(words: tuple[str, ...], number: str) -> None:
    done = CliRunner().invoke(app, [*words, number])
    assert done.exit_code == 2
    assert f"Invalid value for '{words[-1]}'" in done.output
