"""What live quality and a running experiment cost: cached replies and misses with and without them, in one process,
interleaved; ratios.

python -m benchmarks.quality.bench_live [--rounds 12]

Requests to the ASGI application itself, without a network, so that what a server adds does not hide the cost. A few
without and a few with it, in turn, many times: the ratio is the median of the pairs. What counts is CPU time of the
whole process, but for what the budget has measured (scoring and observers). That has a share of a core whatever the
machine leaves to this process, so the share (1 %) is added to the ratio of a miss, and to both the share of a core
that adding the sums to the store takes. Ends with status 1 when a cached reply costs 2 % more or a miss 3 % more.
The experiment's candidate has the text of production, so that both arms are answered from memory; the first look-up
of a session's arm, which is remembered, is not in the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from statistics import median
from typing import Any

import orjson
import structlog

from tilores_core.quality.live import FLUSH_SECONDS, LiveQuality
from tilores_core.release.experiments.assignment import BUCKETS, Assignment, RunningExperiment
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.testing import TestApp
from tilores_core.web.application import Application

SHARE = 0.01
PAIRS = 40
QUESTION = "What is Edwina Hawthorne's credit score?"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=12, help=f"of {PAIRS} pairs")
    given = parser.parse_args()
    gc.freeze()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    async with TestApp(config={"chat": {"log_hits_every": 0}}) as app:
        service = app.application._service
        assert service is not None
        quality, reporter = service.quality, service.engine._reporter
        assert quality is not None
        reached = 0

        async def ask_for(question: str) -> None:
            asked = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": question}]}
            body = orjson.dumps({**asked, "metadata": {"session_id": "a-caller"}})
            status = await post(app.application, body)
            assert status == 200, status

        async def cached() -> None:
            await ask_for(QUESTION)

        async def miss() -> None:
            nonlocal reached
            reached += 1
            await ask_for(f"{QUESTION} Say it in a sentence, please. ({reached})")

        def switch_quality(on: bool) -> None:
            reporter.quality = quality if on else None

        prompts = service.engine._prompts
        assert isinstance(prompts, ProductionPromptManager)
        plan = ExperimentPlan(name="cost", candidate=1)
        state = replace(prompts.state, numbers={"production": 1, plan.label: 1})
        assignment = Assignment()
        assignment.replace((RunningExperiment(id="cost-1", plan=plan, slice=(0, BUCKETS), weight=0.5, step=0),))

        def switch_experiment(on: bool) -> None:
            prompts.state = state  # again: the store's is read when that is opened
            prompts.assignment = assignment if on else None

        ok = True
        for name, ask, number, switch, most in (
            ("cached", cached, 300, switch_quality, 1.02),
            ("miss", miss, 10, switch_quality, 1.03),
            ("cached, experiment", cached, 300, switch_experiment, 1.02),
        ):
            for _ in range(50):
                await ask()
            pairs: list[tuple[float, float]] = []
            flushes: list[float] = []
            for _ in range(given.rounds):
                for pair in range(PAIRS):
                    taken: dict[bool, float] = {}
                    for on in (False, True) if pair % 2 else (True, False):
                        switch(on)
                        taken[on] = await cost(ask, number, quality)
                    pairs.append((taken[False], taken[True]))
                flushes.append(await cost_of_flush(quality) if switch is switch_quality else 0.0)
            ratio = median(on / off for off, on in pairs) + median(flushes) + (SHARE if ask is miss else 0.0)
            ok = ok and ratio < most
            off_, on_ = (median(side) * 1e6 for side in zip(*pairs, strict=True))
            print(f"{name}: {off_:.1f} microseconds of CPU without, {on_:.1f} with; ratio {ratio:.4f} (< {most})")
        assert sum(assignment.assigned.values()), "no turn took part"
        print(f"answers: {dict(quality.counts)}; CPU of scoring {quality.cpu_seconds:.2f} s")
    return 0 if ok else 1


async def post(application: Application, body: bytes) -> int:
    """POST /v1/chat/completions; the status."""
    status = 0
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not messages:
            await never.wait()
        return messages.pop()

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8_000),
    }
    await application(scope, receive, send)
    return status


async def cost(ask: Callable[[], Awaitable[None]], number: int, quality: LiveQuality) -> float:
    """CPU seconds of a request, without what the budget has measured."""
    began = time.process_time() - quality.cpu_seconds
    for _ in range(number):
        await ask()
    return (time.process_time() - quality.cpu_seconds - began) / number


async def cost_of_flush(quality: LiveQuality) -> float:
    """The share of a core that adding the sums to the store takes, at the end of a round."""
    began = time.process_time()
    await quality.flush()
    return (time.process_time() - began) / FLUSH_SECONDS


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
