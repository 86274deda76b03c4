"""200 calls of 100 ms, 64 in flight, through the provider `openai`: asked directly, and by LangChain's chat model.

    .venv/bin/python -m benchmarks.providers.bench_transport --rounds 7

The upstream is `benchmarks/http/stub.py`, a process of its own. The calls alone take 200 / 64 x 0.1 s = 0.4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from pydantic import SecretStr

from tilores_core.chat.models import Models
from tilores_core.contracts import Message
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_plugins.providers.openai.provider import OpenAIProvider

STUB = Path(__file__).parents[1] / "http" / "stub.py"
MODEL = "gpt-4o-mini"
PROMPT: list[Message] = [{"role": "user", "content": "What is her credit score? " * 20}]


class ByLangChain:
    """The same provider without its direct way."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self.models, self.chat_model = provider.models, provider.chat_model
        self.map_error, self.aclose = provider.map_error, provider.aclose


def provider_at(address: str, connections: int) -> OpenAIProvider:
    settings = KeyedProviderSettings(
        base_url=f"{address}/v1", api_key=SecretStr("sk-benchmark"), max_connections=connections
    )
    return OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))


async def one_round(models: Models, calls: int, in_flight: int, *, streamed: bool) -> tuple[float, float]:
    """Seconds for all calls, and processor seconds."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            said = await models.ask(models.default, PROMPT, stream=streamed)
            assert said.finish_reason == "stop", said

    gc.collect()
    started, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return time.perf_counter() - started, time.process_time() - worked


async def measure(address: str, given: argparse.Namespace) -> None:
    provider = provider_at(address, max(128, given.in_flight))
    ways = {
        "direct": Models({"openai": provider}, default=f"openai:{MODEL}"),
        "langchain": Models({"openai": ByLangChain(provider)}, default=f"openai:{MODEL}"),
    }
    for streamed in (False, True):
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for models in ways.values():
            await one_round(models, given.in_flight, given.in_flight, streamed=streamed)
        for _ in range(given.rounds):
            for name, models in ways.items():
                times[name].append(await one_round(models, given.calls, given.in_flight, streamed=streamed))
        print(f"\n{given.calls} calls of {given.latency_ms} ms, {given.in_flight} in flight, "
              f"{'streamed' if streamed else 'whole'}, median of {given.rounds} rounds")  # fmt: skip
        for name, found in times.items():
            seconds, worked = (statistics.median(one[at] for one in found) for at in (0, 1))
            print(f"  {name:<10} {seconds:.2f} s, {worked / given.calls * 1e3:.2f} ms of processor time a call")
    await provider.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency-ms", type=int, default=100)
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stub = subprocess.Popen([sys.executable, str(STUB), str(port)])
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/set?latency_ms={given.latency_ms}", timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        asyncio.run(measure(address, given))
    finally:
        stub.terminate()
        stub.wait()


if __name__ == "__main__":
    main()
