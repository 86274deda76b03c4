"""Requests that real clients send beside the protocol, to the whole application."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tilores_core.testing import TestApp

ASK = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": "Say hi"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[TestApp]:
    async with TestApp() as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1//chat/completions", "//v1/chat/completions"])
async def test_path_of_a_base_url_with_a_slash_too_many_is_found(app: TestApp, path: str) -> None:
    reply = await app.http.post(f"http://localhost{path}", json=ASK)
    assert reply.status_code == 200
    assert (await app.http.post("http://localhost/chat/invoke/", json={"input": "Say hi"})).status_code == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/invoke"])
async def test_half_a_character_and_a_byte_order_mark_are_taken(app: TestApp, path: str) -> None:
    asked = ASK if path.startswith("/v1") else {"input": "Say hi"}
    body = json.dumps(asked).replace("Say hi", "Say hi \\ud83d").encode()
    for sent in (body, b"\xef\xbb\xbf" + body):
        assert (await app.http.post(path, content=sent)).status_code == 200
    broken = await app.http.post(path, content=body[:-1])
    assert broken.status_code in (400, 422)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/invoke"])
async def test_compressed_body_is_read_or_refused_by_the_name_of_its_header(app: TestApp, path: str) -> None:
    body = json.dumps(ASK if path.startswith("/v1") else {"input": "Say hi"}).encode()

    async def status(sent: bytes, encoding: str) -> int:
        reply = await app.http.post(path, content=sent, headers={"Content-Encoding": encoding})
        assert reply.is_success or "body" in reply.text
        return reply.status_code

    for encoding, sent in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)):
        assert await status(sent, encoding) == 200
    assert await status(body, "br") == 415
    for broken in (body, gzip.compress(body)[:-9], gzip.compress(body) * 2):
        assert await status(broken, "gzip") in (400, 422)
    assert await status(gzip.compress(b" " * 4_000_000 + body), "gzip") == 413


@pytest.mark.asyncio(loop_scope="module")
async def test_address_without_its_end_is_refused_with_the_right_one(app: TestApp) -> None:
    reply = await app.http.post("/chat/completions", json=ASK)
    assert (reply.status_code, "/v1/chat/completions" in reply.text) == (404, True)
