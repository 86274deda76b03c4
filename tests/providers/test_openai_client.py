"""The client for OpenAI's protocol: what goes over the wire, and what it makes of what servers really send."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask, user
from tests.redis_server import free_port
from tilores_core import ContentRefusedError, InvalidRequestError, ProviderRateLimitedError, ProviderUnavailableError
from tilores_core.chat.messages import for_model
from tilores_core.chat.models import Models
from tilores_core.contracts import Message, Usage
from tilores_core.llm import KeyedProviderSettings, UpstreamError, load_catalogue
from tilores_core.llm.normalizer import Completion
from tilores_plugins.providers.deepseek.provider import DeepSeekProvider
from tilores_plugins.providers.mistral.provider import MistralProvider
from tilores_plugins.providers.openai.provider import OpenAIProvider
from tilores_plugins.providers.openai_compatible.provider import CompatibleProvider
from tilores_plugins.providers.openai_compatible.settings import Instance, Settings

MODEL = "desk/m"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Upstream:
    """A server that answers each request with the same bytes and remembers what it was sent."""

    def __init__(self) -> None:
        self.body = b""
        self.kind = "text/event-stream"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.refuses: dict[str, str] = {}  # keys of a request, and what is said of them
        self.wants: dict[str, str] = {}  # the same of keys that are missing
        self.asked: list[dict[str, Any]] = []
        self.peers: set[Any] = set()
        self.given: list[dict[str, str]] = []
        self.url = ""

    def events(self, *events: Any, done: bool = True) -> None:
        """Objects become data lines; text is sent as it is."""
        lines = [event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n" for event in events]
        self.body = "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode("utf-8", "surrogatepass")
        self.kind = "text/event-stream"

    def reply(self, reply: Any) -> None:
        self.body, self.kind = json.dumps(reply).encode(), "application/json"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(json.loads(await request.read()))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.given.append({name.lower(): value for name, value in request.headers.items()})
        keys = {*self.asked[-1], *(key for message in self.asked[-1]["messages"] for key in message)}
        said = [said for key, said in self.refuses.items() if key in keys]
        if refused := next((said for key, said in self.wants.items() if key not in keys), said and said[0]):
            return web.json_response({"error": {"message": refused, "code": "unsupported_parameter"}}, status=400)
        return web.Response(body=self.body, status=self.status, headers={"content-type": self.kind, **self.headers})


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await web.SockSite(runner, sock).start()
        made.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        yield made
        await runner.cleanup()


@pytest.fixture
async def provider(upstream: Upstream) -> AsyncIterator[CompatibleProvider]:
    made = CompatibleProvider(Settings(instances={"desk": Instance(base_url=upstream.url)}))
    yield made
    await made.aclose()


def says(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    said = delta if text is None else {"content": text, **delta}
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


USED = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}


async def streamed(
    provider: Any, messages: Sequence[Message] = HELLO, model: str = MODEL, **given: Any
) -> Completion:
    return await ask(provider, model, messages, given, streamed=True)


# --- streams as they come


@pytest.mark.parametrize(
    "events",
    [
        [says("It is "), says("forty."), says(finish="stop"), USED],
        [
            "retry: 100\n\n",
            "event: ping\ndata:\n\n",
            says("It is forty."),
            ": comment\n\n",
            says(finish="stop"),
            USED,
        ],
        [{"choices": [], "prompt_filter_results": [{}]}, says("It is forty."), says(finish="stop"), USED],
        [
            says("It is "),
            {"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]},
            says("forty."),
            {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
            USED,
        ],
        [says("It is "), {"id": "x", "object": "chat.completion.chunk"}, says("forty.", finish="stop"), USED],
        [
            says([{"type": "text", "text": "It is "}, {"type": "thinking", "thinking": []}]),  # type: ignore[arg-type]
            says("forty.", "stop"),
            USED,
        ],
        [says("It is ", "null"), says("forty.", "null"), says(finish="STOP"), USED],
        [
            says("It is ") | {"error": dict.fromkeys(("message", "code"))},
            [says("forty.", "stop")],
            USED,
            "data: []\n\n",
        ],
        [
            {"choices": [{"delta": {"content": "It is "}, "message": {"content": "It is "}}]},
            {"choices": [{"delta": {"content": "forty."}, "message": {"content": "It is forty."}}]},
            {"choices": [{"delta": {}, "message": {"content": "It is forty."}, "finish_reason": "stop"}]},
            USED,
        ],
        [{"choices": [{"text": "It is "}]}, {"choices": [{"text": "forty.", "finish_reason": "stop"}]}, USED],
        [says("It is "), {"choices": [{**says("forty.", "stop")["choices"][0], "usage": USED["usage"]}]}],
        [says("It is forty.", "stop"), {"usage": {"prompt_tokens": 9.0, "output_tokens": "4", "input_tokens": -1}}],
        [
            'data: {"choices": [{"delta": {"content": "It is forty."}, "finish_reason": "stop", "note": "\t"}]}\n\n',
            USED,
        ],
    ],
    ids=[
        *("plain", "no-data", "prompt-filter", "no-delta", "no-choices", "parts", "null-reason", "lists"),
        *("message-too", "text", "usage-in-choice", "odd-counts", "raw-tab"),
    ],
)
async def test_stream_with_events_that_carry_nothing_is_an_answer(
    upstream: Upstream, provider: CompatibleProvider, events: list[Any]
) -> None:
    upstream.events(*events)
    said = await streamed(provider)
    assert (said.text, said.finish_reason) == ("It is forty.", "stop")
    assert said.usage == Usage(input_tokens=9, output_tokens=4)


@pytest.mark.parametrize(
    "details",
    [
        {"prompt_tokens_details": {"cached_tokens": 7}, "completion_tokens_details": {"reasoning_tokens": 3}},
        {"prompt_cache_hit_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}},
        {"cached_tokens": 7, "prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": "3"}},
    ],
    ids=["openai", "deepseek", "moonshot"],
)
async def test_tokens_that_were_cached_or_thoughts_are_known(
    upstream: Upstream, provider: CompatibleProvider, details: dict[str, Any]
) -> None:
    upstream.events(
        says("Forty.", "stop"), {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, **details}}
    )
    said = await streamed(provider)
    assert said.usage == Usage(input_tokens=9, output_tokens=4, cached_tokens=7, reasoning_tokens=3)


async def test_keys_that_a_server_refuses_are_learnt_where_the_caller_did_not_choose_them(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.events(says("Forty.", "stop"))
    upstream.refuses = {"max_tokens": "'max_tokens' is not supported. Use 'max_completion_tokens' instead."}
    schema = {"type": "object", "properties": {"n": {"maximum": 123456789012345678901234}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    for calls in (2, 3):  # refused and asked again, then asked as it is known to work
        said = await ask(provider, "desk/m", parameters={"max_tokens": 5, "tools": tools}, streamed=True)
        assert (said.text, len(upstream.asked)) == ("Forty.", calls)
        assert upstream.asked[-1]["max_completion_tokens"] == 5
        assert upstream.asked[-1]["tools"] == tools
    upstream.refuses, upstream.wants = {}, {"reasoning_content": "The `reasoning_content` must be passed back."}
    messages = history(called(("a", "{}")), ("a", "ok"))
    assert (await ask(provider, "desk/thinks", messages)).text == "Forty."
    assert [one.get("reasoning_content") for one in upstream.asked[-1]["messages"]] == [None, None, "", None]
    upstream.wants = {}
    upstream.refuses = {"stream_options": "Unrecognized request argument supplied: stream_options"}
    assert (await ask(provider, "desk/other", streamed=True)).text == "Forty."
    assert "stream_options" not in upstream.asked[-1]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}),
        ({"anyOf": [{"type": "object"}]}, {"anyOf": [{"type": "object"}]}),
        ({"type": "string"}, {"type": "string"}),
        (None, None),
    ],
)
async def test_schema_of_a_tool_is_an_objects(
    upstream: Upstream, provider: CompatibleProvider, given: Any, sent: Any
) -> None:
    upstream.events(says("Forty.", "stop"))
    tool = {"type": "function", "function": {"name": "f", **({} if given is None else {"parameters": given})}}
    await ask(provider, "desk/m", parameters={"tools": [tool]}, streamed=True)
    assert upstream.asked[-1]["tools"][0]["function"].get("parameters") == sent


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("reasoning_content", "messages.1.assistant.reasoning_content: property is unsupported"),
        ("reasoning_content", "loc: body, messages, 1, assistant, reasoning_content: Extra inputs are not permitted"),
        ("name", "messages.0.user.name: Extra inputs are not permitted"),
    ],
)
async def test_keys_of_messages_that_a_server_refuses_are_learnt(
    upstream: Upstream, provider: CompatibleProvider, key: str, said: str
) -> None:
    upstream.events(says("Forty.", "stop"))
    upstream.refuses = {key: said}
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    history: list[Message] = [
        {"role": "user", "content": "Hi", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": calls, "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "a", "content": "40"},
    ]
    for count in (2, 3):
        answer = await ask(provider, "desk/m", history, streamed=True)
        assert (answer.text, len(upstream.asked)) == ("Forty.", count)
    assert [key in message for message in upstream.asked[-1]["messages"]] == [False] * 3
    assert history[0].get("name") == "Ann"


async def test_refusal_of_what_the_caller_chose_is_the_callers(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.refuses = {"temperature": "Unsupported value: 'temperature'"}
    with pytest.raises(UpstreamError):
        await ask(provider, "desk/m", parameters={"temperature": 0.5, "max_tokens": 5})
    assert len(upstream.asked) == 1


async def test_halves_of_a_character_in_two_events_are_joined(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.events(says("Fine \ud83d"), says("\udc4d"), says(finish="stop"))
    assert (await streamed(provider)).text == "Fine 👍"


async def test_stream_without_its_last_blank_line_is_whole(upstream: Upstream, provider: CompatibleProvider) -> None:
    upstream.events(says("Forty."), f"data: {json.dumps(says(finish='stop'))}", done=False)
    assert (await streamed(provider)).finish_reason == "stop"


async def test_stream_cut_within_an_event_is_not_whole(upstream: Upstream, provider: CompatibleProvider) -> None:
    upstream.events(says("Forty."), 'data: {"choices": [{"index": 0, "delta": {}, "finish_rea', done=False)
    said = await streamed(provider)
    assert (said.text, said.ended) == ("Forty.", False)


async def test_whole_reply_to_a_request_for_a_stream_is_an_answer(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.reply({"choices": [{"message": {"role": "assistant", "content": "Forty."}, "finish_reason": "stop"}]})
    assert (await streamed(provider)).text == "Forty."


async def test_stream_in_place_of_a_whole_reply_is_an_answer(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.events(says("Forty."), says(finish="stop"))
    assert (await ask(provider, MODEL)).text == "Forty."


@pytest.mark.parametrize("both", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>busy</html>", "text/html"),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"error": {"message": "too busy", "code": 503}}', "application/json"),
        (b"data: [DONE]\n\n", "text/event-stream"),
        (b'data: {"choices": [}\n\n', "text/event-stream"),
        (b'data: {"error": {"message": "too busy"}}\n\n', "text/event-stream"),
        (b'event: error\ndata: {"message": "too busy"}\n\n', "text/event-stream"),
    ],
)
async def test_what_is_not_an_answer_is_a_failure(
    upstream: Upstream, provider: CompatibleProvider, body: bytes, kind: str, both: bool
) -> None:
    upstream.body, upstream.kind = body, kind
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, streamed=both)
    mapped = provider.map_error(caught.value)
    assert type(mapped).__name__ in ("ProviderUnavailableError", "ProviderError")
    assert "busy" not in str(mapped)


@pytest.mark.parametrize("both", [False, True], ids=["whole", "streamed"])
async def test_refusal_in_its_own_field_is_an_error_with_the_reason(
    upstream: Upstream, provider: CompatibleProvider, both: bool
) -> None:
    if both:
        upstream.events(says(refusal="I cannot "), says(refusal="help."), says(finish="stop"))
    else:
        message = {"role": "assistant", "content": None, "refusal": "I cannot help."}
        upstream.reply({"choices": [{"message": message, "finish_reason": "stop"}]})
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, streamed=both)
    mapped = provider.map_error(caught.value)
    assert isinstance(mapped, ContentRefusedError)
    assert "I cannot help." in mapped.message


@pytest.mark.parametrize("status", [200, 429])
async def test_error_in_a_list_is_read(upstream: Upstream, provider: CompatibleProvider, status: int) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    upstream.reply([{"error": {"code": 429, "message": "too fast", "details": [retry]}}])
    upstream.status = status
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL)
    mapped = provider.map_error(caught.value)
    assert isinstance(mapped, ProviderRateLimitedError)
    assert mapped.retry_after == 34.5


async def test_redirect_is_not_followed(upstream: Upstream, provider: CompatibleProvider) -> None:
    """The key would go elsewhere with it."""
    upstream.status, upstream.headers = 307, {"location": f"{upstream.url}/other"}
    with pytest.raises(Exception, match="307"):
        await ask(provider, MODEL)
    assert len(upstream.asked) == 1


async def test_proxy_of_the_environment_gets_the_request(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", upstream.url.replace("//", "//me:secret@").removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "")
    made = CompatibleProvider(Settings(instances={"desk": Instance(base_url="http://model.invalid/v1")}))
    upstream.reply({"choices": [{"message": {"content": "Forty."}, "finish_reason": "stop"}]})
    assert [(await ask(made, MODEL)).text for _ in range(2)] == ["Forty."] * 2
    await made.aclose()
    assert [given["host"] for given in upstream.given] == ["model.invalid"] * 2
    assert upstream.given[-1]["proxy-authorization"] == "Basic bWU6c2VjcmV0"


async def test_connection_is_used_again_after_a_stream(upstream: Upstream, provider: CompatibleProvider) -> None:
    upstream.events(says("Forty."), says(finish="stop"))
    for _ in range(3):
        await streamed(provider)
    assert len(upstream.peers) == 1


# --- requests


def called(*calls: tuple[str, str], **more: Any) -> Message:
    made = [
        {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for call_id, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made, **more}  # type: ignore[typeddict-item]


def history(calling: Message, *results: tuple[str, str]) -> list[Message]:
    told: list[Message] = [{"role": "tool", "tool_call_id": call_id, "content": text} for call_id, text in results]
    return for_model("Be brief.", [{"role": "user", "content": "Weather?"}, calling, *told])


async def sent(
    upstream: Upstream, provider: Any, messages: Sequence[Message], model: str = MODEL
) -> list[dict[str, Any]]:
    upstream.events(says("Fine."), says(finish="stop"))
    await streamed(provider, messages, model, tools=[TOOL])
    messages_sent: list[dict[str, Any]] = upstream.asked[-1]["messages"]
    return messages_sent


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('{"account":123456789012345678901234}', '{"account":123456789012345678901234}'),
        ('{ "x" :1.0}', '{ "x" :1.0}'),
        ("", "{}"),
        ("not json", "not json"),
        ('{"city": "Os', '{"city": "Os'),
    ],
)
async def test_arguments_of_an_earlier_call_go_back_as_they_were(
    upstream: Upstream, provider: CompatibleProvider, written: str, arguments: str
) -> None:
    messages = await sent(upstream, provider, history(called(("a", written)), ("a", "ok")))
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == arguments


async def test_results_follow_the_order_of_the_calls(upstream: Upstream, provider: CompatibleProvider) -> None:
    messages = await sent(
        upstream, provider, history(called(("a", "{}"), ("b", "{}")), ("b", "Rome: sun"), ("a", "Oslo: rain"))
    )
    assert [(one["tool_call_id"], one["content"]) for one in messages[3:]] == [
        ("a", "Oslo: rain"),
        ("b", "Rome: sun"),
    ]


async def test_an_id_that_calls_share_becomes_one_for_each(upstream: Upstream, provider: CompatibleProvider) -> None:
    calling, later = called(("c", '{"n":1}'), ("c", '{"n":2}')), called(("c", '{"n":3}'))
    told: list[Message] = [{"role": "tool", "tool_call_id": "c", "content": text} for text in ("one", "two", "three")]
    asked: list[Message] = [{"role": "user", "content": "Weather?"}, calling, *told[:2], later, told[2]]
    messages = await sent(upstream, provider, for_model("Be brief.", asked))
    assert [call["id"] for one in messages for call in one.get("tool_calls", ())] == ["c", "c_2", "c_3"]
    results = [(one["tool_call_id"], one["content"]) for one in messages if one["role"] == "tool"]
    assert results == [("c", "one"), ("c_2", "two"), ("c_3", "three")]
    assert [call["id"] for call in calling["tool_calls"]] == ["c", "c"]


async def test_state_of_a_server_goes_back_with_the_calls(upstream: Upstream, provider: CompatibleProvider) -> None:
    calling = called(("a", "{}"), reasoning_content="I look.", reasoning_details=[{"signature": "s"}])
    own = {"thought_signature": "u", "id": "b"}
    calling["tool_calls"][0]["extra_content"] = {"acme": {"signature": "t"}, "tool_call": own}
    messages = await sent(upstream, provider, history(calling, ("a", "ok")))
    assert messages[2]["reasoning_content"] == "I look."
    assert messages[2]["reasoning_details"] == [{"signature": "s"}]
    (call,) = messages[2]["tool_calls"]
    assert call["extra_content"] == {"acme": {"signature": "t"}}
    assert (call["thought_signature"], call["id"]) == ("u", "a")


async def test_names_of_speakers_go_to_providers_that_take_them(upstream: Upstream) -> None:
    upstream.reply({"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]})
    settings = KeyedProviderSettings(base_url=upstream.url, api_key=SecretStr("k"))
    messages: list[Message] = [{"role": "user", "content": "Is it due?", "name": "Edwina <Hawthorne>"}]
    for kind, name in ((DeepSeekProvider, "Edwina_Hawthorne_"), (MistralProvider, None)):
        made = kind(settings, load_catalogue("tilores_plugins.providers.deepseek"))
        await ask(made, "m", messages)
        await made.aclose()
        assert upstream.asked[-1]["messages"][-1].get("name") == name


async def test_state_that_a_provider_does_not_take_is_not_sent(upstream: Upstream) -> None:
    calling = called(("call_that_is_long", "{}"), reasoning_content="I look.")
    calling["tool_calls"][0]["extra_content"] = {"acme": {}}
    messages = history(calling, ("call_that_is_long", "ok"))
    settings = KeyedProviderSettings(base_url=upstream.url, api_key=SecretStr("k"))
    deepseek = DeepSeekProvider(settings, load_catalogue("tilores_plugins.providers.deepseek"))
    openai = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
    mistral = MistralProvider(settings, load_catalogue("tilores_plugins.providers.mistral"))
    to_deepseek = await sent(upstream, deepseek, messages, "deepseek-v4-flash")
    to_openai = await sent(upstream, openai, messages, "gpt-4o-mini")
    to_mistral = await sent(upstream, mistral, messages, "mistral-small-latest")
    for one in (deepseek, openai, mistral):
        await one.aclose()
    assert to_deepseek[2]["reasoning_content"] == "I look."
    assert "reasoning_content" not in to_openai[2]
    assert all("extra_content" not in to[2]["tool_calls"][0] for to in (to_deepseek, to_openai, to_mistral))
    assert to_mistral[2]["tool_calls"][0]["id"] == to_mistral[3]["tool_call_id"]
    assert len(to_mistral[3]["tool_call_id"]) == 9


async def test_number_of_more_than_64_bits_in_a_parameter_is_sent(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    upstream.events(says("Fine."), says(finish="stop"))
    await streamed(provider, seed=2**70)
    assert upstream.asked[-1]["seed"] == 2**70


async def test_request_that_cannot_be_built_is_the_callers_error_and_is_not_sent(
    upstream: Upstream, provider: CompatibleProvider
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await streamed(provider, user(object()))
    assert caught.value.param == "messages"
    assert upstream.asked == []


async def test_key_and_type_go_in_the_headers(upstream: Upstream) -> None:
    upstream.events(says("Fine."), says(finish="stop"))
    settings = KeyedProviderSettings(base_url=upstream.url, api_key=SecretStr("sk-of-the-desk"))
    openai = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
    await ask(openai, "gpt-4o-mini", streamed=True)
    await openai.aclose()
    assert upstream.given[-1]["authorization"] == "Bearer sk-of-the-desk"
    assert upstream.given[-1]["content-type"] == "application/json"
    assert upstream.asked[-1]["stream_options"] == {"include_usage": True}


async def test_warm_up_opens_the_client_once(provider: CompatibleProvider) -> None:
    models = Models({"p": provider}, default="p:desk/m")
    await asyncio.gather(*(models.warm_up(models.default) for _ in range(4)))
    server = next(iter(provider._servers.values()))
    assert server._client is not None
    connector = server._client._address._connector
    await models.warm_up(models.default)
    assert connector is not None
    assert server._client._address._connector is connector


async def test_nobody_listening_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    made = CompatibleProvider(Settings(instances={"desk": Instance(base_url=url)}))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(made, MODEL)
    await made.aclose()
    mapped = made.map_error(caught.value)
    assert isinstance(mapped, ProviderUnavailableError)
    assert "cannot be reached" in mapped.message
