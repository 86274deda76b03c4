"""The demo model: `demo:simulated-1`, which runs in this process, needs no key and says that it is simulated.

It reads the prompt that it gets and answers from the records in it, so what it says depends on the question, on
the records and on the instructions, as with a real model; see `habits` for what each instruction changes.
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
            summary="A simulated model that answers from the records in the prompt; no key, no network",
        )
    ]
