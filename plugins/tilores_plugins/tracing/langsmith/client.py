"""LangSmith's own client, without its queue, threads, sampling and retries: those are ours.

All of it blocks. Its requests share one deadline per call, since it repeats what fails at once, each time with a
time-out of its own.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Final

import requests
from langsmith import Client
from urllib3.util import Retry

from tilores_core import Feedback
from tilores_plugins.tracing.langsmith.runs import Run, uuid_of

_CONNECT_SECONDS: Final = 3.0
# The library logs each failure with parts of the key and of the reply; ours says which kind it was.
_NOISY: Final = ("langsmith.client", "langsmith.utils")


class _Session(requests.Session):
    """No request of a call goes on beyond the call's deadline (but for a reply that trickles in)."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:
        left = getattr(self.local, "until", time.monotonic()) - time.monotonic()
        if left <= 0:
            raise requests.ConnectionError("no time left")
        options["timeout"] = (min(_CONNECT_SECONDS, left), left)
        return super().request(method, url, *arguments, **options)


class LangSmith:
    """LangSmith's client, with a deadline for each call. `seconds`: for one call, all its requests together."""

    def __init__(
        self, *, endpoint: str, api_key: str, workspace_id: str | None, project: str, seconds: float
    ) -> None:
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._seconds = seconds
        self._project = project
        self._project_id: str | None = None
        self._session = _Session()
        self._client = Client(
            endpoint,
            api_key=api_key,
            workspace_id=workspace_id,
            session=self._session,
            retry_config=Retry(0),
            timeout_ms=(int(_CONNECT_SECONDS * 1000), max(1, int(seconds * 1000))),
            auto_batch_tracing=False,
            tracing_sampling_rate=1.0,
            tracing_mode="langsmith",
            tracing_error_callback=self._note,
            omit_traced_runtime_info=True,
            disable_prompt_cache=True,
            hide_inputs=False,
            hide_outputs=False,
            hide_metadata=False,
        )

    def ingest(self, runs: Sequence[Run]) -> None:
        """Raises what the library ran into; it would rather log it."""
        self._begin()
        self._client.multipart_ingest(create=runs)
        error: Exception | None = self._session.local.error
        if error is not None:
            raise error

    def score(self, feedback: Feedback) -> None:
        self._begin()
        with warnings.catch_warnings():
            # Without the project's id LangSmith looks for the run itself, where it still can.
            warnings.simplefilter("ignore")
            self._client.create_feedback(
                run_id=uuid_of(feedback.run_id),
                trace_id=uuid_of(feedback.run_id),
                key=feedback.key,
                score=feedback.score,
                value=feedback.value,
                comment=feedback.comment,
                session_id=self._project_of_runs(),
                stop_after_attempt=1,
            )

    def close(self) -> None:
        self._session.close()

    def _project_of_runs(self) -> str | None:
        if self._project_id is None:
            try:
                self._project_id = str(self._client.read_project(project_name=self._project).id)
            except Exception:
                return None
        return self._project_id

    def _begin(self) -> None:
        self._session.local.until = time.monotonic() + self._seconds
        self._session.local.error = None

    def _note(self, error: Exception) -> None:
        self._session.local.error = error
