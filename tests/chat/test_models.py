"""What a model's name means, and that a chat model is made once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from tilores_core.chat.models import Models
from tilores_core.contracts import ModelInfo, Usage
from tilores_core.errors import ConfigError, ProviderAuthError, UnknownModelError
from tilores_core.testing import FakeProvider
from tilores_core.testing.waiting import eventually

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

SMALL = ModelInfo(id="small", input_price=0.5, output_price=1.5)
LARGE = ModelInfo(id="large", input_price=5.0)
SHARED = ModelInfo(id="shared")
ROUTED = ModelInfo(id="vendor/model:free")


def test_a_provider_without_its_library_says_how_to_get_it() -> None:
    models = Models({"acme": FakeProvider("acme", (SMALL,))}, default="acme:small", idle={"other": "pip install it"})
    for name in ("other:large", "other:"):
        with pytest.raises(UnknownModelError, match="'other' is not installed") as caught:
            models.resolve(name)
        assert caught.value.fix == "pip install it"
    with pytest.raises(UnknownModelError, match="there is no model"):
        models.resolve("other")


@pytest.fixture
def models() -> Models:
    acme, other = FakeProvider("acme", (SMALL, LARGE, SHARED)), FakeProvider("other", (SHARED, ROUTED))
    return Models({"acme": acme, "other": other}, default="acme:small", fallbacks=("other:shared",))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        (None, "acme:small"),
        ("acme:large", "acme:large"),
        ("large", "acme:large"),
        ("acme:not-listed-yet", "acme:not-listed-yet"),
        ("other:vendor/model:free", "other:vendor/model:free"),
        ("vendor/model:free", "other:vendor/model:free"),
        ("other:x:y:z", "other:x:y:z"),
    ],
)
def test_a_name_is_resolved(models: Models, name: str | None, full: str) -> None:
    assert models.resolve(name) == full


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme:", "acme:small"),
        ("zzz", "list what there is"),
        ("acm:small", "did you mean 'acme:small'"),
        ("", "list what there is"),
        ("nobody:anything", "list what there is"),
        ("x" * 5000, "list what there is"),
        ("acme:" + "x" * 5000, ""),
    ],
)
def test_an_unknown_name_is_refused_with_what_would_be_right(models: Models, name: str, said: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        models.resolve(name)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_bare_name_that_several_have_is_refused(models: Models) -> None:
    with pytest.raises(UnknownModelError, match="acme:shared, other:shared"):
        models.resolve("shared")


@pytest.mark.parametrize("wrong", [{"default": "acme:small", "fallbacks": ["acm:small"]}, {"default": "smal"}])
def test_a_wrong_default_or_fallback_stops_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"\[use\] model/fallbacks"):
        Models({"acme": FakeProvider("acme", (SMALL,))}, **wrong)


def test_defaults_are_full_names() -> None:
    models = Models({"acme": FakeProvider("acme", (SMALL, LARGE))}, default="small", fallbacks=["large"])
    assert (models.default, models.fallbacks) == ("acme:small", ("acme:large",))


def test_the_listing_names_the_provider(models: Models) -> None:
    assert [f"{provider}:{info.id}" for provider, info in models.listing()] == [
        "acme:small",
        "acme:large",
        "acme:shared",
        "other:shared",
        "other:vendor/model:free",
    ]
    assert models.info("acme:large") is LARGE
    assert models.info("acme:unlisted") is None


def test_the_cost_is_known_where_both_prices_are(models: Models) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=2_000_000)
    assert models.cost("acme:small", usage) == pytest.approx(0.5 + 2 * 1.5)
    assert models.cost("acme:large", usage) is None
    assert models.cost("acme:unlisted", usage) is None


async def test_a_chat_model_is_made_once_for_its_parameters() -> None:
    provider = FakeProvider("acme", (SMALL, LARGE))
    models = Models({"acme": provider}, default="acme:small")
    first = await models.chat_model("acme:small", {"temperature": 0.1, "stop": ["."]})
    assert await models.chat_model("acme:small", {"stop": ["."], "temperature": 0.1}) is first
    assert await models.chat_model("acme:small", {"temperature": 0.2}) is not first
    assert await models.chat_model("acme:large", {"temperature": 0.1, "stop": ["."]}) is not first
    assert len(provider.built) == 3
    assert provider.built[0] == ("small", {"temperature": 0.1, "stop": ["."]})


class SlowToMake(FakeProvider):
    """As one whose SDK takes long to import; says in which thread it was made."""

    def __init__(self) -> None:
        super().__init__("slow", (SMALL,))
        self.release = threading.Event()
        self.threads: list[threading.Thread] = []

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        self.threads.append(threading.current_thread())
        assert self.release.wait(60)
        return super().chat_model(model, parameters)


async def test_a_chat_model_is_made_once_for_all_who_wait_and_off_the_event_loop() -> None:
    provider = SlowToMake()
    models = Models({"slow": provider}, default="slow:small")
    asking = [asyncio.create_task(models.chat_model("slow:small", {})) for _ in range(5)]
    leaving = asking.pop(0)
    await eventually(lambda: provider.threads)
    leaving.cancel()
    provider.release.set()
    assert len(set(map(id, await asyncio.gather(*asking)))) == 1
    assert len(provider.threads) == 1
    assert provider.threads[0] is not threading.main_thread()


async def test_a_failure_to_make_one_is_not_kept() -> None:
    class NoKeyYet(FakeProvider):
        key = ""

        def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
            if not self.key:
                raise ProviderAuthError("no key", provider=self.name)
            return super().chat_model(model, parameters)

    provider = NoKeyYet("acme", (SMALL,))
    models = Models({"acme": provider}, default="acme:small")
    for _ in range(2):
        with pytest.raises(ProviderAuthError):
            await models.chat_model("acme:small", {})
    provider.key = "given"
    assert await models.chat_model("acme:small", {}) is not None


async def test_only_so_many_chat_models_are_kept() -> None:
    provider = FakeProvider("acme", (SMALL,))
    models = Models({"acme": provider}, default="acme:small")
    for seed in range(300):
        await models.chat_model("acme:small", {"seed": seed})
    await models.chat_model("acme:small", {"seed": 299})
    assert len(provider.built) == 300
    await models.chat_model("acme:small", {"seed": 0})
    assert len(provider.built) == 301
