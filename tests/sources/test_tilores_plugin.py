"""The plugin: its settings, variables and health check, and what it costs where it is not used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from tests.sources.tilores_client import EDWINA_EMAIL
from tests.tilores_instance import TiloresInstance
from tilores_core import ConfigError, Identifiers, SourceError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import HEALTH, SOURCE
from tilores_core.testing.host import isolated_host
from tilores_plugins.sources import tilores
from tilores_plugins.sources.tilores.settings import Settings

TABLE = {
    "api_url": "https://tilores.example",
    "token_url": "https://login.example/oauth2/token",
    "client_id": "id",
    "client_secret": "most-secret",
}
VARIABLES = {
    "TILORES_API_URL": "https://tilores.example",
    "TILORES_TOKEN_URL": "https://login.example/oauth2/token",
    "TILORES_CLIENT_ID": "id",
    "TILORES_CLIENT_SECRET": "most-secret",
}


def host_of(folder: Path, table: dict[str, Any] | None = None, variables: dict[str, str] | None = None) -> PluginHost:
    return isolated_host(
        {"tilores": tilores}, {"plugins": {"tilores": table or {}}}, data_dir=folder, variables=variables
    )


def settings_of(folder: Path, variables: dict[str, str]) -> Settings:
    return cast(Settings, host_of(folder, variables=variables).settings("tilores").model)


def test_the_environment_fills_the_settings(tmp_path: Path) -> None:
    more = {"TILORES_SCOPE": "x/query.search", "TILORES_TIMEOUT_SECONDS": "1.5"}
    settings = settings_of(tmp_path, {**VARIABLES, **more})
    assert settings.api_url == "https://tilores.example"
    assert settings.client_secret.get_secret_value() == "most-secret"
    assert (settings.scope, settings.hard_seconds) == ("x/query.search", 1.5)
    assert "most-secret" not in repr(settings)


def test_names_from_elsewhere_are_taken(tmp_path: Path) -> None:
    others = {
        "TILORES_GRAPHQL_API_URL": "https://other.example",
        "TILORES_OAUTH_TOKEN_URL": "https://login.other.example/oauth2/token",
        "TILORES_TIMEOUT": "1200",
    }
    settings = settings_of(tmp_path, others)
    assert (settings.api_url, settings.hard_seconds) == ("https://other.example", 1.2)
    assert settings.token_url == "https://login.other.example/oauth2/token"
    both = settings_of(tmp_path, {**VARIABLES, **others, "TILORES_TIMEOUT_SECONDS": "2"})
    assert (both.api_url, both.hard_seconds) == ("https://tilores.example", 2.0)
    assert settings_of(tmp_path, {}).hard_seconds == 2.5


@pytest.mark.parametrize("missing", sorted(TABLE))
def test_what_is_missing_is_said_when_it_is_used(missing: str, tmp_path: Path) -> None:
    host = host_of(tmp_path, {key: value for key, value in TABLE.items() if key != missing})
    with pytest.raises(ConfigError, match=missing) as raised:
        host.build(SOURCE, "tilores")
    assert f"TILORES_{missing.upper()}" in str(raised.value.fix)
    assert "most-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_url": "tilores.example"},
        {"api_url": "http://tilores.example"},
        {"token_url": "https://user:word@login.example"},
        {"timeout_seconds": 0},
        {"timeout_seconds": 31},
        {"page_size": 100},
        {"parameters": {"shoe_size": "x"}},
        {"scopes": "x"},
        {"phone_region": "us"},
    ],
)
def test_settings_that_are_wrong_stop_the_start(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({**TABLE, **wrong})
    with pytest.raises(ConfigError, match=next(iter(wrong))) as raised:
        host_of(tmp_path, {**TABLE, **wrong}).build(SOURCE, "tilores")
    assert "most-secret" not in str(raised.value)


def test_pages_are_powers_of_two() -> None:
    assert [Settings(page_size=size).page for size in (1, 2, 3, 10, 16, 33, 64)] == [1, 2, 4, 16, 16, 64, 64]


# --- health ------------------------------------------------------------------------------------------------------


async def test_health_is_off_where_another_source_is_used(tmp_path: Path) -> None:
    host = host_of(tmp_path)
    check = host.build(HEALTH, "tilores")
    assert (await check())["status"] == "off"
    await host.aclose()


async def test_health_tells_of_token_errors_and_latency(tmp_path: Path) -> None:
    async with TiloresInstance() as instance:
        table = {
            "api_url": instance.api_url,
            "token_url": instance.token_url,
            "client_id": instance.client_id,
            "client_secret": instance.client_secret,
        }
        host = host_of(tmp_path, table)
        source = host.build(SOURCE, "tilores")
        check = host.build(HEALTH, "tilores")
        assert await source.find(Identifiers(email=EDWINA_EMAIL))
        told = await check()
        assert (told["status"], told["calls"], told["errors"]) == ("ok", 2, 0)
        assert 3_500 < told["token"]["seconds_left"] <= 3_600
        assert told["latency_ms"] >= 0
        assert told["schema"]["from"] == "instance"
        before = len(instance.requests), len(instance.token.requests)

        instance.faults.fail(403)
        with pytest.raises(SourceError):
            await source.find(Identifiers(email=EDWINA_EMAIL))
        told = await check()
        assert told["status"] == "degraded"
        assert "403" in told["last_error"]
        assert await source.find(Identifiers(email=EDWINA_EMAIL))
        assert (await check())["status"] == "ok"

        instance.token.down = True
        instance.token.expire_all()
        with pytest.raises(SourceError):
            await source.find(Identifiers(email=EDWINA_EMAIL))
        told = await check()
        assert told["status"] == "failed"
        assert "token endpoint" in told["token"]["error"]
        assert (len(instance.requests), len(instance.token.requests)) == (before[0] + 3, before[1] + 1)
        shown = json.dumps(told)
        assert instance.client_secret not in shown
        assert "dwina" not in shown
        await host.aclose()


# --- what it costs -------------------------------------------------------------------------------------------------


def test_nothing_heavy_is_imported_before_the_first_call(tmp_path: Path) -> None:
    code = """
import asyncio, json, pathlib, sys
from tilores_core import Identifiers, PluginContext
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import HEALTH, SOURCE
from tilores_plugins.sources import tilores
from tilores_core.testing.host import isolated_host
tables = {"plugins": {"tilores": json.loads(sys.argv[1])}}
host = isolated_host({"tilores": tilores}, tables, data_dir=pathlib.Path(sys.argv[2]))
async def main():
    source = host.build(SOURCE, "tilores")
    host.build(HEALTH, "tilores")
    await host.aclose()
asyncio.run(main())
print([name for name in ("httpx", "langchain_core", "graphql", "requests", "aiohttp") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TABLE), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
