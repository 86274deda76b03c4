"""A cycle killed at random points and gone on with each time; and two processes, of which the leader is killed.

    python -m benchmarks.improve.bench_kills [--kills 50] [--seed 1]

Pass: the end state equals that of an undisturbed cycle, and no call was made twice but the one that was under way at
a kill; with two processes the other one takes over, and there is one cycle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilores_core.errors import InvalidRequestError, StoreError
from tilores_core.logs import configure_logging
from tilores_core.services import load_host, open_services
from tilores_core.settings import load_config, load_environment
from tilores_core.testing.optimizers import PARTS
from tilores_core.worker.improving import build_cycles, build_request

CONFIG = '[improve]\nmodels = ["demo:simulated-rounding", "demo:simulated-units"]\nper_spectrum = 3\n'
LEASE_SECONDS = 3.0


async def child(folder: Path) -> None:
    """Run the cycle of this folder to its end; every call is a line of the file `calls`."""
    configure_logging("error", "console")
    config = folder / "plugins.toml"
    environment = load_environment(None, data_dir=folder / "data", config=config)
    async with open_services(load_host(environment, loaded=load_config(config)), environment) as services:
        answer = services.engine.answer

        async def counted(turn: Any) -> Any:
            with (folder / "calls").open("a") as file:
                prompt = turn.prompt.version if turn.prompt else ""
                file.write(json.dumps([prompt, turn.model, turn.customer_id, turn.messages[0]["content"]]) + "\n")
            return await answer(turn)

        services.engine.answer = counted  # type: ignore[method-assign]
        cycles = build_cycles(services, concurrent=1, lease_seconds=LEASE_SECONDS)
        while True:
            store = (await services.store.get()).improvement
            recent = await store.recent(limit=1)
            if recent and recent[0].state == "done":
                return
            number, _ = await services.prompts.versions.new(PARTS, author="benchmark", reason="poor", parent=1)
            request = await build_request(services, strategy="mock", version=str(number), automatic=False)
            try:
                await cycles.run(replace(request, number=1))  # versions differ in number from process to process
            except (InvalidRequestError, StoreError):
                await asyncio.sleep(0.1)


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--child", str(folder)])


def made(folder: Path) -> Path:
    folder.mkdir()
    (folder / "plugins.toml").write_text(CONFIG)
    (folder / "calls").touch()
    return folder


async def cycles_of(folder: Path) -> Sequence[Any]:
    config = folder / "plugins.toml"
    environment = load_environment(None, data_dir=folder / "data", config=config)
    async with open_services(load_host(environment, loaded=load_config(config)), environment) as services:
        return await (await services.store.get()).improvement.recent()


def end_state(folder: Path) -> tuple[int, str]:
    cycles = asyncio.run(cycles_of(folder))
    phases = {name: value for name, value in cycles[0].phases.items() if name != "recommendations"}
    return len(cycles), json.dumps(phases, sort_keys=True)


def calls(folder: Path) -> tuple[int, int]:
    lines = (folder / "calls").read_text().splitlines()
    return len(lines), len(lines) - len(set(lines))


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        asyncio.run(child(options.child))
        return
    configure_logging("error", "console")
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, parts, pair = (made(Path(name) / one) for one in ("whole", "parts", "pair"))
        start(whole).wait()
        total = calls(whole)[0]
        kills = 0
        while True:
            process, before = start(parts), calls(parts)[0]
            # Killed some calls after it went on, or as it begins or ends: a share of the calls that are left.
            wait = dice.randint(0, max(1, 2 * total // options.kills)) if kills < options.kills else None
            while process.poll() is None and (wait is None or calls(parts)[0] < before + wait or not wait):
                time.sleep(0.005)
                if wait == 0 and dice.random() < 0.01:
                    break
            if process.poll() is not None:
                break
            kill(process)
            kills += 1
        made_calls, twice = calls(parts)
        same = end_state(parts) == end_state(whole)
        print(f"{kills} kills: {made_calls} calls (undisturbed {total}), {twice} made twice")
        print(f"same end state: {'pass' if same else 'FAIL'}; calls: {'pass' if twice <= kills else 'FAIL'}")

        first = start(pair)
        second = None
        while calls(pair)[0] < total // 2:
            if second is None and calls(pair)[0] > 0:
                second = start(pair)
            time.sleep(0.01)
        assert second is not None
        assert first.poll() is None, "the leader has ended before it could be killed"
        kill(first)
        began = time.monotonic()
        second.wait()
        count, state = end_state(pair)
        good = count == 1 and state == end_state(whole)[1] and calls(pair)[1] <= 1
        print(
            f"leader killed: the other ended the cycle after {time.monotonic() - began:.1f} s; {count} cycle,", end=""
        )
        print(f" {calls(pair)[1]} calls made twice: {'pass' if good else 'FAIL'}")
    sys.exit(0 if same and twice <= kills and good else 1)


if __name__ == "__main__":
    main()
