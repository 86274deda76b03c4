"""LangChain's own suite over the chat model of every provider, against a server that speaks that one's protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from langchain_core.language_models import BaseChatModel

from tests.providers import (
    test_anthropic_provider as anthropic,
    test_deepseek_provider as deepseek,
    test_google_provider as google,
    test_groq_provider as groq,
    test_mistral_provider as mistral,
    test_ollama_provider as ollama,
    test_openai_compatible as openai_compatible,
    test_openai_provider as openai,
    test_openrouter_provider as openrouter,
)
from tests.standard_suite.scripted import scripted
from tilores_core.contracts import LLMProvider
from tilores_core.testing.fake_upstream import FakeUpstream
from tilores_core.testing.provider_wire import LLMProviderWireSuite

pytest.importorskip("langchain_tests", reason="langchain-tests is not installed")
from langchain_tests.integration_tests import ChatModelIntegrationTests


@pytest.mark.filterwarnings("ignore:The test <Function")  # the mark is for those that are asynchronous
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # langchain-openai, of what it has parsed itself
@pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema")
@pytest.mark.asyncio(loop_scope="class")
class ProviderSuite(ChatModelIntegrationTests):
    """The suite asks for a class and its arguments; a provider is asked for a model with parameters."""

    wire: ClassVar[type[LLMProviderWireSuite]]
    model_name: ClassVar[str]
    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    provider: ClassVar[LLMProvider]

    @pytest.fixture(scope="class")
    @classmethod
    def upstream(cls) -> Iterator[FakeUpstream]:
        with FakeUpstream(cls.wire.dialect, otherwise=scripted) as upstream:
            yield upstream

    @pytest_asyncio.fixture(autouse=True, scope="class", loop_scope="class")
    @classmethod
    async def _provider(cls, upstream: FakeUpstream) -> AsyncIterator[None]:
        cls.provider = cls.wire().make(upstream, upstream.key)
        yield
        await cls.provider.aclose()

    @property
    def chat_model_class(self) -> Any:
        return self.build

    def build(self, **parameters: Any) -> BaseChatModel:
        """The provider's chat model; parameters as a request brings them."""
        known = {name: value for name, value in parameters.items() if name in ("temperature", "max_tokens", "stop")}
        model = self.provider.chat_model(self.model_name, {name: v for name, v in known.items() if v})
        return model.model_copy(update={"output_version": v}) if (v := parameters.get("output_version")) else model

    @property
    def chat_model_params(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}


class TestOpenAI(ProviderSuite):
    wire = openai.TestOpenAI
    model_name = openai.CHAT
    model_override_value = "gpt-4o-mini"
    supports_image_inputs = True
    supports_json_mode = True


class TestGroq(ProviderSuite):
    wire = groq.TestGroq
    model_name = "meta-llama/llama-4-scout-17b-16e-instruct"
    supports_model_override = False  # langchain-groq names the model that it was made for
    supports_image_inputs = True
    supports_json_mode = True


class TestMistral(ProviderSuite):
    wire = mistral.TestMistral
    model_name = mistral.MODEL
    supports_model_override = False  # langchain-mistralai names the model that it was made for
    supports_image_inputs = True
    supports_json_mode = True


class TestDeepSeek(ProviderSuite):
    wire = deepseek.TestDeepSeek
    model_name = deepseek.MODEL
    model_override_value = "deepseek-chat"
    supports_json_mode = True


class TestOpenRouter(ProviderSuite):
    wire = openrouter.TestOpenRouter
    model_name = openrouter.MODEL
    model_override_value = "openai/gpt-4o-mini"
    supports_image_inputs = True
    supports_json_mode = True


class TestOllama(ProviderSuite):
    wire = ollama.TestOllama
    model_name = ollama.MODEL
    model_override_value = "llama3.2"
    has_tool_choice = False  # Ollama's protocol has no such field
    supports_json_mode = True


class TestOpenAICompatible(ProviderSuite):
    wire = openai_compatible.TestCompatible
    model_name = "desk/org/small"
    model_override_value = "org/large"
    supports_image_inputs = True
    supports_json_mode = True


class TestAnthropic(ProviderSuite):
    wire = anthropic.TestAnthropic
    model_name = anthropic.MODEL
    model_override_value = "claude-haiku-4-5"
    supports_image_inputs = True
    supports_anthropic_inputs = True


class TestGoogle(ProviderSuite):
    wire = google.TestGoogle
    model_name = google.MODEL
    supports_model_override = False  # Google's client takes no other model in a call
    supports_image_inputs = True
    supports_json_mode = True
