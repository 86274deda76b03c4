"""A plugin whose models wait in the middle of an answer until a test lets them go, and note what happens.

It is written as a distribution of its own, found by the real scan: `install(folder)` and put `folder` on PYTHONPATH.
A model writes a line to `events` in the folder of GATE_FOLDER for each thing that happens, and goes on when `go` is
there. It also has a route with a fault, a health check with a fault and one that never ends.
"""

from __future__ import annotations

from pathlib import Path

from tests.host.throwaway_plugins import Site
from tilores_core.testing.waiting import wait_until

TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "gated:slow"
"""

CODE = """
import asyncio, os
from pathlib import Path
from tilores_core import (
    HealthCheckSpec, LLMProviderSpec, ModelInfo, ProviderUnavailableError, RouterSpec, hookimpl
)

GATE = Path(os.environ["GATE_FOLDER"])


def note(event):
    with (GATE / "events").open("a") as events:
        events.write(event + "\\n")


async def gate():
    while not (GATE / "go").exists():
        await asyncio.sleep(0.01)


class Provider:
    def models(self):
        return (ModelInfo(id="slow"), ModelInfo(id="broken"), ModelInfo(id="bug"))

    def chat_model(self, model, parameters):
        return make(model)

    def map_error(self, error):
        if isinstance(error, ConnectionError):
            return ProviderUnavailableError("no answer from http://inner.example", provider="gated")
        return error

    async def aclose(self):
        note("closed")


def make(name):
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    class Gated(BaseChatModel):
        name: str

        @property
        def _llm_type(self):
            return "gated"

        def _generate(self, *arguments, **named):
            raise NotImplementedError

        async def _agenerate(self, messages, stop=None, run_manager=None, **named):
            text = "".join([chunk.message.content async for chunk in self._astream(messages)])
            message = AIMessage(text, response_metadata={"finish_reason": "stop"})
            return ChatResult(generations=[ChatGeneration(message=message)])

        async def _astream(self, messages, stop=None, run_manager=None, **named):
            note("start")
            try:
                if self.name == "bug":
                    raise ZeroDivisionError(messages[-1].content)
                yield ChatGenerationChunk(message=AIMessageChunk("first "))
                await gate()
                if self.name == "broken":
                    raise ConnectionError("http://inner.example is down")
                for word in ("second ", "third ", "last"):
                    yield ChatGenerationChunk(message=AIMessageChunk(word))
                end = {"finish_reason": "stop"}
                yield ChatGenerationChunk(message=AIMessageChunk("", response_metadata=end))
            except (asyncio.CancelledError, GeneratorExit):
                note("cancelled")
                raise
            note("done")

    return Gated(name=name)


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(name="gated", factory=lambda context: Provider())]


def router(context):
    from fastapi import APIRouter

    routes = APIRouter()

    @routes.post("/fault")
    async def fault(said: dict):
        raise ZeroDivisionError(said)

    return routes


async def broken_check():
    raise ZeroDivisionError("Edwina Hawthorne")


async def slow_check():
    await asyncio.sleep(60)


@hookimpl
def register_routers():
    return [RouterSpec(name="gated", factory=router)]


@hookimpl
def register_health_checks():
    return [
        HealthCheckSpec(name="broken", factory=lambda context: broken_check),
        HealthCheckSpec(name="slow", factory=lambda context: slow_check),
    ]
"""

ANSWER = "first second third last"


class Gate:
    """The test's end of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        Site(folder).install("gated", CODE, target="gated_provider")

    @property
    def variables(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._folder), "GATE_FOLDER": str(self._folder)}

    @property
    def events(self) -> list[str]:
        noted = self._folder / "events"
        return noted.read_text().split() if noted.exists() else []

    def open(self) -> None:
        (self._folder / "go").touch()

    def close(self) -> None:
        """Shut it, and forget what was noted."""
        (self._folder / "go").unlink(missing_ok=True)
        (self._folder / "events").unlink(missing_ok=True)

    def wait_for(self, event: str, times: int = 1) -> None:
        wait_until(
            lambda: self.events.count(event) >= times, lambda: f"{times} x {event!r} never came, only {self.events}"
        )
