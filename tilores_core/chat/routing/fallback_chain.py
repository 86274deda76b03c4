"""One turn's way through the models: the one that was asked for, then its fallbacks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from tilores_core.chat.messages import for_model
from tilores_core.chat.models import Models
from tilores_core.chat.routing.budget import Budget, deadline_exceeded
from tilores_core.chat.routing.delivery import BufferedDelivery, Start
from tilores_core.chat.routing.health import Health, Permit
from tilores_core.chat.routing.hedge import Claim, hedged
from tilores_core.chat.routing.joint import CannotJoinError, is_first_word
from tilores_core.chat.routing.limits import Limits, ProviderLimit
from tilores_core.chat.routing.model_call import FailedAttemptError, ModelCall, OnDelta
from tilores_core.chat.routing.verdict import judge
from tilores_core.contracts import Attempt, Delta, Message, ModelInfo, Purpose, Turn
from tilores_core.errors import (
    InvalidRequestError,
    OverloadedError,
    ProviderAuthError,
    ProviderQuotaError,
    ProviderUnavailableError,
    RequestError,
    UnknownModelError,
)
from tilores_core.llm.normalizer import Completion
from tilores_core.llm.parts import check_parts
from tilores_core.settings import RoutingTable

log = structlog.get_logger(part="chat")

CONTINUE = (
    "Your last message was cut off. Go on with it exactly where it stops, in the same language and tone: the next "
    "word you write is the one that follows its last word. Repeat nothing of it, do not greet, and do not mention "
    "the interruption."
)


class ModelNotes(Protocol):
    """Counts calls of models. Called in the path of a turn: it must not wait."""

    def attempted(self, attempt: Attempt, purpose: Purpose) -> None:
        """A call has ended."""

    def answered(self, asked: str, model: str) -> None:
        """Note that `model` has answered a turn that asked for `asked`; full names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingContext:
    """What all turns share: the models, what is known of them, how many calls their providers take, who counts."""

    models: Models
    policy: RoutingTable
    health: Health
    limits: Limits
    notes: ModelNotes | None


RequestForModel = Callable[[str], tuple[Turn, Sequence[Message]]]
"""A model's full name -> the turn with the parameters for this model, and what comes behind the conversation."""


class FallbackChain(Struct, kw_only=True):
    """One turn's way. `chain`: full names in turn; `asked`: the one that the turn asks for; `spectrum`: its own, or
    ""; `system`: such a name -> its message; `request_for`: how else it is asked; `began`: that of `ModelCall`;
    `attempts` gets a note of each call."""

    context: RoutingContext
    turn: Turn
    system: Callable[[str], str]
    chain: tuple[str, ...]
    asked: str
    budget: Budget
    delivery: BufferedDelivery
    began: float
    attempts: list[Attempt]
    streamed: bool
    request_for: RequestForModel | None
    spectrum: str
    _calls: dict[str, int] = field(default_factory=dict)  # by upstream
    _window: int = 0  # tokens that the prompt has been found not to fit into
    _first: Exception | None = None
    _broke: Exception | None = None  # what ended the answer that the caller hears

    async def run(self) -> tuple[str, Completion]:
        """The model that answered and what it said.

        Raises what the first model raised when none answered; at once what no other model would mend.
        """
        passed_over: list[str] = []
        for place, name in enumerate(self.chain):
            if not self._is_open_to(name):
                continue
            health = self.context.health
            permit = None if health.is_held(name, self.spectrum) else health.of(name).admit()
            if permit is None:
                passed_over.append(name)
                continue
            last = place == len(self.chain) - 1
            if (said := await self._ask(name, permit, last=last)) is not None:
                return name, said
        # Nobody is spared anything by leaving a model alone when there is no other.
        for place, name in enumerate(passed_over):
            if not self._is_open_to(name):
                continue
            last = place == len(passed_over) - 1
            permit = self.context.health.of(name).force_permit()
            if (said := await self._ask(name, permit, last=last, once=True)) is not None:
                return name, said
        raise self._failure()

    def _is_open_to(self, name: str) -> bool:
        """May the model be asked, as far as this turn knows?"""
        if self.budget.remaining() <= 0:
            return False
        if self._window and not (self._window_of(name) or 0) > self._window:
            return False
        return self._has_calls_left(name)

    def _has_calls_left(self, name: str) -> bool:
        calls = self._calls  # none yet, for nearly all turns
        return not calls or calls.get(self.context.models.upstream(name), 0) < self.context.policy.attempts

    def _count(self, upstream: str) -> None:
        self._calls[upstream] = self._calls.get(upstream, 0) + 1

    async def _ask(self, name: str, permit: Permit, *, last: bool, once: bool = False) -> Completion | None:
        """Ask one model, more than once where that may help. None: try another. Raises what no other would mend."""
        start, policy = self._start(name), self.context.policy
        for tries in range(1, policy.attempts + 1):
            try:
                call = self._prepare(name, permit, start, last=last)
                limit = self.context.limits.of(self.context.models.upstream(name))
                if not limit.try_enter(live=self.budget.priority.live):
                    await self._enter(limit, call)
                self.delivery.begin(name, start)
                late = self.context.health.of(name).first_token_p95() if policy.hedge and start == "fresh" else None
                if late is None or late >= call.first:
                    self._count(limit.upstream)
                    said = await call.run(limit, self.delivery.add)
                else:
                    said = await self._run_hedged(call, limit, late)
                self.delivery.finish()
                if self.context.notes is not None:
                    self.context.notes.answered(self.chain[0], name)
                return replace(said, text=self.delivery.text) if start != "fresh" else said
            except CannotJoinError:
                log.warning("model.cannot_continue", model=self.context.models.display_name(name))
                return None  # the next one may
            except FailedAttemptError as failed:
                self._log_failure(name, failed)
                if start == "continued" and isinstance(failed.error, RequestError):
                    pause: float | None = 0.0  # it takes no half answer: ask it anew
                    start = "again"
                else:
                    self._note(name, failed)
                    pause = None if once else self._pause(name, failed, tries, last=last)
                    start = self._start(name)
            if pause is None or not self._has_calls_left(name):
                return None
            if pause:
                await asyncio.sleep(pause)
            again = self.context.health.of(name).admit()
            if again is None:
                return None
            permit = again
        return None

    def _log_failure(self, name: str, failed: FailedAttemptError) -> None:
        shown, error = self.context.models.display_name(name), type(failed.error).__name__
        fix = None  # what the operator has to do
        if failed.verdict.elsewhere and isinstance(
            failed.error, ProviderAuthError | ProviderQuotaError | UnknownModelError
        ):
            fix = failed.error.fix
        if isinstance(failed.error, RequestError) and fix is None:  # the caller's
            log.info("model.call_failed", model=shown, error=error, begun=failed.begun)
        else:
            extra = {"fix": fix} if fix else {}
            log.warning("model.call_failed", model=shown, error=error, begun=failed.begun, **extra)

    def _start(self, name: str) -> Start:
        if not self.delivery.spoken:
            return "fresh"
        info = self.context.models.info(name)
        return "continued" if info is None or info.continues else "again"

    def _note(self, name: str, failed: FailedAttemptError) -> None:
        """Remember what the failure means for the rest of the way, or raise it when it is the end."""
        error, verdict = failed.error, failed.verdict
        self._first = self._first or error
        if self.delivery.spoken:
            self._broke = self._broke or error
            if not self.delivery.resumable:
                raise self._failure() from failed.__cause__
        if not verdict.elsewhere:
            raise (self._broke or error) from failed.__cause__
        if verdict.larger:
            self._note_window(name, error)

    def _note_window(self, name: str, error: Exception) -> None:
        window = self._window_of(name)
        if window is not None:
            self._window = max(self._window, window)
        elif name == self.chain[0]:
            raise error  # of no other model can it be said that it takes more

    def _pause(self, name: str, failed: FailedAttemptError, tries: int, *, last: bool) -> float | None:
        """Seconds until the same model is asked again; None when it is not."""
        policy, verdict = self.context.policy, failed.verdict
        if not verdict.again or (failed.begun and not last):
            return None
        if verdict.wait is not None:
            if verdict.wait < self.budget.remaining() and (last or verdict.wait <= policy.retry_after_seconds):
                return verdict.wait + _jitter(policy.backoff_seconds)
            self.context.health.of(name).pause_for(verdict.wait)
            return None
        if tries > 1:
            return None
        return min(_jitter(policy.backoff_seconds), self.budget.remaining())

    # --- one call ----------------------------------------------------------------------------------------

    def _prepare(self, name: str, permit: Permit, start: Start, *, last: bool) -> ModelCall:
        turn, more = (self.turn, ()) if self.request_for is None else self.request_for(name)
        info = self.context.models.info(name)
        messages = self._messages(name, info, permit, start, more)
        policy = self.context.policy
        first, whole = self.budget.patience(policy.first_token_seconds, last=last)
        return ModelCall(
            models=self.context.models,
            model=name,
            turn=turn,
            messages=messages,
            permit=permit,
            is_fallback=name != self.asked,
            # Also an answer that the caller wants whole is taken in pieces where that tells in time that the next
            # model should be asked. A whole one costs less, and an immediate model is not late.
            pieces=self.streamed or ((not last or policy.hedge) and not (info is not None and info.immediate)),
            first=first,
            between=policy.stall_seconds,
            whole=whole,
            budget=self.budget,
            began=self.began,
            note=self._note_attempt,
        )

    def _note_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.context.health.note(attempt)
        if self.context.notes is not None:
            self.context.notes.attempted(attempt, self.turn.purpose)

    def _messages(
        self, name: str, info: ModelInfo | None, permit: Permit, start: Start, more: Sequence[Message]
    ) -> list[Message]:
        try:
            if info is not None:
                check_parts(info, self.turn.messages)
        except InvalidRequestError as error:
            permit.release()
            verdict = judge(error, timed_out=False, is_fallback=name != self.asked)
            raise FailedAttemptError(error, verdict, begun=False) from None
        messages = for_model(self.system(name), (*self.turn.messages, *more) if more else self.turn.messages)
        if start == "continued" and not is_first_word(self.delivery.text):
            messages.append({"role": "assistant", "content": self.delivery.text.strip()})
            messages.append({"role": "user", "content": CONTINUE})
        return messages

    async def _enter(self, limit: ProviderLimit, call: ModelCall) -> None:
        try:
            await limit.enter(self.budget.priority, seconds=min(call.first, self.budget.remaining()))
        except BaseException as error:
            call.permit.release()
            if isinstance(error, OverloadedError):
                verdict = judge(error, timed_out=False, is_fallback=call.is_fallback)
                raise FailedAttemptError(error, verdict, begun=False) from None
            raise

    async def _run_hedged(self, call: ModelCall, limit: ProviderLimit, late: float) -> Completion:
        async def run(claim: Claim, second: bool) -> Completion:
            mine = call
            if second:
                room = self._has_calls_left(call.model)
                permit = self.context.health.of(call.model).admit() if room else None
                if permit is None:
                    raise asyncio.CancelledError
                if not limit.try_enter(live=self.budget.priority.live):
                    permit.release()
                    raise asyncio.CancelledError
                mine = replace(call, permit=permit, hedge=True)
            self._count(limit.upstream)
            said = await mine.run(limit, _claiming(claim, self.delivery.add))
            if not claim():
                raise asyncio.CancelledError
            return said

        return await hedged(run, after=late)

    # --- the end -----------------------------------------------------------------------------------------

    def _failure(self) -> Exception:
        """The caller's error: why the answer broke off, else why the first model gave none."""
        if self._broke is not None:
            return self._broke
        if self.budget.remaining() <= 0:
            return deadline_exceeded()
        if self._first is not None:
            return self._first
        return ProviderUnavailableError("no model can be asked now", provider=_provider(self.chain[0]))

    def _window_of(self, name: str) -> int | None:
        given = self.context.policy.context_windows.get(name)
        info = self.context.models.info(name)
        return given if given is not None else info.context_window if info is not None else None


def _jitter(longest: float) -> float:
    """Full jitter: those who failed together do not come back together."""
    return random.uniform(0, longest)  # noqa: S311 - no secret


def _claiming(claim: Claim, say: OnDelta) -> OnDelta:
    def speak(delta: Delta) -> None:
        if not claim():
            raise asyncio.CancelledError
        say(delta)

    return speak


def _provider(name: str) -> str:
    return name.partition(":")[0]
