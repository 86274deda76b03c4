"""The demo models: `demo:simulated-1` and seven with a weakness each; they run in this process, need no key and say
that they are simulated.

They read the prompt that they get and answer from the records in it, so what they say depends on the question, on
the records and on the instructions, as with a real model; see `habits` for what each instruction changes, and
`weaknesses` for the seven.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="demo",
            factory="tilores_plugins.providers.demo.provider:build",
            settings="tilores_plugins.providers.demo.settings:DemoModelSettings",
            simulated=True,
            summary="A simulated model that answers from the records in the prompt; no key, no network",
        )
    ]
