"""Improvement cycles on the seven simulated models, from a poor starting prompt.

    python -m benchmarks.improve.bench_cycles [--strategy mock] [--cycles 3] [--per-spectrum 12]
    python -m benchmarks.improve.bench_cycles --learning 20 [--strategy critique] [--per-spectrum 3]

The strategies critique, gepa, bandit and opro ask a scripted reflection model: it knows sentences for each fault,
good and useless ones, and gets the same prompts as a real model. Prints the held-out score before and after each
cycle, what was decided, and the calls. Pass: below 0.80 at the start, 0.95 at the end. Exit code 1 otherwise.

`--learning N`: N cycles, each from the poor prompt and with three of the models, in an installation that keeps what
it has learned, and each in an empty one. Pass: 30 % fewer calls, to the same mean held-out score (less 0.005).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tilores_core.improve.journal import ModelReply
from tilores_core.improve.report import cycle_row
from tilores_core.logs import configure_logging
from tilores_core.quality.evaluation import default_models
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


def reply(prompt: str) -> str:
    """As a model would answer the prompts of the strategies, by the faults that they name."""
    if found := re.search(r"in one way: (\w+)", prompt):  # critique
        return json.dumps([{"part": "answer_style", "instruction": text} for text in SCRIPT[found[1]]])
    if "You improve the part" in prompt:  # gepa: the part with a sentence for the fault that is shown first
        part = prompt.split("```")[1].strip()
        shown = re.findall(r"^## (\w+):", prompt, re.MULTILINE)
        known = [text for fault in shown for text in SCRIPT[fault] if text not in part]
        return f"```\n{part}\n{known[0] if known else 'Be friendly.'}\n```"
    if "<instructions>" in prompt:  # opro: the best text so far with one more sentence
        best = prompt.partition("\nSome of the")[0].rpartition(": ")[2].replace("(nothing added)", "")
        known = [text for texts in SCRIPT.values() for text in texts if text not in best]
        picked = random.Random(prompt).sample(known, min(4, len(known)))
        return "".join(f"<instructions>{best} {text}</instructions>" for text in picked)
    texts = [text for fault, texts in SCRIPT.items() if f"{fault}: " in prompt for text in texts]
    return json.dumps([{"part": "answer_style", "instruction": text} for text in texts])


async def scripted(prompt: str) -> ModelReply:
    """The scripted reflection model."""
    return ModelReply(text=reply(prompt), tokens=len(prompt) // 4)


@asynccontextmanager
async def opened(per_spectrum: int) -> AsyncIterator[tuple[Services, int]]:
    """An empty installation, and the number of the poor prompt in it."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "plugins.toml"
        config.write_text(f"[improve]\nper_spectrum = {per_spectrum}\n")
        environment = load_environment(None, data_dir=Path(folder) / "data", config=config)
        async with open_services(load_host(environment, loaded=load_config(config)), environment) as services:
            number, _ = await services.prompts.versions.new(PARTS, author="benchmark", reason="a poor prompt")
            yield services, number


async def run(services: Services, strategy: str, number: int, seed: int, models: tuple[str, ...] = ()) -> StoredCycle:
    request = await build_request(
        services, strategy=strategy, version=str(number), seed=seed, models=models, max_calls=60_000, automatic=False
    )
    done = await build_cycles(services, ask=scripted).run(request)
    assert done is not None
    return done


def held_out(cycle: StoredCycle) -> tuple[float | None, float | None]:
    validation: Any = cycle.phases["validation"]
    if "winner" not in validation:
        return None, None
    return validation["present"]["overall"], validation["winner"]["overall"]


async def improve(strategy: str, cycles: int, per_spectrum: int) -> bool:
    async with opened(per_spectrum) as (services, start):
        number, first, last, calls = start, None, None, 0
        for seed in range(1, cycles + 1):
            began = time.monotonic()
            cycle = await run(services, strategy, number, seed)
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
    print(f"{strategy}: from {first} to {last} with {calls} calls")
    poor, good = first is not None and first < 0.8, last is not None and last >= 0.95
    print(f"start below 0.80: {'pass' if poor else 'FAIL'}")
    print(f"end at 0.95 or more: {'pass' if good else 'FAIL'}")
    return poor and good


async def learn(strategy: str, cycles: int, per_spectrum: int) -> bool:
    calls = {True: 0, False: 0}
    scores: dict[bool, list[float]] = {True: [], False: []}
    async with opened(per_spectrum) as (kept, poor):
        roster = default_models(kept.engine.models.listing())
        for seed in range(1, cycles + 1):
            models = tuple(sorted(random.Random(seed).sample(roster, 3)))
            async with opened(per_spectrum) as (empty, number):
                done = {
                    True: await run(kept, strategy, poor, seed, models),
                    False: await run(empty, strategy, number, seed, models),
                }
            for learning, cycle in done.items():
                _, after = held_out(cycle)
                calls[learning] += cycle_row(cycle)["calls"]
                scores[learning].append(after or 0.0)
            print(
                f"cycle {seed}: {cycle_row(done[False])['calls']} calls to {held_out(done[False])[1]} without,"
                f" {cycle_row(done[True])['calls']} to {held_out(done[True])[1]} with what was learned",
                flush=True,
            )
    saved = 1 - calls[True] / calls[False]
    means = {learning: sum(found) / len(found) for learning, found in scores.items()}
    print(f"{calls[False]} calls to {means[False]:.4f} without, {calls[True]} to {means[True]:.4f} with learning")
    good = saved >= 0.3 and means[True] >= means[False] - 0.005
    print(f"{saved:.1%} fewer calls: {'pass' if good else 'FAIL'}")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategy", default="mock")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--per-spectrum", type=int, default=12)
    parser.add_argument("--learning", type=int, metavar="N")
    options = parser.parse_args()
    configure_logging("error", "console")
    if options.learning:
        passed = asyncio.run(learn(options.strategy, options.learning, options.per_spectrum))
    else:
        passed = asyncio.run(improve(options.strategy, options.cycles, options.per_spectrum))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
