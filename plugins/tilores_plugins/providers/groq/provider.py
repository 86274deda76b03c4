"""The provider `groq`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from tilores_core import PluginContext
from tilores_core.llm import OPENAI_FIELDS, Fields, ModelData, OpenAIProtocolProvider, library_of, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# They write what they think into the answer, unless told to keep it apart.
_THINK_ALOUD: Final = ("qwen", "deepseek-r1")
_NOT_TAKEN: Final = ("presence_penalty", "frequency_penalty", "logit_bias", "verbosity")


def build(context: PluginContext) -> GroqProvider:
    """The factory that the hook names."""
    return GroqProvider(context.settings, load_catalogue("tilores_plugins.providers.groq"))


class GroqProvider(OpenAIProtocolProvider):
    """Open models on Groq's hardware. Its models take no penalties and no logit bias."""

    name = "groq"
    title = "Groq"
    key_variable = "GROQ_API_KEY"
    default_base_url = "https://api.groq.com"
    path = "/openai/v1/chat/completions"
    parameters: ClassVar[Fields] = {name: field for name, field in OPENAI_FIELDS.items() if name not in _NOT_TAKEN}
    max_stops = 4
    message_state = ("reasoning",)

    def adapt(self, body: dict[str, Any], model: ModelData) -> None:
        if model.id.startswith(_THINK_ALOUD):
            body["reasoning_format"] = "parsed"

    def read_event(self, event: dict[str, Any]) -> None:
        """In a stream, usage and errors stand in an object of its own."""
        own = event.get("x_groq")
        if isinstance(own, dict):
            for key in ("usage", "error"):
                if own.get(key) and not event.get(key):
                    event[key] = own[key]

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        import groq
        from langchain_groq import ChatGroq

        library = library_of(groq)
        self.adapt(fields, model)
        given: dict[str, Any] = {name: fields.pop(name) for name in ("temperature", "max_tokens") if name in fields}
        return ChatGroq(
            model=model.id,
            api_key=self.key(),
            base_url=self.settings.base_url or self.default_base_url,
            timeout=self.http.timeout(library),
            max_retries=0,
            http_client=self.http.sync_client(library),
            http_async_client=self.http.async_client(library),
            model_kwargs={"extra_body": fields} if fields else {},
            **given,
        )
