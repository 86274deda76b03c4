"""Model data, settings, parameters, parts and HTTP clients, as a stranger's provider uses them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from tilores_core import InvalidRequestError, ModelInfo, ProviderAuthError, UnsupportedParameterError
from tilores_core.llm import (
    Catalogue,
    ChatProvider,
    HttpClients,
    KeyedProviderSettings,
    ModelData,
    ModelSettings,
    ProviderSettings,
    check_parts,
    in_model_kwargs,
    library_of,
    load_catalogue,
    translate,
)

DATA = ModelData(
    info=ModelInfo(id="small", context_window=1000, tools=True, json_output=True, input_price=1.0, output_price=2.0),
    json_schema=False,
    refuses=frozenset({"seed"}),
)
FIELDS = {
    "temperature": "temperature",
    "max_tokens": "limit",
    "stop": "stop_sequences",
    "seed": "seed",
    "response_format": "response_format",
    "tools": in_model_kwargs("tools"),
    "tool_choice": in_model_kwargs("tool_choice"),
}
TOOL = {"type": "function", "function": {"name": "find"}}


class Provider(ChatProvider):
    name = "acme"
    title = "Acme"
    key_variable = "ACME_API_KEY"
    parameters = FIELDS

    def make(self, model: ModelData, fields: dict[str, Any]) -> Any:
        return (model.id, fields, self.key().get_secret_value())


# --- parameters


def taken(parameters: Mapping[str, Any], model: ModelData = DATA, **more: Any) -> dict[str, Any]:
    return translate(parameters, FIELDS, model, provider="Acme", **more)


def test_parameters_get_the_providers_names() -> None:
    assert taken(
        {
            "temperature": 0.5,
            "max_completion_tokens": 9,
            "stop": "x",
            "tools": [TOOL],
            "tool_choice": "auto",
            "seed": None,
        }
    ) == {
        "temperature": 0.5,
        "limit": 9,
        "stop_sequences": ["x"],
        "model_kwargs": {"tools": [TOOL], "tool_choice": "auto"},
    }


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("seed", 3, "'small' cannot take"),
        ("top_k", 3, "Acme cannot take"),
        ("presence_penalty", 0.5, "Acme cannot take"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "JSON schema"),
        ("n", 2, "Acme cannot take"),
    ],
)
def test_what_cannot_be_taken_is_named(name: str, value: Any, says: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=says) as caught:
        taken({name: value})
    assert caught.value.param == name


def test_what_changes_nothing_is_left_out() -> None:
    assert (
        taken({"top_k": 0, "min_p": 0, "repetition_penalty": 1.0, "enable_thinking": False, "ignore_eos": False})
        == {}
    )
    assert taken({"presence_penalty": 0, "top_p": 1.0, "n": 1, "user": "u", "parallel_tool_calls": True}) == {}


def test_a_model_without_tools_or_json_refuses_them() -> None:
    plain = ModelData(info=ModelInfo(id="plain"))
    for name, value in (("tools", [TOOL]), ("response_format", {"type": "json_object"})):
        with pytest.raises(UnsupportedParameterError) as caught:
            taken({name: value}, plain)
        assert caught.value.param == name


def test_too_many_stop_strings_are_refused() -> None:
    assert taken({"stop": ["a", "b"]}, max_stops=2)
    with pytest.raises(UnsupportedParameterError, match="at most 2") as caught:
        taken({"stop": ["a", "b", "c"]}, max_stops=2)
    assert caught.value.param == "stop"


def test_a_format_without_a_type_is_a_wrong_field() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        taken({"response_format": "json"})
    assert caught.value.param == "response_format"


# --- images


def test_an_image_for_a_model_that_sees_none_names_its_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, image]},
    ]
    with pytest.raises(UnsupportedParameterError) as caught:
        check_parts(ModelInfo(id="blind"), messages)
    assert caught.value.param == "messages[1].content[1]"
    check_parts(ModelInfo(id="seeing", vision=True), messages)
    check_parts(ModelInfo(id="blind"), messages[:1])


# --- models


def test_settings_add_and_correct_models() -> None:
    made = Catalogue([DATA]).configure(
        {"small": ModelSettings(input_price=5.0, refuses=()), "mine": ModelSettings(context_window=7)}, ()
    )
    corrected, mine = made.find("small"), made.find("mine")
    assert (corrected.info.input_price, corrected.info.output_price, corrected.refuses) == (5.0, 2.0, frozenset())
    assert (mine.info.context_window, mine.info.input_price, mine.listed) == (7, None, True)


def test_every_setting_of_a_model_is_taken() -> None:
    numbers = {"context_window": 7, "max_output_tokens": 8, "input_price": 0.5, "output_price": 0.7}
    abilities = dict.fromkeys(("vision", "tools", "json_output"), True)
    given = ModelSettings(**numbers, **abilities, json_schema=True, reasoning=True, refuses=("seed",))
    mine = Catalogue([DATA]).configure({"mine": given}, ()).find("mine")
    assert {name: getattr(mine.info, name) for name in numbers | abilities} == numbers | abilities
    assert (mine.json_schema, mine.reasoning, mine.refuses) == (True, True, frozenset({"seed"}))
    bare = Catalogue([DATA]).configure({"bare": ModelSettings()}, ()).find("bare")
    assert not (bare.json_schema and bare.reasoning)


def test_only_limits_the_list_and_may_name_unlisted_ones() -> None:
    assert [info.id for info in Catalogue([DATA]).configure({}, ("other",)).infos()] == ["other"]


def test_a_dated_version_is_known_without_its_price() -> None:
    dated = Catalogue([DATA]).find("small-2026-01-31")
    assert (dated.id, dated.refuses, dated.info.input_price, dated.listed) == (
        "small-2026-01-31", frozenset({"seed"}), None, False
    )  # fmt: skip


def test_of_an_unknown_model_everything_is_believed() -> None:
    assert taken({"seed": 1, "tools": [TOOL]}, Catalogue([DATA]).find("new"))


@pytest.mark.parametrize("text", ["[]", '{"models": [{"name": "x"}]}', "no json"])
def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    package = tmp_path / "acme_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.json").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(ValueError, match=r"acme_models: models\.json"):
            load_catalogue("acme_models")
    finally:
        sys.modules.pop("acme_models", None)


# --- settings and the key


def test_the_key_stays_out_of_sight_and_is_stripped() -> None:
    settings = KeyedProviderSettings(api_key=SecretStr(" sk-1 \n"))
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(settings)
    assert KeyedProviderSettings(api_key=SecretStr("  ")).api_key is None
    with pytest.raises(ValidationError) as caught:
        KeyedProviderSettings(api_key=SecretStr("geheimnis-über-alles"))
    assert "geheimnis" not in str(caught.value)


def test_a_base_url_is_an_address() -> None:
    for given in ("http://x/v1/", "http://x/v1/chat/completions"):
        assert ProviderSettings(base_url=given).base_url == "http://x/v1"
    assert ProviderSettings(base_url="").base_url is None
    with pytest.raises(ValidationError):
        ProviderSettings(base_url="x:80")


def test_without_a_key_models_are_listed_and_refused() -> None:
    provider = Provider(KeyedProviderSettings(), Catalogue([DATA]))
    assert [(info.id, "ACME_API_KEY" in str(info.unavailable)) for info in provider.models()] == [("small", True)]
    with pytest.raises(ProviderAuthError) as caught:
        provider.chat_model("small", {})
    assert "ACME_API_KEY" in str(caught.value)


def test_with_a_key_a_chat_model_is_made() -> None:
    provider = Provider(KeyedProviderSettings(api_key=SecretStr("k")), Catalogue([DATA]))
    assert provider.models() == (DATA.info,)
    assert provider.chat_model("small", {"max_tokens": 3}) == ("small", {"limit": 3}, "k")  # type: ignore[comparison-overlap]


# --- HTTP clients


@pytest.fixture
async def slow_server() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/silent" in head:
            await reader.read()  # until the client has had enough
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.sleep(0.05)  # let its connections go


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("aiohttp", [True, False])
async def test_a_client_answers_times_out_and_is_closed(slow_server: str, library: str, aiohttp: bool) -> None:
    clients = HttpClients(read_seconds=60, connect_seconds=60, max_connections=4)
    client = clients.async_client(library, aiohttp=aiohttp)
    assert client is clients.async_client(library, aiohttp=aiohttp)
    assert type(client).__module__.startswith("httpx_aiohttp") is aiohttp
    assert (await client.get(f"{slow_server}/")).text == "ok"
    await clients.aclose()
    assert client.is_closed
    await clients.aclose()
    hasty = HttpClients(read_seconds=0.2, connect_seconds=60, max_connections=4)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of either library
        await hasty.async_client(library, aiohttp=aiohttp).get(f"{slow_server}/silent")
    assert "Timeout" in type(caught.value).__name__
    await hasty.aclose()


async def test_a_client_may_be_made_in_a_thread(slow_server: str) -> None:
    clients = HttpClients(read_seconds=60, connect_seconds=60, max_connections=4)
    made = await asyncio.gather(*(asyncio.to_thread(clients.async_client) for _ in range(8)))
    assert len(set(map(id, made))) == 1
    assert (await made[0].get(slow_server)).text == "ok"
    await clients.aclose()


async def test_without_httpx_aiohttp_it_is_a_plain_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    clients = HttpClients(read_seconds=1, connect_seconds=1, max_connections=1)
    assert type(clients.async_client()) is httpx.AsyncClient
    await clients.aclose()


def test_an_sdk_says_which_library_it_wants() -> None:
    import groq
    import openai

    assert library_of(openai) == "httpx2"
    assert library_of(groq) == "httpx"


# --- imports


def test_listing_the_models_imports_no_sdk() -> None:
    code = """
import sys
from pathlib import Path
from tilores_core.testing import LLM, isolated_host
from tilores_plugins.providers import deepseek, openai, openai_compatible, openrouter
plugins = {"openai": openai, "deepseek": deepseek, "openrouter": openrouter, "openai-compatible": openai_compatible}
host = isolated_host(plugins, data_dir=Path("."))
print(sum(len(host.build(LLM, name).models()) for name in plugins))
heavy = ("openai", "langchain_core", "langchain_openai", "langchain_deepseek", "httpx", "httpx2", "aiohttp")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    listed, imported = done.stdout.splitlines()
    assert int(listed) > 20
    assert imported == "[]"
