"""The provider `openai-compatible`: several servers of one protocol, each with its name, key and models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask
from tilores_core import (
    ConfigError,
    LLMProvider,
    ProviderAuthError,
    SupportsUpstreams,
    UnknownModelError,
    UnsupportedParameterError,
)
from tilores_core.host.roles import LLM
from tilores_core.llm import ModelSettings
from tilores_core.testing import isolated_host
from tilores_core.testing.fake_upstream import FakeUpstream
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers import openai_compatible
from tilores_plugins.providers.openai_compatible.provider import CompatibleProvider
from tilores_plugins.providers.openai_compatible.settings import Instance, Settings

LISTED = ModelSettings(context_window=32_768, tools=True, json_output=True, vision=False, refuses=("logit_bias",))


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("openai-compatible") as server:
        yield server


def instance(upstream: FakeUpstream, **settings: Any) -> Instance:
    return Instance(**{"base_url": upstream.base_url, "api_key": SecretStr(upstream.key), **settings})


class TestCompatible(LLMProviderWireSuite):
    dialect = "openai-compatible"
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("logit_bias", {"1": 1})

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        desk = instance(upstream, models={"org/small": LISTED}, api_key=SecretStr(key or ""))
        return CompatibleProvider(Settings(instances={"desk": desk}))

    @pytest.fixture
    def model(self) -> str:
        return "desk/org/small"

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_the_text_arrives_as_it_was_sent(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        """The server is asked for the model without the instance's name."""
        upstream.enqueue("Grüße aus Łódź.")
        assert (await self.ask(provider, model, "Hello", streamed=streamed)).text == "Grüße aus Łódź."
        assert upstream.requests[0].model == "org/small"

    async def test_no_key(self, upstream: FakeUpstream, model: str) -> None:
        provider = self.make(upstream, None)
        assert all(info.unavailable is None for info in provider.models())
        with pytest.raises(Exception, match="401") as caught:
            await self.ask(provider, model, "Hello")
        assert isinstance(provider.map_error(caught.value), ProviderAuthError)
        assert "authorization" not in upstream.requests[-1].headers
        await provider.aclose()

    async def _ask_unknown(self, provider: LLMProvider, model: str = "desk/no-such-model-1") -> None:
        await super()._ask_unknown(provider, model)


async def test_each_server_gets_its_own_key_and_models() -> None:
    one, two = FakeUpstream("openai-compatible", key="key-one"), FakeUpstream("openai-compatible", key="key-two")
    async with one, two:
        settings = Settings(instances={"vllm": instance(one), "lm-studio": instance(two)})
        provider = CompatibleProvider(settings)
        for name in ("vllm/qwen", "lm-studio/gemma", "vllm/org/with/slashes"):
            assert (await ask(provider, name)).text
        assert dict(one.counts) == {"qwen": 1, "org/with/slashes": 1}
        assert dict(two.counts) == {"gemma": 1}
        await provider.aclose()


async def test_max_tokens_keeps_the_name_that_every_server_knows(upstream: FakeUpstream) -> None:
    provider = CompatibleProvider(Settings(instances={"desk": instance(upstream)}))
    await ask(provider, "desk/any", HELLO, {"max_completion_tokens": 5, "stop": "."})
    body = upstream.requests[-1].body
    assert body["max_tokens"] == 5
    assert body["stop"] == ["."]
    await provider.aclose()


@pytest.mark.parametrize("name", ["any", "other/any", "desk/", "/any"])
def test_a_name_without_a_known_server_says_how_to_write_it(upstream: FakeUpstream, name: str) -> None:
    provider = CompatibleProvider(Settings(instances={"desk": instance(upstream)}))
    with pytest.raises(UnknownModelError) as caught:
        provider.chat_model(name, {})
    assert "openai-compatible:desk/MODEL" in (caught.value.fix or "")


def test_without_servers_nothing_is_listed_and_asking_says_where_to_describe_one() -> None:
    provider = CompatibleProvider(Settings())
    assert list(provider.models()) == []
    with pytest.raises(UnknownModelError) as caught:
        provider.chat_model("desk/any", {})
    assert "instances" in (caught.value.fix or "")


async def test_the_host_builds_it_from_plugins_toml(tmp_path: Path) -> None:
    table = {
        "instances": {
            "desk": {"base_url": "http://127.0.0.1:9/v1", "api_key": {"env": "DESK_KEY"}, "models": {"small": {}}}
        }
    }
    host = isolated_host(
        {"openai-compatible": openai_compatible},
        {"plugins": {"openai-compatible": table}},
        variables={"DESK_KEY": "secret-of-the-desk"},
        data_dir=tmp_path,
    )
    provider = host.build(LLM, "openai-compatible")
    assert isinstance(provider, CompatibleProvider)
    assert [info.id for info in provider.models()] == ["desk/small"]
    await host.aclose()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"instances": {"Desk 1": {"base_url": "http://x/v1"}}}, "Desk 1"),
        ({"instances": {"desk": {}}}, "base_url"),
        ({"instances": {"desk": {"base_url": "desk:8080"}}}, "https://host/path"),
        ({"instances": {"desk": {"base_url": "http://x", "time_out": 3}}}, "timeout_seconds"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, table: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        isolated_host(
            {"openai-compatible": openai_compatible}, {"plugins": {"openai-compatible": table}}, data_dir=tmp_path
        )


def test_each_server_is_an_upstream_of_its_own() -> None:
    instances = {name: Instance(base_url=f"http://127.0.0.1:{port}/v1") for name, port in (("a", 1), ("b", 2))}
    provider = CompatibleProvider(Settings(instances=instances))
    assert isinstance(provider, SupportsUpstreams)
    assert [provider.upstream(model) for model in ("a/x", "b/x", "a/y/z", "c/x", "a")] == ["a", "b", "a", "", "a"]


async def test_instance_that_takes_fewer_stop_strings_refuses_more(upstream: FakeUpstream) -> None:
    provider = CompatibleProvider(Settings(instances={"desk": instance(upstream, max_stops=1)}))
    with pytest.raises(UnsupportedParameterError, match="at most 1"):
        provider.chat_model("desk/org/small", {"stop": ["a", "b"]})
    await provider.aclose()


async def test_what_servers_of_open_models_take_goes_out_as_it_came(upstream: FakeUpstream) -> None:
    provider = CompatibleProvider(Settings(instances={"desk": instance(upstream)}))
    given = {"top_k": 20, "min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False}, "guided_choice": ["yes"]}
    await ask(provider, "desk/m", parameters=given)
    sent = upstream.requests[-1].body
    assert {name: sent.get(name) for name in given} == given
    await provider.aclose()
