"""200 calls of 100 ms, 64 in flight, through the provider `openai`: plain httpx beside the transport on aiohttp.

    .venv/bin/python benchmarks/providers/bench_transport.py --rounds 7

The upstream is `benchmarks/http/stub.py` in a process of its own. Both ways go through the same provider, LangChain's
chat model and SDK; only the HTTP client differs. The calls alone would take 200 / 64 x 0.1 s = 0.4 s.
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
from typing import Any

from pydantic import SecretStr

from tilores_core.chat.langchain_adapter import invoke, stream
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_plugins.providers.openai.provider import OpenAIProvider

STUB = Path(__file__).parents[1] / "http" / "stub.py"
MODEL = "gpt-4o-mini"


def provider_at(address: str, *, aiohttp: bool, connections: int) -> OpenAIProvider:
    settings = KeyedProviderSettings(
        base_url=f"{address}/v1", api_key=SecretStr("sk-benchmark"), max_connections=connections
    )
    provider = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
    if not aiohttp:
        clients = provider.http.async_client
        provider.http.async_client = lambda library="httpx": clients(library, aiohttp=False)  # type: ignore[method-assign]
    return provider


async def one_round(chat: Any, prompt: list[Any], calls: int, in_flight: int, *, streamed: bool) -> float:
    """Seconds for all calls."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            if streamed:
                said = [item async for item in stream(chat, prompt)][-1]
            else:
                said = await invoke(chat, prompt)
            assert said.finish_reason == "stop", said  # type: ignore[union-attr]

    gc.collect()
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return time.perf_counter() - started


async def measure(address: str, given: argparse.Namespace) -> None:
    from langchain_core.messages import HumanMessage

    prompt = [HumanMessage("What is her credit score? " * 20)]
    providers = {
        name: provider_at(address, aiohttp=aiohttp, connections=max(128, given.in_flight))
        for name, aiohttp in (("plain", False), ("aiohttp", True))
    }
    chats = {name: provider.chat_model(MODEL, {}) for name, provider in providers.items()}
    for name, chat in chats.items():
        print(f"{name:<8} {type(chat.root_async_client._client).__module__}")  # type: ignore[attr-defined]
    for streamed in (False, True):
        times: dict[str, list[float]] = {name: [] for name in chats}
        for chat in chats.values():
            await one_round(chat, prompt, given.in_flight, given.in_flight, streamed=streamed)
        for _ in range(given.rounds):
            for name, chat in chats.items():
                times[name].append(await one_round(chat, prompt, given.calls, given.in_flight, streamed=streamed))
        print(f"\n{given.calls} calls of {given.latency_ms} ms, {given.in_flight} in flight, "
              f"{'streamed' if streamed else 'whole'}, median of {given.rounds} rounds")  # fmt: skip
        for name, found in times.items():
            print(f"  {name:<8} {statistics.median(found):.2f} s   ({min(found):.2f} to {max(found):.2f})")
        ratio = statistics.median(times["plain"]) / statistics.median(times["aiohttp"])
        print(f"  -> aiohttp is {ratio:.2f} times as fast")
    for provider in providers.values():
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
