"""LangChain's own suites over `ChatOpenAI` at `/v1`, with a capable upstream behind the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from tests.e2e.running_server import RunningServer
from tests.standard_suite.scripted import scripted
from tilores_core.testing.fake_upstream import DEFAULT_KEY, FakeUpstream

pytest.importorskip("langchain_tests", reason="langchain-tests is not installed")
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

_TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "openai:gpt-4o"

[plugins.openai]
base_url = "{upstream}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}
"""


class TestUnitSuite(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai:gpt-4o", "base_url": "http://127.0.0.1:9/v1", "api_key": "any"}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # langchain-openai, of what it has parsed itself
@pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema")
@pytest.mark.filterwarnings("ignore:The test <Function")  # the next mark is for those that are asynchronous
@pytest.mark.asyncio(loop_scope="class")  # langchain-openai keeps one client for all models
class TestIntegrationSuite(ChatModelIntegrationTests):
    server: ClassVar[RunningServer]
    model_override_value = "openai:gpt-4o-mini"
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        folder: Path = tmp_path_factory.mktemp("standard_suite")
        with FakeUpstream("openai", otherwise=scripted) as upstream:
            toml = _TOML.format(upstream=upstream.base_url)
            cls.server = RunningServer(folder, toml=toml, variables={"FAKE_UPSTREAM_KEY": DEFAULT_KEY})
            with cls.server:
                yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai:gpt-4o", "base_url": self.server.v1, "api_key": "any", "stream_usage": True}
