"""Answers of servers that keep to no protocol: each is an answer, or a failure that the fallback is asked after."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.providers.asked import HELLO
from tests.providers.odd_upstreams import ANY, CASES, FAILS
from tilores_core.chat.models import Models
from tilores_core.chat.routing.model_call import check_answer
from tilores_core.chat.routing.verdict import judge
from tilores_plugins.providers.openai_compatible.provider import CompatibleProvider
from tilores_plugins.providers.openai_compatible.settings import Instance, Settings

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
NAMES = list(CASES)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The bytes of the case whose number is the model's name; then the connection is closed."""
    headers = await reader.readuntil(b"\r\n\r\n")
    size = next(line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = json.loads(await reader.readexactly(int(size.split(b":")[1])))
    case = CASES[NAMES[int(body["model"])]]
    writer.write(case.streamed if body["stream"] else case.whole or b"")
    await writer.drain()
    writer.close()


async def outcome(models: Models, number: int, streamed: bool) -> Any:
    case, provider = CASES[NAMES[number]], models.provider("up:desk")
    parameters = {"tools": [TOOL]} if isinstance(case.want, list) and isinstance(case.want[0], list) else {}
    try:
        said = await models.ask(f"up:desk/{number}", HELLO, parameters, stream=streamed)
        check_answer(said, {}, provider="up")
    except Exception as error:
        verdict = judge(provider.map_error(error), timed_out=False, is_fallback=False)
        return FAILS if verdict.elsewhere else "the caller's error"
    if parameters:
        return [[call["function"]["name"], call["function"]["arguments"]] for call in said.tool_calls]
    return said.text


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_odd_answer_is_read_or_fails_over(streamed: bool) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    provider = CompatibleProvider(Settings(instances={"desk": Instance(base_url=url)}))
    models = Models({"up": provider}, default="up:desk/0")
    wrong = {}
    for number, (name, case) in enumerate(CASES.items()):
        if streamed or case.whole is not None:
            found = await outcome(models, number, streamed)
            fits = found == case.want or (isinstance(case.want, list) and found in case.want)
            if case.want is not ANY and not fits:
                wrong[name] = found
    await provider.aclose()
    server.close()
    assert not wrong
