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

from tilores_core.llm.catalogue import (
    Catalogue as Catalogue,
    ModelData as ModelData,
    load_catalogue as load_catalogue,
)
from tilores_core.llm.characters import JoinHalves as JoinHalves
from tilores_core.llm.failures import (
    Failure as Failure,
    MalformedReplyError as MalformedReplyError,
    UpstreamError as UpstreamError,
    failure_of as failure_of,
    parse_retry_after as parse_retry_after,
)
from tilores_core.llm.mapping import error_of as error_of, map_failure as map_failure
from tilores_core.llm.openai_protocol import (
    OPENAI_FIELDS as OPENAI_FIELDS,
    SERVER_FIELDS as SERVER_FIELDS,
    OpenAIProtocolProvider as OpenAIProtocolProvider,
    with_thoughts as with_thoughts,
)
from tilores_core.llm.parameters import (
    Field as Field,
    Fields as Fields,
    in_model_kwargs as in_model_kwargs,
    positive_top_k as positive_top_k,
    temperature_up_to_one as temperature_up_to_one,
    translate as translate,
)
from tilores_core.llm.parts import (
    building as building,
    check_inline as check_inline,
    check_parts as check_parts,
    inline_image as inline_image,
)
from tilores_core.llm.provider import ChatProvider as ChatProvider
from tilores_core.llm.settings import (
    KeyedProviderSettings as KeyedProviderSettings,
    ModelSettings as ModelSettings,
    ProviderSettings as ProviderSettings,
)
from tilores_core.llm.sse import EventParser as EventParser
from tilores_core.llm.transport import HttpClients as HttpClients, library_of as library_of
