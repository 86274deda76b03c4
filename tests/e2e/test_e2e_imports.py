"""What is imported, which is what starting costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.running_server import clean_environment

SDKS = (
    *("openai", "anthropic", "google", "groq", "mistralai", "deepseek"),
    *("langchain_openai", "langchain_anthropic", "langchain_google_genai", "langchain_groq", "langchain_mistralai"),
    *("langchain_community", "langserve"),
)
HEAVY = ("fastapi", "starlette", "uvicorn", "langchain_core", "pydantic_settings", "openai", "redis", "sqlalchemy")

SERVE = """
import asyncio, gc, sys, json
from tilores_core.app import create_app
import httpx

async def main(**options):
    app = create_app(**options)
    inbox, started, ended = asyncio.Queue(), asyncio.Event(), asyncio.Event()
    async def send(message):
        assert "failed" not in message["type"], message
        (started if "startup" in message["type"] else ended).set()
    inbox.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(app({"type": "lifespan"}, inbox.get, send))
    await started.wait()
    if options:
        assert "sqlalchemy" in sys.modules and gc.isenabled() and gc.get_freeze_count(), "before the first request"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        reply = await http.post("/chat/invoke", json={"input": "What is Edwina Hawthorne's credit score?"})
        assert "742" in reply.text, reply.text
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await life

asyncio.run(main())
assert "sqlalchemy" not in sys.modules, "one answer needs no store"
asyncio.run(main(served=True))
"""
COMMAND = """
import sys
from tilores_core.cli import main
sys.argv[1:] = ARGUMENTS
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
TELL = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))\n"


def imported(code: str, folder: Path) -> set[str]:
    """The top names of all that is imported once the code has run in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", code + TELL],
        cwd=folder,
        env=clean_environment(TILORES_DATA_DIR=str(folder / "data")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_serving_the_demo_imports_no_sdk_and_the_store_before_the_first_request(tmp_path: Path) -> None:
    found = imported(SERVE, tmp_path)
    assert {"fastapi", "langchain_core"} <= found, "the look at what is imported does not work"
    assert found.isdisjoint(SDKS), found & set(SDKS)


def test_help_is_cheap(tmp_path: Path) -> None:
    for arguments in (["--help"], ["plugins", "list"], ["--version"]):
        found = imported(COMMAND.replace("ARGUMENTS", repr(arguments)), tmp_path)
        assert "typer" in found
        assert found.isdisjoint(HEAVY), (arguments, found & set(HEAVY))
