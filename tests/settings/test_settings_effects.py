"""Effects of settings that no other test shows: the same application with and without them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.e2e.running_server import clean_environment
from tilores_core import Customer, CustomerSourceSpec, Identifiers, SourceSchema, hookimpl
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.testing import TestApp, eventually

EDWINA = "EDW_HAWTHORNE_001"
NDJSON = {"Content-Type": "application/x-ndjson"}


def logged(program: str, folder: Path, environment: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """What a program that logs JSON writes."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_log_starts_at_the_level_of_the_environment(tmp_path: Path) -> None:
    program = (
        "import structlog\n"
        "from tilores_core.logs import configure_logging\n"
        "from tilores_core.settings import load_environment\n"
        "environment = load_environment(None)\n"
        "configure_logging(environment.log_level, environment.log_format)\n"
        "for level in ('debug', 'info', 'warning'):\n"
        "    getattr(structlog.get_logger(), level)('said')\n"
    )

    def levels(level: str) -> list[str]:
        environment = clean_environment(TILORES_LOG_LEVEL=level, TILORES_LOG_FORMAT="json")
        return [line["level"] for line in logged(program, tmp_path, environment)]

    assert levels("debug") == ["debug", "info", "warning"]
    assert levels("warning") == ["warning"]


def test_lines_of_every_kind_are_written_alike(tmp_path: Path) -> None:
    program = (
        "import structlog\n"
        "from tilores_core.logs import bind_request, configure_logging\n"
        "configure_logging('info', 'json')\n"
        "log = structlog.get_logger(part='chat')\n"
        "log.info('plain.line', number=1)\n"
        "log.warning('%s of %s', 1, 2)\n"
        "bind_request('req-1')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: log.exception('with.traceback')\n"
        "with structlog.testing.capture_logs() as captured: log.error('captured.line')\n"
        "log.critical(captured[0]['event'], request_id='req-2')\n"
    )
    lines = logged(program, tmp_path)
    assert all(line.pop("timestamp").endswith("Z") and line.pop("part") == "chat" for line in lines)
    assert "ZeroDivisionError" in lines[2].pop("exception")
    assert lines == [
        {"level": "info", "event": "plain.line", "number": 1},
        {"level": "warning", "event": "1 of 2"},
        {"level": "error", "event": "with.traceback", "request_id": "req-1"},
        {"level": "critical", "event": "captured.line", "request_id": "req-2"},
    ]


def test_library_that_is_cancelled_reports_no_error(tmp_path: Path) -> None:
    program = (
        "import asyncio, logging\n"
        "from tilores_core.logs import configure_logging\n"
        "configure_logging('info', 'json')\n"
        "for error in (asyncio.CancelledError(), OSError()):\n"
        "    logging.getLogger('pool.of.connections').error('reset failed', exc_info=error)\n"
        "logging.getLogger('pool.of.connections').error('no exception')\n"
    )
    lines = logged(program, tmp_path)
    assert [(line["event"], "OSError" in line.get("exception", "")) for line in lines] == [
        ("reset failed", True),
        ("no exception", False),
    ]


class _Hanging:
    async def get(self, customer_id: str) -> None:
        await asyncio.Event().wait()

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> list[Customer]:
        return []

    async def schema(self) -> SourceSchema:
        return SourceSchema(fields=(), hash="h")

    async def aclose(self) -> None:
        return None


async def test_source_that_hangs_is_given_up_after_the_source_seconds() -> None:
    @hookimpl
    def register_customer_sources() -> list[CustomerSourceSpec]:
        return [CustomerSourceSpec(name="hanging", factory=lambda context: _Hanging(), synthetic=True)]

    plugin = ModuleType("hanging")
    plugin.register_customer_sources = register_customer_sources  # type: ignore[attr-defined]
    config = {"use": {"source": "hanging"}, "chat": {"source_seconds": 0.05}}
    async with TestApp({"hanging": plugin}, config) as app, asyncio.timeout(60):
        assert (await app.invoke("Who is it?", customer_id="1")).status_code == 503


async def test_models_beyond_the_most_have_one_label() -> None:
    async def labels(most: int) -> str:
        async with TestApp(config={"metrics": {"max_models": most}}) as app:
            models = [row["id"] for row in (await app.http.get("/v1/models")).json()["data"]]
            for model in [model for model in models if model.startswith("demo:")][:3]:
                assert (await app.complete("Who is Edwina Hawthorne?", model)).status_code == 200
            return (await app.http.get("/metrics")).text

    assert 'model="other"' in await labels(1)
    assert 'model="other"' not in await labels(100)


async def test_list_is_warmed_at_start_only_where_the_settings_say_so(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    one = {"name": "vip", "customers": [{"customer_id": EDWINA}], "questions": ["Who is it?"], "refresh": "1h"}
    plan.write_text(json.dumps({"lists": [one]}))

    async def tier(*, at_start: bool) -> str:
        async with TestApp(config={"prewarm": {"file": str(plan), "at_start": at_start}}) as app:

            async def is_warm() -> bool:
                lists = (await app.http.get("/admin/prewarm")).json()["lists"]
                return lists["vip"]["latest"] is not None

            if at_start:
                await eventually(is_warm)
            reply = await app.invoke("Who is it?", customer_id=EDWINA)
            return reply.headers["X-Tilores-Cache"]

    assert await tier(at_start=True) == "l1"
    assert await tier(at_start=False) == "miss"


async def test_batch_that_ended_is_removed_after_the_keep_hours(tmp_path: Path) -> None:
    async with TestApp(data_dir=tmp_path, with_jobs=True) as app:
        line = json.dumps({"customer_id": EDWINA, "question": "Who is it?"}) + "\n"
        job = (await app.http.post("/admin/batch", content=line, headers=NDJSON)).json()["id"]
        await eventually(lambda: JobFolder(tmp_path / "batch").find_unfinished()["batch"] == [])
        assert (await app.http.get(f"/admin/batch/{job}")).json()["state"] == "done"
    async with TestApp(data_dir=tmp_path, config={"batch": {"keep_hours": 1e-9}}, with_jobs=True) as app:

        async def is_gone() -> bool:
            return (await app.http.get(f"/admin/batch/{job}")).status_code == 404

        await eventually(is_gone)
