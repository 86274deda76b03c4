"""Evaluations that the worker process is asked for: kept in the store, one at a time, resumed after a kill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import structlog
from pydantic import ValidationError

from tilores_core.errors import RateLimitedError, StoreError, TiloresError
from tilores_core.quality.evaluation.plan import EvaluationRequest, new_run_id
from tilores_core.resilience import Lease
from tilores_core.resilience.work_mark import WorkMark, work_off
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.evaluations import StoredRun

log = structlog.get_logger(part="quality")

MARK: Final = "evaluations"
"""The mark that wakes the worker, and the lease of the one that works."""
_MOST_WAITING: Final = 20


class EvaluationQueue:
    """Evaluations that wait for the worker process.

    `ask` in any process; `work` in the worker process. Both raise `StoreError`.

    `check`: raises for a request that names what is not there.
    """

    def __init__(
        self, store: LazyStore, mark: WorkMark, check: Callable[[EvaluationRequest], Awaitable[None]] | None = None
    ) -> None:
        self.store = store
        self._check = check
        self._mark = mark

    async def ask(self, request: EvaluationRequest, *, owner: str) -> str:
        """The id of the run, which the worker process will do. Raises `RateLimitedError` when too many wait."""
        if self._check is not None:
            await self._check(request)
        if len(await self._waiting()) >= _MOST_WAITING:
            raise RateLimitedError("too many evaluations wait", retry_after=60.0, fix="wait until some are done")
        run_id = new_run_id()
        options = {"asked": request.model_dump(mode="json"), "owner": owner}
        evaluations = (await self.store.get()).evaluations
        await evaluations.begin(run_id, digest="", prompt_version="", options=options, state="queued")
        self._mark.set()
        return run_id

    async def work(self, run_it: Callable[[str, EvaluationRequest], Awaitable[None]]) -> None:
        """Do what is asked for until cancelled, whenever no other process does. `run_it` gets the id of the run."""

        async def do(run: StoredRun, _: Lease) -> None:
            try:
                await run_it(run.id, EvaluationRequest.model_validate(run.options["asked"]))
            except StoreError:
                raise
            except (TiloresError, ValidationError) as error:  # it cannot be run as it is: a bad name or budget
                message = error.message if isinstance(error, TiloresError) else "the request is not understood"
                log.warning("quality.evaluation_failed", run=run.id, error=type(error).__name__)
                await (await self.store.get()).evaluations.end(run.id, state="failed", summary={"error": message})

        await work_off(self._mark, self.store.leases, MARK, self._waiting, do)

    async def _waiting(self) -> list[StoredRun]:
        return await (await self.store.get()).evaluations.waiting()
