"""Phone numbers and dates are read in one way, wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tilores_core.identity import Locale
from tilores_core.services import load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.loader import parse_config
from tilores_core.worker.batches import input_options
from tilores_core.worker.prewarming import request_decoders

PEOPLE = "customer_id,name,phone\n1,Nora Finch,0151 23456789\n"


@pytest.mark.parametrize(
    ("chat", "source", "expected"),
    [
        ("", "", Locale("US", False)),
        ("", 'phone_region = "DE"', Locale("DE", True)),
        ("", 'phone_region = "DE"\nday_first = false', Locale("DE", False)),
        ('phone_region = "GB"', 'phone_region = "DE"', Locale("GB", True)),
        ('phone_region = "GB"\nday_first = false', "day_first = true", Locale("GB", False)),
        ('phone_region = "US"', "day_first = true", Locale("US", True)),
    ],
)
async def test_locale_is_that_of_chat_then_of_the_source_then_by_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: str, source: str, expected: Locale
) -> None:
    monkeypatch.setenv("TILORES_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "people.csv").write_text(PEOPLE)
    text = (
        'schema = 1\n[use]\ncache = ["memory"]\nsource = "file"\nmodel = "demo:simulated-1"\n'
        f"[chat]\n{chat}\n[plugins.file]\npath = '{tmp_path / 'people.csv'}'\n{source}\n"
    )
    path = tmp_path / "plugins.toml"
    environment = load_environment()
    loaded = LoadedConfig(config=parse_config(text, path), path=path, packaged=False)
    async with open_services(load_host(environment, loaded=loaded), environment) as services:
        assert services.locale == expected
        assert services.lookup.region == expected.region
        columns: Any = input_options(services.locale)
        assert (columns.phone_region, columns.day_first) == (expected.region, expected.day_first)
        assert request_decoders(services.locale).region == expected.region
