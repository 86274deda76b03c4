"""`tilores deploy up` killed by SIGKILL at every call to the platform, before and after its effect, and repeated.

    python -m benchmarks.deploy.bench_killed_up

The platform is the tests' own Railway: a server that executes each GraphQL document over Railway's types. Printed are
deployments and variables after each kill and its repetition, and at the end a deployment that does not work, which
must be taken back. Exit code 1 unless there was one deployment each time, with the right variables.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.deploy.deploy_servers import TILORES
from tests.deploy.fake_platform import FakeServer
from tests.deploy.projects import VALUES, sound_project
from tests.deploy.railway_server import RailwayServer

TOML = """schema = 1
[use]
deploy = "railway"
model = "openai:gpt-4o-mini"
cache = ["memory"]
[deploy]
watch_seconds = 0.1
"""

_AT_ONCE = 4
"""A deployment mostly waits for the platform."""


class Platform:
    """Railway, a server that its deployments answer from, and the command as a process that a step may kill."""

    def __init__(self, folder: Path, railway: RailwayServer) -> None:
        self.folder, self.railway = folder, railway
        self.process: asyncio.subprocess.Process | None = None
        sound_project(folder)
        (folder / "plugins.toml").write_text(TOML)

    async def up(self) -> tuple[int, str]:
        """Exit code (-9 when it was killed) and what it said."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("TILORES_", "RAILWAY_"))}
        env |= {name: value for name, value in VALUES.items() if name != "TILORES_HOST"}
        env |= {"RAILWAY_API_URL": self.railway.url, "RAILWAY_TOKEN": self.railway.token}
        env["TILORES_DATA_DIR"] = str(self.folder / "data")
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *TILORES, "deploy", "up", cwd=self.folder, env=env, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await self.process.communicate()
        return self.process.returncode or 0, said.decode()

    def kill_at(self, step: str) -> Callable[[str], None]:
        def hook(name: str) -> None:
            if name == step and self.process is not None:
                self.process.kill()
                raise ConnectionResetError

        return hook


async def steps() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="tilores-up-") as folder:
        async with RailwayServer(domains=[]) as railway:
            code, said = await Platform(Path(folder), railway).up()
            assert code == 0, said
            return list(dict.fromkeys(railway.calls))


async def killed_at(step: str, moment: str) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="tilores-up-"))
    try:
        async with RailwayServer(domains=[]) as railway:
            platform = Platform(folder, railway)
            setattr(railway, moment, platform.kill_at(step))
            killed, _ = await platform.up()
            railway.before = railway.after = None
            code, said = await platform.up()
            kinds = [one.kind for one in railway.deployments]
            sent = railway.deployments[-1].variables if kinds else {}
            right = all(sent.get(name) == value for name, value in VALUES.items())
            good = (killed, code, kinds, right) == (-9, 0, ["deploy"], True)
            state = "right" if right else "WRONG"
            print(f"killed {moment:<6} {step:<14} repeated: {len(kinds)} deployment(s), variables {state}")
            if not good:
                print(said)
            return good
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def taken_back() -> bool:
    """The second deployment answers no question: the first one is made active again, by itself."""
    folder, server = Path(tempfile.mkdtemp(prefix="tilores-up-")), FakeServer()
    await server.start()
    try:
        async with RailwayServer(domains=[{"domain": server.url, "targetPort": None}]) as railway:
            platform = Platform(folder, railway)
            first, _ = await platform.up()

            def break_the_second(name: str) -> None:
                server.answers = len(railway.deployments) != 2

            railway.after = break_the_second
            second, said = await platform.up()
            kinds = [one.kind for one in railway.deployments]
            good = (first, second, kinds, "is active again" in said) == (0, 1, ["deploy", "deploy", "rollback"], True)
            reports = ", ".join(f"{moment} {result}".strip() for moment, _, result, _ in server.reports)
            print(f"a deployment that answers nothing: {', '.join(kinds)}; reported: {reports}")
            if not good:
                print(said)
            return good
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def run() -> bool:
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(step: str, moment: str) -> bool:
        async with at_once:
            return await killed_at(step, moment)

    kills = [one(step, moment) for step in await steps() for moment in ("before", "after")]
    return all([*await asyncio.gather(*kills), await taken_back()])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run()) else 1)
