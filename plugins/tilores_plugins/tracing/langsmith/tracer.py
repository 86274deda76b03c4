"""The tracer `langsmith`: batches of runs through LangSmith's own client, in threads, with deadlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import orjson

from tilores_core import Feedback, PluginContext, PluginError, Trace
from tilores_plugins.tracing.langsmith.runs import Run, runs_of
from tilores_plugins.tracing.langsmith.settings import Settings
from tilores_plugins.tracing.langsmith.threads import Threads

if TYPE_CHECKING:
    from tilores_plugins.tracing.langsmith.client import LangSmith

_GRACE: Final = 0.5  # seconds for a call to notice its own deadline
_WITHOUT_TEXTS: Final = 1_000  # bytes, about, of a run without inputs and outputs


class LangSmithTracer:
    """A `Tracer` that also takes feedback. The library is imported by the first call, in its thread."""

    def __init__(self, settings: Settings, api_key: str) -> None:
        self._settings = settings
        self._api_key = api_key
        self._threads = Threads()
        self._client: LangSmith | None = None

    async def record(self, traces: Sequence[Trace]) -> None:
        def send() -> None:
            client = self._connect()
            for batch in _batches(traces, self._settings):
                client.ingest(batch)

        await self._threads.call(send, self._settings.timeout_seconds + _GRACE)

    async def feedback(self, feedback: Feedback) -> None:
        await self._threads.call(lambda: self._connect().score(feedback), self._settings.timeout_seconds + _GRACE)

    async def aclose(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connect(self) -> LangSmith:
        if self._client is None:
            from tilores_plugins.tracing.langsmith.client import LangSmith

            self._client = LangSmith(
                endpoint=self._settings.endpoint,
                api_key=self._api_key,
                workspace_id=self._settings.workspace_id,
                project=self._settings.project,
                seconds=self._settings.timeout_seconds,
            )
        return self._client


def build(context: PluginContext) -> LangSmithTracer:
    """Raises `PluginError` when it is not to trace, or cannot."""
    settings: Settings = context.settings
    if not settings.tracing:
        raise PluginError("LANGSMITH_TRACING says no", plugin=context.plugin_id, fix="unset it to send traces")
    key = settings.api_key.get_secret_value().strip() if settings.api_key is not None else ""
    if not key:
        raise PluginError(
            "there is no key", plugin=context.plugin_id, fix="set LANGSMITH_API_KEY to send traces to LangSmith"
        )
    return LangSmithTracer(settings, key)


def _batches(traces: Sequence[Trace], settings: Settings) -> Iterator[list[Run]]:
    """The runs of all traces in requests that are not too large."""
    batch: list[Run] = []
    size = 0
    for trace in traces:
        runs = runs_of(trace, settings.project)
        bytes_here = sum(map(_size, runs))
        if bytes_here > settings.max_bytes:
            for run in runs:
                _without_texts(run)
            bytes_here = _WITHOUT_TEXTS * len(runs)
        if batch and size + bytes_here > settings.max_bytes:
            yield batch
            batch, size = [], 0
        batch += runs
        size += bytes_here
    if batch:
        yield batch


def _size(run: Run) -> int:
    if not run["inputs"] and not run["outputs"]:
        return _WITHOUT_TEXTS
    return _WITHOUT_TEXTS + len(orjson.dumps([run["inputs"], run["outputs"]], default=str))


def _without_texts(run: Run) -> None:
    if run["inputs"] or run["outputs"]:
        run["inputs"], run["outputs"] = {}, None
        run["extra"]["metadata"]["cut"] = True
