"""The tracer `langsmith`: batches of runs, posted to LangSmith's API as its own client does.

That client is not used: its queue, threads, sampling and retries are the host's here, and it has no deadline for a
call as a whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson

from tilores_core import Feedback, InvalidRequestError, TiloresError, Trace, __version__
from tilores_plugins.tracing.langsmith.runs import Run, runs_of, uuid_of
from tilores_plugins.tracing.langsmith.settings import Settings

_BOUNDARY: Final = "tilores-core-9f0c31d2a7be4856"
_APART: Final = ("inputs", "outputs", "events", "extra", "error")  # parts of their own in a request
_END: Final = f"--{_BOUNDARY}--\r\n".encode()
_LONGEST_REPLY: Final = 64 * 1024


class LangSmithUnavailableError(TiloresError):
    """LangSmith does not answer, or says that it cannot now."""


class LangSmithRefusedError(InvalidRequestError):
    """LangSmith does not take this request, and would not the next time."""


class LangSmithAuthError(LangSmithRefusedError):
    """LangSmith does not take the key."""


class LangSmithTracer:
    """A `Tracer` that also takes feedback. Its errors quote no address, no key and nothing of a reply."""

    def __init__(self, settings: Settings, api_key: str) -> None:
        self._settings = settings
        self._project_id: str | None = None
        headers = {"x-api-key": api_key, "user-agent": f"tilores-core/{__version__}"}
        if settings.workspace_id is not None:
            headers["x-tenant-id"] = settings.workspace_id
        self._client = httpx.AsyncClient(
            base_url=settings.endpoint,
            headers=headers,
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=1),
        )

    async def record(self, traces: Sequence[Trace]) -> None:
        """Raises `TimeoutError`, `LangSmithUnavailableError`; `LangSmithRefusedError` where that would come again."""
        headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
        async with asyncio.timeout(self._settings.timeout_seconds):
            # In a thread: it takes milliseconds.
            for body in await asyncio.to_thread(lambda: [*_bodies(traces, self._settings)]):
                await self._send("POST", "/runs/multipart", content=body, headers=headers)

    async def feedback(self, feedback: Feedback) -> None:
        now = datetime.now(UTC)
        given = {
            "id": uuid4(),
            "run_id": uuid_of(feedback.run_id),
            "trace_id": uuid_of(feedback.run_id),
            "key": feedback.key,
            "score": feedback.score,
            "value": feedback.value,
            "comment": feedback.comment,
            "created_at": now,
            "modified_at": now,
            "feedback_source": {"type": "api", "metadata": {}},
        }
        async with asyncio.timeout(self._settings.timeout_seconds):
            given["session_id"] = await self._find_project()
            body = orjson.dumps({name: value for name, value in given.items() if value is not None})
            await self._send("POST", "/feedback", content=body, headers={"content-type": "application/json"})

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _find_project(self) -> str | None:
        """The project's id; None before its first run: LangSmith then looks for the run itself, where it can."""
        if self._project_id is None:
            found = await self._send("GET", "/sessions", params={"name": self._settings.project, "limit": 1})
            try:
                self._project_id = orjson.loads(found)[0]["id"]
            except (ValueError, LookupError, TypeError):
                return None
        return self._project_id

    async def _send(self, method: str, path: str, **request: Any) -> bytes:
        """The beginning of the reply."""
        try:
            async with self._client.stream(method, path, **request) as response:
                reply = b""
                async for piece in response.aiter_bytes():
                    reply += piece
                    if len(reply) > _LONGEST_REPLY:
                        break
        except httpx.HTTPError as error:
            raise LangSmithUnavailableError(f"LangSmith cannot be reached: {type(error).__name__}") from None
        status = response.status_code
        if status in (401, 403):
            raise LangSmithAuthError(f"LangSmith does not take the key: status {status}")
        if status == 429 or status >= 500:
            raise LangSmithUnavailableError(f"LangSmith is busy: status {status}")
        if not 200 <= status < 300:
            raise LangSmithRefusedError(f"LangSmith refuses a request: status {status}")
        return reply


def _bodies(traces: Sequence[Trace], settings: Settings) -> Iterator[bytes]:
    """The runs of all traces in requests that are not too large."""
    body = b""
    for trace in traces:
        runs = runs_of(trace, settings.project)
        parts = b"".join(map(_encode, runs))
        if len(parts) > settings.max_bytes:
            for run in runs:
                _drop_texts(run)
            parts = b"".join(map(_encode, runs))
        if body and len(body) + len(parts) > settings.max_bytes:
            yield body + _END
            body = b""
        body += parts
    if body:
        yield body + _END


def _encode(run: Run) -> bytes:
    """The parts of a run: what is large is apart from the rest of it."""
    rest = {name: value for name, value in run.items() if name not in _APART}
    values = {"": rest} | {f".{name}": run[name] for name in _APART if run.get(name) is not None}
    encoded = b""
    for suffix, value in values.items():
        data = _dump(value)
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="post.{run["id"]}{suffix}"\r\n'
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        encoded += head.encode() + data + b"\r\n"
    return encoded


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a number of more than 64 bits, half of a character's pair
        return json.dumps(value, default=str, skipkeys=True).encode()


def _drop_texts(run: Run) -> None:
    if run["inputs"] or run["outputs"]:
        run["inputs"], run["outputs"] = {}, None
        run["extra"]["metadata"]["cut"] = True
