"""`tilores alerts` and `/admin/alerts`, on a running application with its real worker tasks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.alerting import alerting
from tests.alerts.receiver import Receiver
from tests.cli.command import Command
from tilores_core.errors import ConfigError
from tilores_core.testing import TestApp, eventually
from tilores_core.testing.alerts import sample_alert

SECRET = "a-secret-of-enough-length"


def config(url: str, **alerts: Any) -> dict[str, Any]:
    return {
        "use": {"alerts": ["webhook"]},
        "alerts": {"group_seconds": 0, **alerts},
        "plugins": {"webhook": {"url": url, "secret": SECRET}},
    }


async def test_test_message_goes_from_the_web_to_the_channel(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with TestApp(config=config(receiver.url), data_dir=tmp_path, with_jobs=True) as app:
            made = await app.http.post("/admin/alerts/channels/test", json={"severity": "HIGH"})
            assert made.status_code == 202
            (body,) = await eventually(lambda: receiver.bodies)
            assert json.loads(body)["headline"].startswith("[TEST]")
            fingerprint = made.json()["fingerprint"]

            async def state() -> str:
                shown = await app.http.get(f"/admin/alerts/{fingerprint[:8]}")
                return str(shown.json()["deliveries"][0]["state"])

            async def is_sent() -> bool:
                return await state() == "sent"

            await eventually(is_sent)
            # What is done by hand.
            assert (await app.http.get("/admin/alerts")).json()["alerts"] == []
            listed = (await app.http.get("/admin/alerts?all=true")).json()["alerts"]
            assert [one["kind"] for one in listed] == ["alerts.test"]
            refused = await app.http.post(f"/admin/alerts/{fingerprint}/ack")
            assert (refused.status_code, refused.json()["detail"]) == (
                422,
                f"alert {fingerprint[:12]} is resolved, not open",
            )
            assert (await app.http.post("/admin/alerts/silences", json={"kind": "x"})).status_code == 422
            for key in ("kind", "comment"):
                odd = await app.http.post("/admin/alerts/silences", json={"kind": "x", "minutes": 5} | {key: "\0"})
                assert odd.status_code == 422
            for path in ("/admin/alerts/abcd", "/admin/alerts/Not%00hex", "/admin/alerts/silences/1"):
                missing = await app.http.request("DELETE" if "silences" in path else "GET", path)
                assert missing.status_code == 404, path
                assert ("none" if "silences" in path else fingerprint[:12]) in missing.json()["fix"]
            wrong = await app.http.post("/admin/alerts/channels/test", json={"channel": "pager"})
            assert (wrong.status_code, "channel" in wrong.json()["detail"]) == (422, True)
            silence = await app.http.post("/admin/alerts/silences", json={"kind": "x.*", "minutes": 5})
            assert silence.status_code == 201
            assert len((await app.http.get("/admin/alerts/silences")).json()) == 1
            ended = await app.http.delete(f"/admin/alerts/silences/{silence.json()['id']}")
            assert ended.status_code == 200
            assert (await app.http.get("/admin/alerts/silences")).json() == []
            metrics = (await app.http.get("/metrics")).text
            assert 'tilores_alert_messages_total{channel="webhook",result="sent"} 1.0' in metrics


async def test_alerts_need_an_admin_key(tmp_path: Path) -> None:
    async with TestApp(data_dir=tmp_path) as app:
        reply = await app.http.get("/admin/alerts", headers={"Authorization": "Bearer wrong"})
        assert reply.status_code == 401
        assert "names no channel" in (await app.http.get("/admin/alerts")).json()["note"]


async def test_route_to_a_channel_that_is_not_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"alerts.routes\[0\].channels: there is no channel 'pager'"):
        async with TestApp(config={"alerts": {"routes": [{"channels": ["pager"]}]}}, data_dir=tmp_path):
            pass


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def tilores(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_messages_and_silences_from_the_command_line(tilores: Command) -> None:
    with Receiver() as receiver:
        tilores.config(
            f"""
[use]
alerts = ["file", "webhook", "slack"]
[plugins.webhook]
url = "{receiver.url}"
secret = "{SECRET}"
"""
        )
        assert tilores.run("alerts", "list").stdout == "there is none\n"
        results = tilores.json("alerts", "test", "--severity", "HIGH", code=1)
        assert (results["file"], results["webhook"]) == (None, None)
        assert "there is no address" in results["slack"]
        assert len(receiver.bodies) == 1
        silenced = tilores.json("alerts", "silence", "--kind", "quality.*", "--minutes", "5", "--comment", "x")
        assert "kind=quality.*" in tilores.run("alerts", "list", "--silences").stdout
        tilores.run("alerts", "silence", "--end", silenced["id"])
        listed = tilores.run("alerts", "list", "--silences")
        assert listed.stdout == "there is none\n"
        assert "no worker process is running, so nothing is delivered" in listed.stderr


async def test_what_was_raised_is_shown_acknowledged_and_resolved(tilores: Command, tmp_path: Path) -> None:
    async with alerting(tmp_path / "data") as it:
        it.queue.raise_alert(sample_alert())
        await it.step()

    def commands() -> None:
        short = sample_alert().fingerprint[:6]
        assert "one: raised, sent after 1 attempts" in tilores.run("alerts", "show", short).stdout
        assert tilores.json("alerts", "ack", short)["state"] == "acknowledged"
        assert tilores.json("alerts", "silence", short, "--until-clear")["until_clear"]
        line = tilores.run("alerts", "list").stdout
        assert sample_alert().title in line
        assert "acknowledged silenced" in line
        assert tilores.json("alerts", "resolve", short)["state"] == "resolved"
        assert tilores.json("alerts", "list", "--all")[0]["state"] == "resolved"
        assert "there is no alert 'abcdef'" in tilores.run("alerts", "show", "abcdef").stderr

    await asyncio.to_thread(commands)
