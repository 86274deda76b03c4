"""docs/customers.md says what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent

from tilores_core import Identifiers, PluginContext
from tilores_plugins.sources.demo.source import DemoSource
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.source import build

PAGE = (Path(__file__).parents[2] / "docs" / "customers.md").read_text(encoding="utf-8")
TOML, CSV, SETTINGS, *_ = (dedent(block) for block in re.findall(r"(?:^    .+\n|^\n(?=    ))+", PAGE, re.MULTILINE))


async def test_the_facts_about_edwina() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^`|]+) \|$", PAGE.partition("## Your own file")[0], re.MULTILINE))
    assert len(rows) >= 5
    edwina = await DemoSource().get("EDW_HAWTHORNE_001")
    assert edwina is not None
    for name, value in rows.items():
        said = [str(record.fields[name]) for record in edwina.records if name in record.fields]
        assert max(said, key=said.count) == value


def test_the_example_of_settings_is_one() -> None:
    Settings(**tomllib.loads(SETTINGS)["plugins"]["file"])


async def test_the_example_is_served(tmp_path: Path) -> None:
    table = tomllib.loads(TOML)
    assert table["use"] == {"source": "file"}
    settings = Settings(**table["plugins"]["file"])
    path = tmp_path / settings.path
    path.write_text(CSV.strip() + "\n")
    context = PluginContext(plugin_id="file", settings=settings.model_copy(update={"path": path}), data_dir=tmp_path)
    source = build(context)
    for wanted in (
        Identifiers(name="quill, ada"),
        Identifiers(email="ada.quill@example.com"),
        Identifiers(phone="+15035550161"),
        Identifiers(customer_id="c-1", date_of_birth="1990-05-17"),
    ):
        (ada,) = await source.find(wanted)
        assert ada.records[0].fields["credit_score"] == 688
    await source.aclose()
