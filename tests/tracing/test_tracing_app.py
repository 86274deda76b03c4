"""Traces of real requests as LangSmith gets them: through the server, the tracer and the langsmith package."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from tests.tracing.langsmith_server import KEY, LangSmithServer
from tests.tracing.traced_app import EDWINA, QUESTION, traced_app
from tilores_core.contracts import Span, Trace
from tilores_core.host.roles import TRACERS
from tilores_core.testing import isolated_host
from tilores_core.testing.waiting import eventually, settle

PURPOSES = {"live", "batch", "prewarm"}
VARIABLES = ("TRACING", "API_KEY", "PROJECT", "ENDPOINT", "TRACING_V2")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"LANGSMITH_{name}", raising=False)
        monkeypatch.delenv(f"LANGCHAIN_{name}", raising=False)


def plugin(service: LangSmithServer, **more: Any) -> dict[str, Any]:
    return {"endpoint": service.url, "api_key": {"env": "TEST_KEY", "default": KEY}, "timeout_seconds": 2.0, **more}


def _ordered(service: LangSmithServer, root: dict[str, Any]) -> None:
    for child in service.children(root):
        assert child["trace_id"] == root["id"]
        assert child["dotted_order"].startswith(f"{root['dotted_order']}.")
        assert child["dotted_order"].endswith(child["id"])
        assert root["start_time"] <= child["start_time"] <= child["end_time"] <= root["end_time"]


async def test_a_request_is_a_tree_under_the_run_id_that_the_caller_got(
    tmp_path: Path, service: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAILWAY_DEPLOYMENT_ID", "dep-1")
    monkeypatch.setenv("RAILWAY_REPLICA_ID", "rep-1")
    async with traced_app(tmp_path, langsmith=plugin(service), tracing={"schedule_delay_seconds": 60}) as app:
        reply = await app.http.post(
            "/chat/invoke",
            json={"input": QUESTION, "config": {"configurable": {"session_id": "session-7"}}},
            headers={"X-Request-Id": "req-17"},
        )
        run_id = reply.json()["metadata"]["run_id"]
        assert "742" in reply.json()["output"]["content"]
        await eventually(lambda: app.quality.counts["scored"])  # before the batch is sent, at the end
    root = service.runs[run_id]
    assert root["name"] == "chat"
    assert root["run_type"] == "chain"
    assert set(root["tags"]) == {
        "provider:demo",
        "model:demo:simulated-1",
        "spectrum:credit_analysis",
        "cache:miss",
        "purpose:live",
    }
    metadata = root["extra"]["metadata"]
    assert metadata["session_id"] == metadata["thread_id"] == "session-7"
    assert metadata["request_id"] == "req-17"
    assert (metadata["deployment_id"], metadata["replica_id"]) == ("dep-1", "rep-1")
    assert (metadata["score_overall"], metadata["score_groundedness"]) == (1.0, 1.0)
    assert (metadata["spectrum"], metadata["prompt_version"][:2]) == ("credit_analysis", "1-")
    _ordered(service, root)
    look_up, prompt, model, answer = service.children(root)
    assert [run["run_type"] for run in (look_up, prompt, model, answer)] == ["retriever", "prompt", "llm", "parser"]
    assert look_up["extra"]["metadata"]["records"] == 6
    assert look_up["extra"]["metadata"]["outcome"] == "one"
    assert look_up["extra"]["metadata"]["cache_tier"] == "miss"
    assert prompt["extra"]["metadata"]["prompt_version"].startswith("1-")
    usage = model["extra"]["metadata"]["usage_metadata"]
    assert usage["input_tokens"] > 100
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert model["extra"]["metadata"]["fallback"] is False
    assert answer["extra"]["metadata"]["finish_reason"] == "stop"


async def test_nothing_of_the_customer_and_nothing_that_was_said_leaves_by_default(
    tmp_path: Path, service: LangSmithServer
) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service), tracing={"sample_hits": 1.0}) as app:
        for session in ("edwina.hawthorne@example.com", "+15035550142", "Edwina-1"):
            await app.invoke(session_id=session)
            await app.invoke(f"{QUESTION} Please.", customer_id=EDWINA, session_id=session)
        await eventually(lambda: len(service.roots) == 6)
    said = service.everything.lower()
    assert not re.search(r"edwina|hawthorne|edw_|(?<![\d.])742|555.?0142|5035550142|credit score|portland", said)
    assert all(not run["inputs"] and not run.get("outputs") for run in service.runs.values())
    assert len({run["extra"]["metadata"]["thread_id"] for run in service.roots}) == 3, "still three threads"


@pytest.mark.parametrize("door", ["invoke", "complete"])
async def test_cached_answers_are_traced_by_their_own_share(
    tmp_path: Path, service: LangSmithServer, door: str
) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service), tracing={"sample_hits": 1.0}) as app:
        replies = [await getattr(app, door)() for _ in range(3)]
        await eventually(lambda: len(service.roots) == 3)
    ids = [
        reply.json()["metadata"]["run_id"] if door == "invoke" else reply.json()["id"].removeprefix("chatcmpl-")
        for reply in replies
    ]
    assert set(ids) == {run["id"] for run in service.roots}
    hit = service.runs[ids[2]]
    assert "cache:l1" in hit["tags"]
    assert [run["run_type"] for run in service.children(hit)] == ["retriever"]
    assert hit["extra"]["metadata"]["prompt_version"].startswith("1-")
    assert hit["extra"]["metadata"]["age"] >= 0
    assert service.children(hit)[0]["extra"]["metadata"]["records"] == 6
    assert service.children(hit)[0]["extra"]["metadata"]["cache_tier"] == "l1"
    assert hit["extra"]["metadata"]["cost"] == 0
    _ordered(service, hit)


async def test_by_default_one_cached_answer_in_a_hundred_is_traced(tmp_path: Path, service: LangSmithServer) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service), tracing={"sample_hits": 0.1}) as app:
        for _ in range(600):
            await app.complete()
        await settle()
    hits = sum("cache:l1" in run["tags"] for run in service.roots)
    assert 25 <= hits <= 110, "599 at one in ten: further off than this once in ten million times"
    assert sum("cache:miss" in run["tags"] for run in service.roots) == 1


async def test_no_hits_when_their_share_is_nothing_and_every_error_whatever_the_share(
    tmp_path: Path, service: LangSmithServer
) -> None:
    none = {"sample_hits": 0.0, "sample": 0.0}
    async with traced_app(tmp_path, langsmith=plugin(service), tracing=none) as app:
        for _ in range(5):
            await app.invoke()
        assert (await app.invoke(model="nobody:knows-edwina")).status_code == 422
        assert (await app.complete(model="nobody:knows-edwina")).status_code == 404
        assert (await app.complete(model="nobody:knows-edwina", stream=True)).status_code == 404
        assert (
            await app.http.post(
                "/chat/stream", json={"input": "x", "config": {"configurable": {"model": "nobody:knows-edwina"}}}
            )
        ).status_code == 422
        batch = {"inputs": ["x"], "config": {"configurable": {"model": "nobody:knows-edwina"}}}
        assert (await app.http.post("/chat/batch", json=batch)).status_code == 422
        await eventually(lambda: len(service.roots) == 5)
    assert {run["error"] for run in service.roots} == {"unknown_model"}
    assert all("error:unknown_model" in run["tags"] for run in service.roots)
    assert "nobody" not in service.everything, "the name of a model that nobody knows may be any text"


async def test_a_made_up_model_of_a_provider_is_named_neither_in_traces_nor_in_the_log(
    tmp_path: Path, service: LangSmithServer, capfd: pytest.CaptureFixture[str]
) -> None:
    nowhere = {"ollama": {"base_url": "http://127.0.0.1:9"}}
    async with traced_app(
        tmp_path, langsmith=plugin(service), plugins=nowhere, routing={"backoff_seconds": 0.0}
    ) as app:
        assert (await app.invoke(model="ollama:edwina-hawthorne")).status_code >= 400
        root = (await eventually(lambda: service.roots))[0]
    assert "model:ollama:other" in root["tags"]
    assert "ollama:other" in {run["name"] for run in service.children(root)}
    said = "".join(capfd.readouterr())
    assert "model.call_failed" in said
    assert "edwina" not in (said + service.everything).lower()


async def test_batches_and_what_is_warmed_are_told_from_live_turns(tmp_path: Path, service: LangSmithServer) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service), with_jobs=True) as app:
        live = (await app.invoke()).json()["metadata"]["run_id"]
        lines = '{"id": "1", "question": "What is the balance?", "customer_id": "EDW_HAWTHORNE_001"}\n'
        assert (await app.http.post("/admin/batch", content=lines)).status_code == 202
        warm = {"name": "now", "customers": [{"customer_id": EDWINA}], "questions": ["What is the address?"]}
        begun = await app.http.post("/admin/prewarm", json={"plan": {"lists": [warm]}})
        assert begun.is_success, begun.text
        await eventually(
            lambda: {run["extra"]["metadata"]["purpose"] for run in service.roots if "extra" in run} >= PURPOSES
        )
    for run in service.roots:
        assert f"purpose:{run['extra']['metadata']['purpose']}" in run["tags"]
    assert "purpose:live" in service.runs[live]["tags"]


async def test_redacted_keeps_the_words_and_masks_the_customer(tmp_path: Path, service: LangSmithServer) -> None:
    async with traced_app(
        tmp_path, langsmith=plugin(service), tracing={"capture": "redacted", "sample_hits": 1.0}
    ) as app:
        first = (await app.invoke()).json()["metadata"]["run_id"]
        second = (await app.invoke()).json()["metadata"]["run_id"]
        several = (await app.invoke("What is John Smith's balance?")).json()["metadata"]["run_id"]
        await eventually(lambda: len(service.roots) == 3)
    for run_id in (first, second):
        root = service.runs[run_id]
        assert root["inputs"]["messages"][0]["content"] == "What is [name]'s credit score?"
        assert "credit score" in root["outputs"]["content"]
        assert "[number]" in root["outputs"]["content"]
    withheld = service.runs[several]
    assert not withheld["inputs"]
    assert withheld["extra"]["metadata"]["withheld"] is True
    assert not re.search(r"edwina|hawthorne|742|smith|portland", service.everything.lower())


async def test_full_says_everything_and_cuts_what_is_too_long(tmp_path: Path, service: LangSmithServer) -> None:
    async with traced_app(
        tmp_path, langsmith=plugin(service), tracing={"capture": "full", "max_characters": 5000}
    ) as app:
        run_id = (await app.invoke(f"{QUESTION} {'very ' * 2000}", customer_id=EDWINA)).json()["metadata"]["run_id"]
        root = await eventually(lambda: service.runs.get(run_id))
        look_up = (await eventually(lambda: service.children(root)))[0]
    content = root["inputs"]["messages"][0]["content"]
    assert content.startswith(QUESTION)
    assert re.search(r"… \(\d+ characters more\)$", content)
    assert root["extra"]["metadata"]["cut"] is True
    assert "742" in root["outputs"]["content"]
    assert "Hawthorne" in str(look_up["outputs"])


async def test_langchains_own_tracing_makes_no_second_tree(
    tmp_path: Path, service: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LANGSMITH_TRACING=true LangChain would send every call of a model that is not plain, unmasked."""
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel
    from langsmith import utils

    from tilores_plugins.providers.demo.provider import DemoProvider

    for name, value in {"TRACING": "true", "API_KEY": KEY, "ENDPOINT": service.url, "PROJECT": "p"}.items():
        monkeypatch.setenv(f"LANGSMITH_{name}", value)
    utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    seen: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            seen.append(utils.tracing_is_enabled())

    real = DemoProvider.chat_model

    def with_callbacks(self: DemoProvider, model: str, parameters: Any) -> BaseChatModel:
        made = real(self, model, parameters)
        return made.model_copy(update={"callbacks": [Handler()]})

    monkeypatch.setattr(DemoProvider, "chat_model", with_callbacks)
    try:
        async with traced_app(tmp_path, langsmith={"timeout_seconds": 2.0}) as app:
            await app.invoke()
            await app.http.post("/chat/stream", json={"input": f"{QUESTION} Again."})
            await eventually(lambda: len(service.roots) == 2)
        await asyncio.sleep(0.3)  # for what LangChain would send by itself
    finally:
        utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    assert seen, "the model is not plain, so LangChain's callbacks run"
    assert not any(seen), "and LangChain's own tracer would be one of them"
    assert len(service.roots) == 2
    assert {run["session_name"] for run in service.runs.values()} == {"p"}
    assert not re.search(r"edwina|hawthorne|742", service.everything.lower())


async def test_the_tracer_in_the_pages_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    module = ModuleType("printing")
    exec(compile(code.replace("from __future__", ""), "docs/tracing.md", "exec"), module.__dict__)
    host = isolated_host({"printing": module}, data_dir=tmp_path)
    tracer: Any = host.build(TRACERS, "printer")
    span = Span(kind="request", name="chat", started=1.0, ended=2.0)
    await tracer.record([Trace(id="run-1", root=span, tags=("cache:l1",))])
    assert capsys.readouterr().out == "run-1 ok cache:l1\n"
    await host.aclose()


# --- feedback --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/chat/feedback", "/v1/feedback"])
async def test_feedback_reaches_the_run(tmp_path: Path, service: LangSmithServer, path: str) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service)) as app:
        completion = (await app.complete()).json()["id"]
        body = {"run_id": completion, "key": "helpful", "score": 1, "value": "Edwina was pleased", "comment": "742"}
        reply = await app.http.post(path, json=body)
        assert reply.status_code == 200, reply.text
        given = (await eventually(lambda: service.feedback))[0]
    assert given["run_id"] == completion.removeprefix("chatcmpl-") == reply.json()["run_id"]
    assert given["run_id"] in service.runs
    assert (given["key"], given["score"]) == ("helpful", 1.0)
    assert reply.json()["comment"] is None
    assert "comment" not in given
    assert "value" not in given


async def test_with_full_capture_words_are_forwarded_too(tmp_path: Path, service: LangSmithServer) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service), tracing={"capture": "full"}) as app:
        body = {"run_id": str(uuid4()), "key": "tone", "value": "warm", "comment": "thank you"}
        assert (await app.http.post("/chat/feedback", json=body)).json()["comment"] == "thank you"
        await eventually(lambda: service.feedback)
    assert (service.feedback[0]["value"], service.feedback[0]["comment"]) == ("warm", "thank you")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "k", "score": 1}, "run_id"),
        ({"run_id": "Edwina", "key": "k", "score": 1}, "run_id"),
        ({"run_id": str(uuid4()), "score": 1}, "key"),
        ({"run_id": str(uuid4()), "key": "k" * 101, "score": 1}, "key"),
        ({"run_id": str(uuid4()), "key": "k", "score": "much"}, "score"),
        ({"run_id": str(uuid4()), "key": "k"}, "score"),
        ({"run_id": str(uuid4()), "key": "k", "value": {"a": 1}}, "value"),
        ({"run_id": str(uuid4()), "key": "k", "comment": "x" * 10_001}, "comment"),
    ],
)
async def test_wrong_feedback_is_told_which_field(
    tmp_path: Path, service: LangSmithServer, body: dict[str, Any], field: str
) -> None:
    async with traced_app(tmp_path, langsmith=plugin(service)) as app:
        refused = await app.http.post("/chat/feedback", json=body)
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == [field]
        refused = await app.http.post("/v1/feedback", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)
        assert (await app.http.get("/chat/feedback")).status_code == 405
        assert (await app.http.get("/v1/feedback")).status_code == 405


async def test_without_a_tracer_feedback_is_404_and_says_why(tmp_path: Path) -> None:
    async with traced_app(tmp_path, tracers=(), quality={"live_cpu_percent": 0}) as app:
        body = {"run_id": str(uuid4()), "key": "k", "score": 1}
        for path in ("/chat/feedback", "/v1/feedback"):
            reply = await app.http.post(path, json=body)
            assert reply.status_code == 404
            assert "no tracer here takes feedback" in reply.text
