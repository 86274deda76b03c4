"""Improvement cycles on the seven simulated models, from a poor starting prompt.

    python benchmarks/improve/bench_cycles.py [--strategy mock|critique] [--cycles 3] [--per-spectrum 12]

`critique` asks a scripted reflection model: it knows sentences for each fault, good and useless ones, and gets the
same prompts as a real model. Prints the held-out score before and after each cycle, what was decided, and the calls;
then the same prompt improved once more with what was learned. Says pass or fail for: below 0.80 at the start, 0.95 at
the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tilores_core.improve.journal import ModelReply
from tilores_core.improve.report import cycle_row
from tilores_core.logs import configure_logging
from tilores_core.services import Services, load_host, open_services
from tilores_core.settings import load_config, load_environment
from tilores_core.store.improvement import StoredCycle
from tilores_core.testing.optimizers import PARTS
from tilores_core.worker.improving import build_cycles, build_request

SCRIPT = {
    "inexact": (
        "Copy every figure digit for digit and never round it.",
        "Give each figure with its unit or currency.",
        "Compare the dates of values and give the most recent value.",
        "Be careful.",
    ),
    "incomplete": ("Answer every part of the question and name all items of a list.", "Be thorough in general."),
    "unsupported": ("Do not guess.", "Be honest."),
    "invented": ("If there is no such field, say that this is not in the records.", "Think twice."),
    "refused": ("Look at all fields before you answer.",),
    "format": (
        "Answer in at most two sentences, without an introduction.",
        "Give only what was asked for.",
        "Be friendly.",
    ),
}


async def scripted(prompt: str) -> ModelReply:
    """A reflection model that answers from `SCRIPT`, by the fault that the prompt names."""
    fault = next((name for name in SCRIPT if f"in one way: {name}" in prompt), "format")
    rows = [{"part": "answer_style", "instruction": text} for text in SCRIPT[fault]]
    return ModelReply(text=json.dumps(rows), tokens=len(prompt) // 4)


async def one(services: Services, strategy: str, number: int, seed: int) -> StoredCycle:
    request = await build_request(
        services, strategy=strategy, version=str(number), seed=seed, max_calls=60_000, automatic=False
    )
    done = await build_cycles(services, ask=scripted).run(request)
    assert done is not None
    return done


def held_out(cycle: StoredCycle) -> tuple[float | None, float | None]:
    validation: Any = cycle.phases["validation"]
    if "winner" not in validation:
        return None, None
    return validation["present"]["overall"], validation["winner"]["overall"]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategy", default="mock")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--per-spectrum", type=int, default=12)
    options = parser.parse_args()
    configure_logging("error", "console")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "plugins.toml"
        config.write_text(f"[improve]\nper_spectrum = {options.per_spectrum}\n")
        environment = load_environment(None, data_dir=Path(folder) / "data", config=config)
        async with open_services(load_host(environment, loaded=load_config(config)), environment) as services:
            start, _ = await services.prompts.versions.new(PARTS, author="benchmark", reason="a poor prompt")
            number, first, last, calls = start, None, None, 0
            for seed in range(1, options.cycles + 1):
                began = time.monotonic()
                cycle = await one(services, options.strategy, number, seed)
                row = cycle_row(cycle)
                before, after = held_out(cycle)
                first = before if first is None else first
                last = after if row["version"] else last
                calls += row["calls"]
                number = row["version"] or number
                print(
                    f"cycle {seed}: held-out {before} -> {after}, {row['outcome']}, confidence {row['confidence']},"
                    f" {row['calls']} calls, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
            again = await one(services, options.strategy, start, 1)
            print(
                f"the first cycle again, with what was learned: {held_out(again)}, {cycle_row(again)['calls']} calls"
            )
            print(f"from {first} to {last} with {calls} calls")
            print(f"start below 0.80: {'pass' if first is not None and first < 0.8 else 'FAIL'}")
            print(f"end at 0.95 or more: {'pass' if last is not None and last >= 0.95 else 'FAIL'}")


if __name__ == "__main__":
    asyncio.run(main())
