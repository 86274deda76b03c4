"""One line of a batch: from what was asked to the row that answers it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cachetools import TTLCache

from tilores_core.chat.customer.finder import CustomerFinder, clarification
from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import (
    DEFAULT_CACHE_POLICY,
    DEFAULT_CALLER,
    Answer,
    CachePolicy,
    Caller,
    Customer,
    CustomerOutcome,
    CustomerSource,
    Identifiers,
    Purpose,
    Turn,
    current_purpose,
)
from tilores_core.errors import (
    DeadlineExceededError,
    OverloadedError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceUnavailableError,
    TiloresError,
)
from tilores_core.identity import Locale
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_rows import answer_row, error_row, records_row

_TRANSIENT: Final = (
    DeadlineExceededError,
    OverloadedError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceUnavailableError,
)


def is_transient(error: Exception) -> bool:
    """Whether the same may work later. An account that is used up does not: it has to be paid first."""
    return isinstance(error, _TRANSIENT) and not isinstance(error, ProviderQuotaError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """At most `attempts` tries. Times in seconds; what another asks us to wait is waited for up to `longest_wait`."""

    attempts: int = 5
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 300.0

    def pause(self, error: Exception, failures: int) -> float:
        """How long after the `failures`-th failure: full jitter (any time up to base * 2^n), so that what failed
        together does not come back together; after what the other side asked for, if it asked."""
        jitter = random.uniform(0.0, min(self.cap, self.base * 2 ** (failures - 1)))  # noqa: S311
        asked = getattr(error, "retry_after", None) or 0.0
        return min(asked, self.longest_wait) + jitter


_REMEMBERED = 4096
_REMEMBERED_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """How lines are asked. `model`: for lines that name none; `seconds`: the longest time of one try."""

    model: str | None = None
    caller: Caller = DEFAULT_CALLER
    cache: CachePolicy = DEFAULT_CACHE_POLICY
    purpose: Purpose = "batch"
    seconds: float = 60.0
    retry: Retry = field(default_factory=Retry)


class LineProcessor:
    """Does lines with the engine of this process. May be used concurrently from one event loop."""

    def __init__(
        self,
        engine: ChatEngine,
        source: CustomerSource,
        *,
        locale: Locale,
        options: LineOptions | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._finder = CustomerFinder(source, locale.region, day_first=locale.day_first)
        self._options = options or LineOptions()
        self._sleep = sleep
        self._found: TTLCache[Identifiers, CustomerOutcome] = TTLCache(_REMEMBERED, _REMEMBERED_SECONDS)

    def try_cached(self, line: BatchLine) -> dict[str, Any] | None:
        """The row, if the answer is in memory. Nothing is awaited."""
        begun = time.perf_counter()
        outcome = self._find_known(line)
        if line.question is None or outcome is None:
            return None
        try:
            answer = self._engine.get_from_memory(self._turn(line, outcome.customer_id))
        except TiloresError:
            return None  # `process` says what is wrong
        if answer is None:
            return None
        return answer_row(line.id, answer, attempts=1, seconds=time.perf_counter() - begun)

    async def process(self, line: BatchLine) -> dict[str, Any]:
        """The row, whatever happens: failures that may pass are tried again, others end in a row that says so."""
        current_purpose.set(self._options.purpose)  # of this task alone
        begun = time.perf_counter()
        for attempt in range(1, self._options.retry.attempts + 1):
            try:
                async with asyncio.timeout(self._options.seconds):
                    return await self._try(line, attempt, begun)
            except TimeoutError:
                error: Exception = DeadlineExceededError(
                    f"not done within {self._options.seconds:g} s",
                    fix="run it again, or raise [chat] deadline_seconds",
                )
            except Exception as raised:
                error = raised
            if not is_transient(error) or attempt == self._options.retry.attempts:
                break
            await self._sleep(self._options.retry.pause(error, attempt))
        return error_row(line.id, error, attempts=attempt, seconds=time.perf_counter() - begun)

    async def _try(self, line: BatchLine, attempt: int, begun: float) -> dict[str, Any]:
        outcome = self._find_known(line) or await self._identify(line.identifiers)
        if line.question is None:
            outcome, customer = await self._records(line, outcome)
            return records_row(line.id, outcome, customer, attempts=attempt, seconds=time.perf_counter() - begun)
        if outcome.kind in ("none", "several"):
            answer = Answer(
                text=clarification(outcome),
                model=self._engine.models.resolve(line.model or self._options.model),
                cost=0.0,
                customer=outcome,
            )
        else:
            answer = await self._engine.answer(self._turn(line, outcome.customer_id))
        return answer_row(line.id, answer, attempts=attempt, seconds=time.perf_counter() - begun)

    def _find_known(self, line: BatchLine) -> CustomerOutcome | None:
        """The customer that the line is about, as far as known; None when the source has to be asked."""
        who = line.identifiers
        if not who:
            return CustomerOutcome(kind="unnamed")  # the engine looks for names in the question
        if who == Identifiers(customer_id=who.customer_id):
            return CustomerOutcome(kind="one", customer_id=who.customer_id)
        return self._found.get(who)

    async def _identify(self, who: Identifiers) -> CustomerOutcome:
        """By everything that the line says of the customer."""
        found = (await self._finder.identify(who)).outcome
        self._found[who] = found
        return found

    async def _records(self, line: BatchLine, outcome: CustomerOutcome) -> tuple[CustomerOutcome, Customer | None]:
        if outcome.kind != "one":
            return outcome, None
        turn = self._turn(replace(line, question=""), outcome.customer_id)
        match = await self._engine.find_customer(turn)
        if match.outcome.kind == "one":
            match = await self._engine.load_records(turn, match)
        return match.outcome, None if match.records is None else match.records.customer

    def _turn(self, line: BatchLine, customer_id: str | None) -> Turn:
        options = self._options
        return Turn(
            messages=({"role": "user", "content": line.question or ""},),
            model=line.model or options.model,
            customer_id=customer_id,
            caller=options.caller,
            deadline=time.monotonic() + options.seconds,
            purpose=options.purpose,
            cache=options.cache,
        )
