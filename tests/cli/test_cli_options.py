"""What the commands share."""

from __future__ import annotations

import pwd

import pytest

from tilores_core.cli.options import get_user


def test_user_without_a_name_is_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number: commands that write the audit log failed there."""

    def no_such_user(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_such_user)
    assert get_user() == "command line"
