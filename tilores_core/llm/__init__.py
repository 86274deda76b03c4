"""What a provider plugin over a LangChain chat model is made of.

A provider is a `ChatProvider` with three things said: which parameters it takes and what they are called there
(`parameters`), the models as data (a JSON file beside the plugin, read by `load_catalogue`), and how one chat
model is made (`make`). The rest is here: settings, listing without a key, refusals that name the parameter, errors,
and an HTTP client that carries many calls at once.

    class AcmeProvider(ChatProvider):
        name = "acme"
        title = "Acme"
        key_variable = "ACME_API_KEY"
        parameters = {"temperature": "temperature", "max_tokens": "max_tokens", "stop": "stop_sequences",
                      "tools": in_model_kwargs("tools"), "tool_choice": in_model_kwargs("tool_choice")}

        def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
            import acme
            from langchain_acme import ChatAcme

            return ChatAcme(model=model.id, api_key=self.key(), max_retries=0, **fields,
                            http_async_client=self.http.async_client(library_of(acme)))

    def build(context: PluginContext) -> AcmeProvider:
        return AcmeProvider(context.settings, load_catalogue("acme_models", "models.json"))

`tilores_core.testing` has the suite that such a provider must pass.
"""

from tilores_core.llm.catalogue import Catalogue, ModelData, load_catalogue
from tilores_core.llm.failures import (
    Failure,
    MalformedReplyError,
    UpstreamError,
    failure_of,
    parse_retry_after,
)
from tilores_core.llm.mapping import error_of, map_failure
from tilores_core.llm.openai_protocol import OPENAI_FIELDS, OpenAIProtocolProvider
from tilores_core.llm.parameters import Field, Fields, in_model_kwargs, translate
from tilores_core.llm.parts import building, check_addresses, check_inline, check_parts, inline_image
from tilores_core.llm.provider import ChatProvider
from tilores_core.llm.settings import KeyedProviderSettings, ModelSettings, ProviderSettings
from tilores_core.llm.transport import HttpClients, library_of

__all__ = [
    "OPENAI_FIELDS",
    "Catalogue",
    "ChatProvider",
    "Failure",
    "Field",
    "Fields",
    "HttpClients",
    "KeyedProviderSettings",
    "MalformedReplyError",
    "ModelData",
    "ModelSettings",
    "OpenAIProtocolProvider",
    "ProviderSettings",
    "UpstreamError",
    "building",
    "check_addresses",
    "check_inline",
    "check_parts",
    "error_of",
    "failure_of",
    "in_model_kwargs",
    "inline_image",
    "library_of",
    "load_catalogue",
    "map_failure",
    "parse_retry_after",
    "translate",
]
