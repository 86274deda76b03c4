"""A server with two fake upstreams: `primary`, which a test spoils, and `backup`, which is healthy.

Both speak OpenAI's protocol through the real SDK. Every test asks a model of its own name, so that nothing that one
learns of a model (its breaker, its times) reaches another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site
from tilores_core.chat.routing.fallback_chain import CONTINUE
from tilores_core.testing.fake_upstream import DEFAULT_KEY, Asked, FakeUpstream, Reply, ReplyLike

WHOLE = "The primary speaks first. It has a second sentence. The third one ends it."
BACKUP = "The backup knows it all. Nothing is left out."
REST = "The backup goes on from here. It finds an end."

_PLUGIN = """
from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(
        name={name!r}, factory="tilores_plugins.providers.openai.provider:build",
        settings="tilores_core.llm:KeyedProviderSettings", abilities=(SupportsCompletion,),
    )]
"""
_TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "primary:default"
fallbacks = ["backup:healthy"]

[routing]
first_token_seconds = 2.0
stall_seconds = 1.2
backoff_seconds = 0.02
breaker_seconds = 0.5
{routing}

[plugins.primary]
base_url = "{primary}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}

[plugins.backup]
base_url = "{backup}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}
"""
_NUMBERS = count()


@dataclass(slots=True)
class Told:
    """What the caller got. `error`: the protocol's error object, before or in the middle of the answer. `ended`: with
    the protocol's own end."""

    status: int
    text: str = ""
    error: dict[str, Any] | None = None
    models: list[str] = field(default_factory=list)
    finish: str | None = None
    ended: bool = True
    extension: dict[str, Any] = field(default_factory=dict)
    headers: httpx.Headers = field(default_factory=httpx.Headers)

    @property
    def model(self) -> str:
        """The one model that all of the answer names."""
        assert len(set(self.models)) == 1, self.models
        return self.models[0]


def continued(asked: Asked) -> bool:
    """Is the model asked to go on where another broke off?"""
    return asked.question == CONTINUE


def healthy(asked: Asked) -> ReplyLike:
    return REST if continued(asked) else BACKUP


class Routed:
    """The fake upstreams, the server, and how to ask it."""

    def __init__(self, folder: Path, routing: str = "") -> None:
        self.primary = FakeUpstream("openai")
        self.backup = FakeUpstream("openai", otherwise=healthy)
        self._folder = folder
        self._routing = routing
        self._http = httpx.Client(timeout=30)
        self.server: RunningServer

    def __enter__(self) -> Routed:
        plugins = self._folder / "plugins"
        plugins.mkdir(parents=True)
        for name in ("primary", "backup"):
            Site(plugins).install(name, _PLUGIN.format(name=name), target=f"{name}_models")
        self.primary.__enter__()
        self.backup.__enter__()
        toml = _TOML.format(routing=self._routing, primary=self.primary.base_url, backup=self.backup.base_url)
        variables = {"PYTHONPATH": str(plugins), "FAKE_UPSTREAM_KEY": DEFAULT_KEY}
        self.server = RunningServer(self._folder / "server", toml=toml, variables=variables)
        self.server.start()
        # The SDK is imported and its first connection made, before a test counts seconds.
        for warm in ("primary:warm", "backup:warm"):
            assert self.ask(warm).status == 200
        return self

    def __exit__(self, *raised: Any) -> None:
        self._http.close()
        try:
            self.server.__exit__(*raised)
        finally:
            self.primary.__exit__(*raised)
            self.backup.__exit__(*raised)

    # --- what the models do

    def model(self, *replies: ReplyLike, always: ReplyLike | Callable[[Asked], ReplyLike] | None = None) -> str:
        """A model of the primary that nobody knows yet: what it says first, and then always."""
        name = f"m{next(_NUMBERS)}"
        self.primary.always[name] = always if always is not None else Reply(WHOLE)
        self.primary.enqueue(*replies, model=name)
        return f"primary:{name}"

    def calls(self, model: str) -> int:
        """How often a model was asked."""
        provider, _, name = model.partition(":")
        return (self.primary if provider == "primary" else self.backup).counts[name]

    # --- asking

    def ask(self, model: str, *, streamed: bool = False, question: str = "What is there to say?") -> Told:
        """By OpenAI's protocol."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "stream": streamed,
            "metadata": {"no_cache": "true"},
        }
        if not streamed:
            reply = self._http.post(f"{self.server.v1}/chat/completions", json=body, timeout=30)
            return _whole(reply)
        with self._http.stream("POST", f"{self.server.v1}/chat/completions", json=body, timeout=30) as reply:
            if reply.status_code != 200:
                reply.read()
                return _whole(reply)
            return _pieces(reply)

    def chat(self, model: str, *, streamed: bool = False, question: str = "What is there to say?") -> Told:
        """By LangServe's."""
        body = {"input": question, "config": {"configurable": {"model": model, "no_cache": True}}}
        if not streamed:
            reply = self._http.post(f"{self.server.chat}/invoke", json=body, timeout=30)
            if reply.status_code != 200:
                return Told(reply.status_code, error=reply.json(), headers=reply.headers)
            output = reply.json()["output"]
            return Told(200, output["content"], models=[output["response_metadata"]["model"]])
        with self._http.stream("POST", f"{self.server.chat}/stream", json=body, timeout=30) as reply:
            if reply.status_code != 200:
                reply.read()
                return Told(reply.status_code, error=reply.json(), headers=reply.headers)
            return _events(reply)


def _whole(reply: httpx.Response) -> Told:
    said = reply.json()
    if reply.status_code != 200:
        return Told(reply.status_code, error=said["error"], headers=reply.headers)
    choice = said["choices"][0]
    return Told(
        200,
        choice["message"]["content"],
        models=[said["model"]],
        finish=choice["finish_reason"],
        extension=said["tilores"],
    )


def _pieces(reply: httpx.Response) -> Told:
    told = Told(200, ended=False)
    for line in reply.iter_lines():
        if not line.startswith("data: "):
            continue
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            told.ended = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            told.error = chunk["error"]
            continue
        told.models.append(chunk["model"])
        told.extension = chunk.get("tilores", told.extension)
        for choice in chunk["choices"]:
            told.text += choice["delta"].get("content") or ""
            told.finish = choice["finish_reason"] or told.finish
    return told


def _events(reply: httpx.Response) -> Told:
    told = Told(200, ended=False)
    event = ""
    for line in reply.iter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
            told.ended = told.ended or event == "end"
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if event == "error":
                told.error = data
            elif event == "data":
                told.text += data["content"]
                if model := data["response_metadata"].get("model"):
                    told.models.append(model)
    return told
