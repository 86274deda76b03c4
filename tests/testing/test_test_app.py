"""The application in memory that plugin authors test with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.chat.engine_world import PEOPLE, Crm
from tilores_core import ConfigError, CustomerSourceSpec, hookimpl
from tilores_core.testing import TestApp

QUESTION = "What is Edwina Hawthorne's credit score?"


async def test_app_without_plugins_answers_both_protocols_for_the_demo_customers() -> None:
    async with TestApp() as app:
        first = await app.invoke(QUESTION)
        assert (first.status_code, first.headers["X-Tilores-Cache"]) == (200, "miss")
        assert "742" in first.json()["output"]["content"]
        second = await app.complete(QUESTION)
        assert second.headers["X-Tilores-Cache"] == "l1"
        assert "742" in second.json()["choices"][0]["message"]["content"]
        assert (await app.http.get("/admin/cache")).status_code == 200, "it sends the admin key"


async def test_app_with_a_plugin_of_the_test_uses_it() -> None:
    crm = Crm()
    spec = CustomerSourceSpec(name="own", factory=lambda context: crm)
    plugin = SimpleNamespace(__name__="own", register_customer_sources=hookimpl(lambda: [spec]))
    async with TestApp({"own": plugin}, {"use": {"source": "own"}}) as app:
        reply = await app.invoke("What is the credit score?", customer_id=PEOPLE[0].id)
        assert reply.status_code == 401, "customers of one's own need a chat key"
        key = (app.data_dir / "chat.key").read_text().strip()
        app.http.headers["Authorization"] = f"Bearer {key}"
        reply = await app.invoke("What is the credit score?", customer_id=PEOPLE[0].id)
        assert reply.status_code == 200, reply.text
    assert f"get {PEOPLE[0].id}" in crm.calls


async def test_app_keeps_its_state_in_the_folder_it_is_given(tmp_path: Path) -> None:
    async with TestApp(data_dir=tmp_path) as app:
        assert app.data_dir == tmp_path
    assert list(tmp_path.iterdir())


async def test_app_with_wrong_settings_says_which() -> None:
    with pytest.raises(ConfigError, match="dmo"):
        async with TestApp(config={"use": {"source": "dmo"}}):
            pass
