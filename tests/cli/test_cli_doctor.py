"""`tilores doctor` finds each kind of problem in real broken settings, and says what to do."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.host.throwaway_plugins import Site, good
from tilores_core.cli.doctor_checks import data_folder

MEMORY = '[use]\ncache = ["memory"]\n'


def findings(tilores: Command, code: int, *options: str, **variables: str) -> list[dict[str, Any]]:
    tilores.variables |= variables
    return list(tilores.json("doctor", *options, code=code))


def found(rows: list[dict[str, Any]], part: str, state: str) -> dict[str, Any]:
    """The one finding about a part in a state; a problem always comes with its mend."""
    (row,) = [row for row in rows if (row["part"], row["state"]) == (part, state)]
    assert state == "ok" or row["fix"], row
    return row


def bad(rows: list[dict[str, Any]]) -> list[str]:
    return [row["part"] for row in rows if row["state"] == "problem"]


def test_all_is_well(tilores: Command) -> None:
    tilores.config(MEMORY)
    rows = findings(tilores, 0)
    assert {row["state"] for row in rows} == {"ok"}
    assert [row["part"] for row in rows] == [
        "settings",
        "data folder",
        "state",
        "plugins.toml",
        "plugins",
        "keys",
        "source",
        "cache tier memory",
        "model",
    ]
    assert found(rows, "source", "ok")["detail"] == "demo: 375 fields"
    assert "simulated: answered in" in found(rows, "model", "ok")["detail"]


def test_as_text_with_the_mends_below(tilores: Command) -> None:
    tilores.config('[use]\nsource = "dmo"\n')
    done = tilores.run("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    assert (
        "problem  plugins: plugins.toml: use.source: there is no source 'dmo'; did you mean 'demo'?\n" in done.stdout
    )
    assert "\n         fix: correct the name" in done.stdout
    assert "\nok       model: demo:simulated-1" in done.stdout  # the others are looked at all the same


def test_wrong_variables(tilores: Command) -> None:
    rows = findings(tilores, 1, PORT="many", TILORES_RATE_LIMIT="lots")
    assert bad(rows) == ["settings"]
    detail = found(rows, "settings", "problem")["detail"]
    assert "PORT" in detail
    assert "TILORES_RATE_LIMIT" in detail


@pytest.mark.parametrize("text", ["x =", "[host]\nautolod = 1\n"])
def test_a_broken_plugins_toml(tilores: Command, text: str) -> None:
    tilores.config(text)
    assert bad(findings(tilores, 1)) == ["plugins.toml"]


def test_a_named_file_that_is_not_there(tilores: Command) -> None:
    rows = findings(tilores, 1, TILORES_CONFIG="nowhere.toml")
    assert "no such file" in found(rows, "plugins.toml", "problem")["detail"]


def test_a_data_folder_that_cannot_be_written(tilores: Command) -> None:
    tilores.config(MEMORY)
    (tilores.folder / "file").touch()
    rows = findings(tilores, 1, TILORES_DATA_DIR=str(tilores.folder / "file" / "data"))
    assert bad(rows) == ["data folder", "state"]
    assert "TILORES_DATA_DIR" in found(rows, "data folder", "problem")["fix"]


def test_full_disk_is_not_taken_for_wrong_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    (finding,) = data_folder(tmp_path)
    assert (finding.state, finding.fix is not None and finding.fix.startswith("make room")) == ("problem", True)


def test_state_that_nobody_has_needed_yet(tilores: Command) -> None:
    tilores.config(MEMORY)
    data = tilores.folder / "elsewhere"
    rows = findings(tilores, 0, TILORES_DATA_DIR=str(data))
    assert found(rows, "state", "ok")["detail"].startswith(f"SQLite, {data / 'state.sqlite3'}: nothing there yet")
    assert not (data / "state.sqlite3").exists()


def test_state_that_cannot_be_read(tilores: Command) -> None:
    tilores.config(MEMORY)
    url = "postgresql://me:hunter2@127.0.0.1:1/state"
    cases = {
        url: "PostgreSQL, state at 127.0.0.1:1) cannot be reached",
        "mysql://me:hunter2@db/x": "DATABASE_URL: is the address of no database",
    }
    for value, said in cases.items():
        rows = findings(tilores, 1, DATABASE_URL=value)
        assert bad(rows) == ["state"]
        assert said in found(rows, "state", "problem")["detail"]
        assert "hunter2" not in str(rows)
        found(rows, "model", "ok")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RAILWAY_REPLICA_ID": "1f"}, "each replica has files of its own"),
        (
            {"RAILWAY_REPLICA_ID": "1f", "RAILWAY_VOLUME_MOUNT_PATH": "/elsewhere"},
            "each replica has files of its own",
        ),
        ({"REDIS_URL": "redis://:hunter2@cache.example:6379"}, "REDIS_URL is shared with other machines"),
        ({"RAILWAY_REPLICA_ID": "1f", "RAILWAY_VOLUME_MOUNT_PATH": "."}, None),
        ({"REDIS_URL": "redis://127.0.0.1:6379"}, None),
        ({"REDIS_URL": "unix:///run/redis.sock"}, None),
    ],
)
def test_replicas_without_one_database(tilores: Command, variables: dict[str, str], said: str | None) -> None:
    tilores.config(MEMORY)
    data = tilores.folder / "data"
    volume = {"RAILWAY_VOLUME_MOUNT_PATH": str(tilores.folder)} if "." in variables.values() else {}
    rows = findings(tilores, 0, TILORES_DATA_DIR=str(data), **(variables | volume))
    if said is None:
        assert [row["state"] for row in rows if row["part"] == "state"] == ["ok"]
    else:
        warned = found(rows, "state", "warning")
        assert said in warned["detail"]
        assert "DATABASE_URL" in warned["fix"]
        assert "hunter2" not in str(rows)


def test_keys(tilores: Command) -> None:
    tilores.config(MEMORY + "[keys.dsk]\nscope = 'a'\n")
    assert "without any API key" in found(findings(tilores, 1, TILORES_HOST="0.0.0.0"), "keys", "problem")["detail"]
    rows = findings(tilores, 1, TILORES_API_KEYS="desk:s3cret")
    assert "there is no API key named 'dsk'" in found(rows, "keys", "problem")["detail"]
    tilores.config(MEMORY)
    del tilores.variables["TILORES_API_KEYS"]
    rows = findings(tilores, 0, TILORES_ALLOW_ANONYMOUS="true")
    assert "everyone who reaches the server may ask" in found(rows, "keys", "warning")["detail"]
    assert "s3cret" not in str(rows)


def test_every_problem_of_plugins_at_once(tilores: Command, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    Site(folder).install("broken", "import no_such_library\n")
    Site(folder).install("old", good("old"), requires=["tilores-core>=99"])
    tilores.config('[use]\nsource = "dmo"\ncache = ["memory"]\n[plugins.memory]\nmax_entrys = 1\n[plugins.demoo]\n')
    rows = findings(tilores, 1, PYTHONPATH=str(folder))
    said = [(row["state"], row["detail"]) for row in rows if row["part"] == "plugins" and row["state"] != "ok"]
    text = "\n".join(detail for _, detail in said)
    assert [state for state, _ in said].count("problem") == 2
    assert "plugins.memory.max_entrys: unknown key; did you mean 'max_entries'?" in text
    assert "there is no source 'dmo'" in text
    assert "no plugin 'demoo' is installed" in text
    assert "missing dependency 'no_such_library'" in text
    assert "it needs tilores-core>=99" in text
    assert len({row["detail"] for row in rows}) == len(rows), "nothing is said twice"


def test_a_source_that_cannot_be_read(tilores: Command) -> None:
    tilores.config(MEMORY + 'source = "file"\n[plugins.file]\npath = "missing.csv"\n')
    rows = findings(tilores, 1)
    assert bad(rows) == ["source"]
    assert "missing.csv" in found(rows, "source", "problem")["detail"]


def test_cache_tiers_by_name(tilores: Command) -> None:
    tilores.config('[use]\ncache = ["memory", "redis"]\n[plugins.redis]\nurl = "redis://:hunter2@127.0.0.1:1"\n')
    rows = findings(tilores, 1)
    assert bad(rows) == ["cache tier redis"]
    found(rows, "cache tier memory", "ok")
    assert "cannot reach Redis" in found(rows, "cache tier redis", "problem")["detail"]
    assert "hunter2" not in str(rows)


def test_a_tier_that_is_switched_off_is_a_warning(tilores: Command) -> None:
    tilores.config('[use]\ncache = ["memory", "redis"]\n[plugins.redis]\nenabled = false\n')
    rows = findings(tilores, 0)
    assert "not active: disabled" in found(rows, "cache tier redis", "warning")["detail"]
    assert "tilores plugins enable redis" in found(rows, "cache tier redis", "warning")["fix"]


def test_an_alert_channel_that_is_off_is_a_warning(tilores: Command) -> None:
    tilores.config(MEMORY + 'alerts = ["log", "slack"]\n')
    rows = findings(tilores, 0)
    assert "SLACK_WEBHOOK_URL" in found(rows, "alert channel slack", "warning")["fix"]
    found(rows, "alert channel log", "ok")
    tilores.config(MEMORY + 'alerts = ["slak"]\n')
    rows = findings(tilores, 1)
    assert bad(rows) == ["plugins"]
    assert "there is no alert channel 'slak'; did you mean 'slack'?" in found(rows, "plugins", "problem")["detail"]


def test_no_cache_at_all_is_a_warning(tilores: Command) -> None:
    tilores.config("[use]\ncache = []\n")
    assert "nothing is remembered" in found(findings(tilores, 0), "cache", "warning")["detail"]


def test_models_that_do_not_answer(tilores: Command) -> None:
    tilores.config(MEMORY + 'fallbacks = ["demo:nope"]\n[plugins.demo-model]\nfailure_rate = 1.0\n')
    rows = findings(tilores, 1)
    assert bad(rows) == ["model"]
    assert "does not answer" in found(rows, "model", "problem")["detail"]
    assert "has no model 'nope'" in found(rows, "model", "warning")["detail"]
    tilores.config(MEMORY + 'model = "nothing"\n')
    assert "there is no model 'nothing'" in found(findings(tilores, 1), "model", "problem")["detail"]


HANGS = """
import time
from tilores_core import CustomerSourceSpec, hookimpl

class Source:
    async def get(self, customer_id): return None
    async def find(self, identifiers, limit=10): return []
    async def schema(self):
        BODY
    async def aclose(self): pass

@hookimpl
def register_customer_sources():
    return [CustomerSourceSpec(name="slow", factory=lambda context: Source())]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said", "others"),
    [
        ("import asyncio; await asyncio.sleep(3600)", "slow: no answer within 4 s", True),
        ("time.sleep(3600)", "no end within 8 s", False),  # nothing can interrupt this but the end
    ],
)
def test_what_hangs_does_not_hang_the_doctor(
    tilores: Command, tmp_path: Path, body: str, said: str, others: bool
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    Site(folder).install("slow", HANGS.replace("BODY", body))
    tilores.config(MEMORY + 'source = "slow"\n')
    rows = findings(tilores, 1, "--timeout", "4", PYTHONPATH=str(folder))
    assert said in found(rows, "source", "problem")["detail"]
    assert ("model" in [row["part"] for row in rows]) is others


def test_little_room_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tilores_core.cli import doctor_checks

    usage = shutil.disk_usage(tmp_path)
    for free, state in ((8, "problem"), (100, "warning"), (100_000, "ok")):
        room = usage._replace(free=free * 1024 * 1024)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, room=room: room)
        (finding,) = doctor_checks.data_folder(tmp_path / "data")
        assert finding.state == state
        assert f"{free} MiB free" in finding.detail
    assert not list((tmp_path / "data").iterdir())
