"""The real JavaScript client, in node, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

HELLO = "You said: hello\u2028\x85 – über 漢字 😀"


@pytest.mark.node
def test_javascript_client(run_node: Any, server: Any) -> None:
    result = run_node("langserve/client.mjs", server.url)
    assert result["invoke"] == [True, HELLO]
    for way in ("history", "prompt", "text_prompt", "parsed", "stream_events_pieces"):
        assert result[way] == HELLO, way
    assert result["batch"] == ["You said: a", "You said: b"]
    assert result["batch_configs"] == 2
    assert result["stream"] == [True, HELLO]
    assert result["stream_log"] == [HELLO, ["ChatModel"]]
    assert result["stream_events"] == ["on_chain_start", "on_chain_end", HELLO]
    assert result["invalid"].startswith('422 Error: {"detail":[{"type":"value_error","loc":["input"]')
    assert result["invalid_stream"].startswith(
        "RemoteRunnable call failed with status code 422: input: the object has neither messages nor input"
    )
    assert result["broken_stream"] == '{"status_code":500,"message":"Internal Server Error"}'

    assert {"C1", "C2"} <= {request.customer_id for request in server.engine.asked}
    history = next(request for request in server.engine.asked if len(request.messages) == 4)
    assert (history.customer_id, history.max_age) == ("C1", 5.0)
    assert history.messages[1]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"city":"Leeds"}'}
    assert history.messages[2] == {"role": "tool", "content": "rain", "tool_call_id": "c1"}
