"""Plain HTTP: shapes of errors, request ids, CORS, Cache-Control, health and administration."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.gated_model import Gate
from tests.e2e.running_server import RunningServer

SCORE = "What is Edwina Hawthorne's credit score?"
POSTS = [
    "/chat/invoke",
    "/chat/batch",
    "/chat/stream",
    "/chat/stream_log",
    "/chat/stream_events",
    "/v1/chat/completions",
    "/admin/cache/invalidate",
]
GETS = [
    "/chat/input_schema",
    "/chat/output_schema",
    "/chat/config_schema",
    "/v1/models",
    "/v1/models/demo:simulated-1",
    "/health",
    "/health/ready",
    "/health/detailed",
    "/admin/plugins",
    "/admin/cache",
    "/openapi.json",
]


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "demo:simulated-1", "messages": [{"role": "user", "content": text}], **more}


def check_shape(path: str, reply: httpx.Response) -> None:
    """An error in the shape of the protocol that was spoken."""
    assert reply.headers["content-type"] == "application/json", path
    body = reply.json()
    if path.startswith("/v1"):
        assert set(body) == {"error"}, path
        assert set(body["error"]) == {"message", "type", "param", "code"}, path
        assert body["error"]["message"], path
        assert body["error"]["type"], path
    elif path.startswith("/chat/"):
        assert set(body) == {"detail", "message"}, path
    else:
        assert set(body) <= {"detail", "fix", "param"}, path
        assert body["detail"], path


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_wrong_method(http: httpx.Client, method: str) -> None:
    for path in POSTS:
        reply = http.request(method, path)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST"), path
        check_shape(path, reply)


def test_posting_where_one_reads(http: httpx.Client) -> None:
    for path in GETS:
        reply = http.post(path, json={})
        assert reply.status_code == 405, path
        assert "GET" in reply.headers["allow"], path
        check_shape(path, reply)


def test_head(http: httpx.Client) -> None:
    for path in ("/v1/models", "/chat/input_schema"):
        reply = http.head(path)
        assert (reply.status_code, reply.content) == (200, b""), path


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/embeddings", "/v1/responses", "/v1/chat", "/v1/%1B%5B2J%0A"],
)
def test_unknown_openai_route(http: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        reply = http.request(method, path)
        assert reply.status_code == 404, path
        check_shape(path, reply)


@pytest.mark.parametrize("path", ["/chat/nowhere", "/chat/c/", "/chat/c/x/nowhere"])
def test_unknown_langserve_route(http: httpx.Client, path: str) -> None:
    """Nor is there a redirect, which the clients would not follow."""
    reply = http.post(path, json={"input": SCORE})
    assert reply.status_code == 404
    check_shape(path, reply)


@pytest.mark.parametrize("path", ["/nowhere", "/chat", "/admin", "/admin/nowhere", "/docs", "/plugins/memory"])
def test_unknown_route(http: httpx.Client, path: str) -> None:
    reply = http.get(path)
    assert (reply.status_code, reply.json()) == (404, {"detail": "Not Found"})


def test_malformed_json(http: httpx.Client) -> None:
    for path in POSTS:
        reply = http.post(path, content=b'{"input": ', headers={"Content-Type": "application/json"})
        assert reply.status_code == (400 if path.startswith("/v1") else 422), path
        check_shape(path, reply)
        if path.startswith("/chat"):
            assert reply.json()["detail"] == ["Invalid JSON body"]


def test_missing_fields_are_named(http: httpx.Client) -> None:
    for path in POSTS:
        reply = http.post(path, json={"question": SCORE})
        check_shape(path, reply)
        if path == "/chat/batch":
            assert reply.json()["detail"][0]["loc"] == ["inputs"]
        elif path.startswith("/chat/"):
            assert reply.json()["detail"][0]["loc"] == ["input"]
        elif path.startswith("/v1/"):
            assert reply.json()["error"]["param"] == "model"
        else:
            assert "question" in reply.json()["detail"]


def test_a_config_in_the_path(http: httpx.Client) -> None:
    reply = http.post("/chat/c/!!!/invoke", json={"input": SCORE})
    assert (reply.status_code, reply.json()["detail"]) == (400, "Invalid config hash")


# --- request ids --------------------------------------------------------------------------------------------


def test_a_request_id_is_taken_or_made(http: httpx.Client) -> None:
    seen = set()
    requests = [("POST", path) for path in POSTS] + [
        ("GET", path) for path in [*GETS, "/nowhere", "/v1/x", "/chat/x"]
    ]
    requests += [("DELETE", path) for path in (*POSTS, *GETS)]
    for method, path in requests:
        given = http.request(method, path, headers={"X-Request-Id": "call-7/Ab.c:9"})
        assert given.headers.get_list("x-request-id") == ["call-7/Ab.c:9"], (method, path)
        for unfit in (b"two words", b"x" * 200, b'a"b', "ü".encode(), b"edwina@example.com", b"+15035550142"):
            made = http.request(method, path, headers={b"X-Request-Id": unfit}).headers.get_list("x-request-id")
            assert len(made) == 1, (method, path)
            assert made[0].startswith("req-")
            seen.add(made[0])
    assert len(seen) == 6 * len(requests)


# --- CORS ---------------------------------------------------------------------------------------------------

DESK = {"Origin": "https://desk.example"}


def preflight(**headers: str) -> dict[str, str]:
    return {
        **DESK,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-request-id",
        **headers,
    }


def test_a_preflight_needs_no_key(keyed: httpx.Client) -> None:
    for path in POSTS:
        reply = keyed.options(path, headers=preflight())
        assert reply.status_code == 200, path
        assert reply.headers["access-control-allow-origin"] == "https://desk.example"
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert "authorization" in reply.headers["access-control-allow-headers"]
        assert reply.headers["x-request-id"].startswith("req-"), path
        reply = keyed.options(path, headers=preflight(Origin="https://evil.example"))
        assert reply.status_code == 400
        assert "access-control-allow-origin" not in reply.headers


def test_options_that_are_no_preflight_are_a_wrong_method(keyed: httpx.Client) -> None:
    key = {"Authorization": "Bearer desk-secret"}
    for path in ("/chat/invoke", "/v1/chat/completions"):
        reply = keyed.options(path, headers={**DESK, **key})
        assert reply.status_code == 405
        check_shape(path, reply)


def test_replies_and_errors_carry_cors_headers(keyed: httpx.Client) -> None:
    key = {"Authorization": "Bearer desk-secret"}
    for path in POSTS[:-1]:
        body = user(SCORE) if path.startswith("/v1") else {"input": SCORE, "inputs": [SCORE]}
        for headers, status in ((key, 200), ({}, 401)):
            reply = keyed.post(path, json=body, headers={**DESK, **headers})
            assert reply.status_code == status
            assert reply.headers.get_list("access-control-allow-origin") == ["https://desk.example"], path
            assert "X-Tilores-Cache" in reply.headers["access-control-expose-headers"]
            reply = keyed.post(path, json=body, headers={"Origin": "https://evil.example", **headers})
            assert "access-control-allow-origin" not in reply.headers
    for path in ("/health", "/admin/cache", "/nowhere"):
        assert keyed.get(path, headers=DESK).headers["access-control-allow-origin"] == "https://desk.example", path
    big = keyed.post(
        "/admin/cache/invalidate", content=b" " * 2_000_000, headers=DESK | {"Authorization": "Bearer root-secret"}
    )
    assert (big.status_code, big.headers["access-control-allow-origin"]) == (413, "https://desk.example")


def test_without_origins_there_are_no_cors_headers(http: httpx.Client) -> None:
    for reply in (
        http.post("/chat/invoke", json={"input": SCORE}),
        http.post("/chat/invoke", json={"input": SCORE}, headers=DESK),
        http.options("/chat/invoke", headers=preflight()),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert reply.status_code == (403 if "origin" in reply.request.headers else 200), "a page from elsewhere"
    assert http.options("/chat/invoke").status_code == 405


# --- Cache-Control ------------------------------------------------------------------------------------------


def told(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    if "x-tilores-cache" in reply.headers:
        return str(reply.headers["x-tilores-cache"])
    return str(reply.json()["output"][0]["response_metadata"]["cache"])


@pytest.mark.parametrize("path", ["/chat/invoke", "/chat/batch", "/v1/chat/completions"])
def test_a_caller_says_how_fresh_it_must_be(http: httpx.Client, path: str) -> None:
    question = f"{SCORE} As {path} has it."
    body = user(question) if path.startswith("/v1") else {"input": question, "inputs": [question]}

    def ask(control: str | None = None) -> str:
        headers = {} if control is None else {b"Cache-Control": control.encode("latin-1")}
        return told(http.post(path, json=body, headers=headers))

    # It is not kept when the caller says so.
    assert [ask("no-store"), ask("No-Store, max-age=5")] == ["miss", "miss"]
    assert [ask(), ask(), ask("max-age=600"), ask("private, s-maxage=1")] == ["miss", "l1", "l1", "l1"]
    assert [ask("max-age=0"), ask("no-cache"), ask("no-store")] == ["miss", "miss", "miss"]
    assert [ask(), ask("max-age=x"), ask("max-age=-1"), ask("max-age=\u00b2")] == ["l1"] * 4


def test_the_body_wins(http: httpx.Client) -> None:
    question = f"{SCORE} Body and header."
    body = {"input": question, "config": {"configurable": {"max_age": 600}}}
    assert told(http.post("/chat/invoke", json=body)) == "miss"
    assert told(http.post("/chat/invoke", json=body, headers={"Cache-Control": "max-age=0"})) == "l1"
    body["config"] = {"configurable": {"no_cache": True}}
    assert told(http.post("/chat/invoke", json=body)) == "miss"
    fresh = user(question, metadata={"max_age": "600"})
    assert told(http.post("/v1/chat/completions", json=fresh, headers={"Cache-Control": "max-age=0"})) == "l1"


def test_the_streaming_routes_of_langserve_ignore_it(http: httpx.Client) -> None:
    """Its Python client says no-store on all of them."""
    http.post("/chat/invoke", json={"input": SCORE})
    for path in ("/chat/stream", "/chat/stream_log", "/chat/stream_events"):
        reply = http.post(path, json={"input": SCORE}, headers={"Cache-Control": "no-store"})
        assert '"cache":"l1"' in reply.text, path
    reply = http.post("/v1/chat/completions", json=user(SCORE, stream=True), headers={"Cache-Control": "no-store"})
    assert '"cache":"miss"' in reply.text


# --- health and administration ------------------------------------------------------------------------------


def test_health(http: httpx.Client) -> None:
    assert http.get("/health").json()["status"] == "ok"
    assert http.get("/health/ready").json() == {"status": "ready"}
    detailed = http.get("/health/detailed").json()
    assert detailed["status"] == "ok"
    assert {"plugins", "cache", "model", "source", "observers", "grounding"} <= set(detailed["parts"])
    assert detailed["parts"]["model"]["detail"]["default"] == "demo:simulated-1"


def test_plugins_are_listed(http: httpx.Client) -> None:
    states = {row["id"]: row["state"] for row in http.get("/admin/plugins").json()}
    assert {"memory", "demo", "demo-model"} <= set(states)
    assert states["memory"] == "active"


def test_forgetting_a_customer(http: httpx.Client) -> None:
    """All that is known of one customer goes, what is known of another stays."""
    ids = ("SAR_MITCHELL_001", "SAR_MITCHELL_002")

    def ask(customer_id: str) -> str:
        body = {"input": "What is the credit score?", "config": {"configurable": {"customer_id": customer_id}}}
        return told(http.post("/chat/invoke", json=body))

    assert [ask(ids[0]), ask(ids[0]), ask(ids[1]), ask(ids[1])] == ["miss", "l1", "miss", "l1"]
    gone = http.post("/admin/cache/invalidate", json={"customer_id": ids[0]})
    assert gone.status_code == 200
    assert gone.json()["removed"] >= 1
    assert [ask(ids[0]), ask(ids[1])] == ["miss", "l1"]
    assert http.post("/admin/cache/invalidate", json={"customer_id": "NOBODY"}).json() == {"removed": 0}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "exactly one"),
        ({"customer_id": "A", "namespace": "answers"}, "exactly one"),
        ({"customer": "A"}, "customer: "),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": 7}, "customer_id"),
        ({"namespace": "../x"}, "namespace"),
        ({"key": "\n"}, "key"),
        ([], "body"),
    ],
)
def test_what_to_forget_has_to_be_said_exactly(http: httpx.Client, body: Any, says: str) -> None:
    reply = http.post("/admin/cache/invalidate", json=body)
    assert reply.status_code == 422
    check_shape("/admin/cache/invalidate", reply)
    assert says in reply.json()["detail"]


def test_forgetting_a_namespace(http: httpx.Client) -> None:
    body = {"input": SCORE}
    told(http.post("/chat/invoke", json=body))
    assert http.post("/admin/cache/invalidate", json={"namespace": "answers"}).json()["removed"] >= 1
    assert told(http.post("/chat/invoke", json=body)) == "miss"
    statistics = http.get("/admin/cache").json()
    assert statistics["tiers"]["l1"]["name"] == "memory"
    assert statistics["tiers"]["l1"]["namespaces"]["answers"]["entries"] >= 1
    assert statistics["in_flight"] == 0


# --- a fault in the server ----------------------------------------------------------------------------------


def test_a_fault_is_told_without_its_message(gated: RunningServer, gate: Gate) -> None:
    with httpx.Client(base_url=gated.url, timeout=30, headers={"X-Request-Id": "fault"}) as http:
        body = {"input": "Divide!", "config": {"configurable": {"model": "gated:bug"}}}
        for path in ("/chat/invoke", "/chat/stream", "/chat/batch"):
            reply = http.post(path, json={**body, "inputs": ["Divide!"]})
            assert reply.status_code == 500, path
            assert reply.json() == {"detail": "Internal Server Error", "message": "Internal Server Error"}
        for stream in (False, True):
            reply = http.post("/v1/chat/completions", json={**user("Divide!", stream=stream), "model": "gated:bug"})
            assert (reply.status_code, reply.headers["x-should-retry"]) == (500, "false")
            assert reply.json()["error"]["type"] == "server_error"
            assert "Divide!" not in reply.text
    line = gated.wait_for_line(request_id="fault", event="request.failed")
    assert "ZeroDivisionError" in line["exception"]
    assert "Divide!" not in line["exception"]


def test_a_plugins_fault_is_told_without_its_message(gated: RunningServer) -> None:
    with httpx.Client(
        base_url=gated.url, timeout=30, headers={**gated.admin, "X-Request-Id": "plugin-fault"}
    ) as http:
        reply = http.post("/plugins/gated/fault", json={"name": "Edwina Hawthorne"})
    assert reply.status_code == 500
    assert reply.headers["x-request-id"] == "plugin-fault"
    assert reply.json() == {"detail": "Internal Server Error", "fix": None}
    assert "ZeroDivisionError" in gated.wait_for_line(request_id="plugin-fault")["exception"]
    gated.check_log()


def test_a_plugins_health_checks_do_not_hold_up_or_break_the_rest(gated: RunningServer) -> None:
    detailed = httpx.get(f"{gated.url}/health/detailed", headers=gated.admin, timeout=30).json()
    assert detailed["status"] == "degraded"
    broken, slow = detailed["parts"]["broken"], detailed["parts"]["slow"]
    assert (broken["status"], broken["detail"]) == ("failed", {"error": "ZeroDivisionError"})
    assert (slow["status"], slow["detail"]) == ("failed", {"error": "no answer within 1 s"})
    assert slow["last_error"]["code"] == "timeout"
    assert detailed["parts"]["cache"]["status"] == "ok"
