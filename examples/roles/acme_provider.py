"""A model provider over a server that speaks OpenAI's protocol, with the toolkit `tilores_core.llm`."""

from tilores_core import LLMProviderSpec, ModelInfo, PluginContext, SupportsCompletion, hookimpl
from tilores_core.llm import Catalogue, KeyedProviderSettings, ModelData, OpenAIProtocolProvider


class AcmeProvider(OpenAIProtocolProvider):
    name = "acme"
    title = "Acme"
    key_variable = "ACME_API_KEY"
    default_base_url = "https://models.acme.example/v1"


def build(context: PluginContext) -> AcmeProvider:
    small = ModelInfo(
        id="acme-small", context_window=32_768, input_price=0.2, output_price=0.8, tools=True, json_output=True
    )
    return AcmeProvider(context.settings, Catalogue([ModelData(info=small)]))


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="acme",
            factory=build,
            settings=KeyedProviderSettings,
            abilities=(SupportsCompletion,),
            requires={"aiohttp": "aiohttp", "langchain_openai": "langchain-openai"},
            environment={"api_key": "ACME_API_KEY", "base_url": "ACME_BASE_URL"},
            summary="Acme's models",
        )
    ]
