"""The whole product over an instance: questions about its customers, also while tokens cannot be had."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.sources.tilores_client import asked, in_thread
from tests.tilores_instance import TiloresInstance
from tests.tilores_instance.people import PEOPLE, crowd
from tilores_core.testing.waiting import eventually, wait_until

TOML = """
schema = 1
[use]
source = "tilores"
cache = ["memory"]
model = "demo:simulated-1"
[plugins.tilores]
timeout_seconds = 20.0
soft_timeout_seconds = 19.0
"""
MODEL = "demo:simulated-1"
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Product:
    instance: TiloresInstance
    server: RunningServer


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with in_thread(TiloresInstance(people=[*PEOPLE, *crowd(200)])) as instance:
        variables = {
            "TILORES_ALLOW_ANONYMOUS": "true",
            "TILORES_API_URL": instance.api_url,
            "TILORES_TOKEN_URL": instance.token_url,
            "TILORES_CLIENT_ID": instance.client_id,
            "TILORES_CLIENT_SECRET": instance.client_secret,
        }
        folder = tmp_path_factory.mktemp("product")
        with RunningServer(folder, toml=TOML, variables=variables) as server:
            yield Product(instance, server)
            assert instance.client_secret not in server.log_text


def ask(server: RunningServer, question: str) -> httpx.Response:
    return httpx.post(f"{server.chat}/invoke", json={"input": question}, timeout=PATIENCE)


def test_a_question_about_a_customer_is_answered(product: Product) -> None:
    said = ask(product.server, "What is the balance of Bartholomew Quill?").json()["output"]
    assert "88000" in said["content"].replace(",", "").replace(" ", "")
    metadata = said["response_metadata"]
    assert metadata["customer_id"] == product.instance.entity_id("crm-1301")
    assert metadata["cache"] == "miss"
    before = len(asked(product.instance))
    again = ask(product.server, "What is the balance of Bartholomew Quill?").json()["output"]
    assert again["response_metadata"]["cache"] == "l1"
    assert len(asked(product.instance)) == before, "a hit asks the instance nothing"


def test_namesakes_are_asked_about_and_told_apart(product: Product) -> None:
    said = ask(product.server, "What is the balance of Edwina Hawthorne?").json()["output"]["content"]
    assert "1984" in said
    assert "1951" in said
    assert "2500" not in said
    told = [
        {"role": "user", "content": "What is the balance of Edwina Hawthorne?"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "the one born 1951"},
    ]
    reply = httpx.post(
        f"{product.server.v1}/chat/completions", json={"model": MODEL, "messages": told}, timeout=PATIENCE
    )
    assert reply.status_code == 200, reply.text
    assert "Which one" not in reply.json()["choices"][0]["message"]["content"]


def test_a_stranger_is_nobody(product: Product) -> None:
    said = ask(product.server, "What is the balance of nobody.at.all@example.invalid?").json()["output"]
    assert "could not find a customer" in said["content"]


def test_health_shows_the_instance(product: Product) -> None:
    ask(product.server, "What is the balance of Bartholomew Quill?")
    part = httpx.get(f"{product.server.url}/health/detailed", headers=product.server.admin, timeout=PATIENCE).json()[
        "parts"
    ]["tilores"]
    assert part["status"] == "ok"
    assert part["detail"]["schema"]["from"] == "instance"


async def test_a_token_endpoint_that_is_down(product: Product) -> None:
    """20 requests a second for cached and uncached customers, before, while and after there are no tokens."""
    instance = product.instance
    async with httpx.AsyncClient(timeout=PATIENCE) as http:

        async def one(number: int) -> tuple[int, str]:
            question = f"What is the balance of bulk{number}@example.com?"
            reply = await http.post(f"{product.server.v1}/chat/completions", json=_messages(question))
            return reply.status_code, reply.text

        async def load(seconds: float, uncached: Iterator[int]) -> tuple[list[tuple[int, str]], ...]:
            known: list[asyncio.Task[tuple[int, str]]] = []
            unknown: list[asyncio.Task[tuple[int, str]]] = []
            for tick in range(int(seconds * 20)):
                (unknown if tick % 2 else known).append(
                    asyncio.create_task(one(next(uncached) if tick % 2 else tick // 2 % 5))
                )
                await asyncio.sleep(0.05)  # 20 a second
            return await asyncio.gather(*known), await asyncio.gather(*unknown)

        for number in range(5):
            assert (await one(number))[0] == 200
        uncached = iter(range(5, 200))
        instance.token.down = True
        instance.token.expire_all()
        known, unknown = await load(3.0, uncached)
        assert {status for status, _ in known} == {200}, "what is cached never fails"
        assert {status for status, _ in unknown} == {503}
        messages = [json.loads(text)["error"]["message"] for _, text in unknown]
        assert all("no access token for the Tilores instance" in message for message in messages)
        assert len(instance.token.requests) < 30, "no storm"
        instance.token.down = False

        async def back() -> bool:
            return (await one(next(uncached)))[0] == 200

        await eventually(back, every=0.1)
        known, unknown = await load(1.0, uncached)
        assert {status for status, _ in (*known, *unknown)} == {200}


def _messages(question: str) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": question}]}


def test_a_start_without_an_instance_is_possible_and_mends_itself(tmp_path: Path) -> None:
    with in_thread(TiloresInstance()) as instance:
        instance.token.down = True
        variables = {
            "TILORES_ALLOW_ANONYMOUS": "true",
            "TILORES_API_URL": instance.api_url,
            "TILORES_TOKEN_URL": instance.token_url,
            "TILORES_CLIENT_ID": instance.client_id,
            "TILORES_CLIENT_SECRET": instance.client_secret,
        }
        with RunningServer(tmp_path, toml=TOML, variables=variables) as server:
            reply = ask(server, "What is the balance of Bartholomew Quill?")
            assert reply.status_code == 503
            assert "customer data" in reply.text
            instance.token.down = False
            wait_until(lambda: ask(server, "What is the balance of Bartholomew Quill?").status_code == 200)
