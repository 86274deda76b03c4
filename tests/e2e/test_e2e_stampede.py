"""Many ask the same at once: the model is asked once."""

from __future__ import annotations

import asyncio
import json

from tests.e2e.gated_model import ANSWER
from tests.e2e.running_server import RunningServer, StartGated

CROWD = 1000


async def ask(server: RunningServer, body: bytes) -> tuple[str, str]:
    """On a connection of its own; how it was answered, and what."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200"), head + content
    output = json.loads(content)["output"]
    return output["response_metadata"]["cache"], output["content"]


async def test_a_thousand_who_ask_the_same_make_one_call(start_gated: StartGated) -> None:
    server, gate = start_gated(toml=f"[chat]\nmax_concurrent = {2 * CROWD}\n")
    body = json.dumps({"input": "What is new with Edwina Hawthorne?"}).encode()
    crowd = [asyncio.create_task(ask(server, body)) for _ in range(CROWD)]
    await asyncio.to_thread(gate.wait_for, "start")
    gate.open()
    answers = await asyncio.gather(*crowd)
    assert {text for _, text in answers} == {ANSWER}
    assert {tier for tier, _ in answers} <= {"miss", "l1"}
    assert sum(tier == "miss" for tier, _ in answers) > 1, "nobody shared the call"
    assert gate.events == ["start", "done"]
