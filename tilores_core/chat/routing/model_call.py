"""One call of one model: a place among its provider's calls, a watch over its silence, and a note of how it went."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from tilores_core.chat.models import Models
from tilores_core.chat.routing.budget import Budget, deadline_exceeded
from tilores_core.chat.routing.health import Permit
from tilores_core.chat.routing.joint import CannotJoinError
from tilores_core.chat.routing.limits import ProviderLimit
from tilores_core.chat.routing.verdict import BrokenOffError, SilentModelError, Verdict, judge
from tilores_core.chat.routing.watch import Watch, WatchExpiredError
from tilores_core.contracts import Attempt, CompletionPiece, Delta, Message, Turn
from tilores_core.errors import DeadlineExceededError, error_code
from tilores_core.llm.failures import failure_of
from tilores_core.llm.normalizer import NO_USAGE, Completion, Normalizer
from tilores_core.llm.tool_names import ToolNames

OnDelta = Callable[[Delta], None]

# For what comes behind the end of an answer: the usage, the mark of the stream's end.
_LAST_WORDS_SECONDS = 1.0


class FailedAttemptError(Exception):
    """One attempt to call a model failed.

    `error`: what happened, in our words; `begun`: whether the model had said something by then.
    """

    def __init__(self, error: Exception, verdict: Verdict, *, begun: bool) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.verdict = verdict
        self.begun = begun


class ModelCall(msgspec.Struct, kw_only=True):
    """One call and its limits. `pieces`: take the answer in pieces where the model can. `note` gets what came of it.

    `first`, `between`, `whole`: seconds, as `budget` shares them out. `began`: the turn's start on
    `time.perf_counter()`.
    """

    models: Models
    model: str
    turn: Turn
    messages: Sequence[Message]
    permit: Permit
    is_fallback: bool
    pieces: bool
    first: float
    between: float
    whole: float
    budget: Budget
    began: float
    note: Callable[[Attempt], None]
    hedge: bool = False

    async def run(self, limit: ProviderLimit, on_delta: OnDelta) -> Completion:
        """The whole answer; its pieces go to `on_delta`. The place in `limit` is the caller's to take.

        Raises `FailedAttemptError`; `CannotJoinError` as `on_delta` raises it.
        """
        started = time.perf_counter()
        heard: list[float] = []
        said: Completion | None = None
        error: BaseException | None = None
        called = False
        try:
            # Before the watch begins: importing an SDK may take long, and is not the model's silence.
            messages, parameters = self.messages, self.turn.parameters
            if (names := ToolNames.of(parameters)) is not None:
                messages, parameters = names.write(messages, parameters)
            try:
                pieces, streamed = await self.models.begin(
                    self.model,
                    messages,
                    parameters,
                    stream=self.pieces,
                    seconds=self.budget.remaining(),
                )
            except TimeoutError:
                raise WatchExpiredError("late") from None
            called = True
            answer = self.models.normalizer(self.model, parameters)
            said = await self._listen(
                pieces, streamed, on_delta if names is None else names.reading(on_delta), heard, started, answer
            )
            if names is not None:
                said = names.read(said)
            self.permit.succeeded(heard[0] if heard else None)
            return said
        except CannotJoinError as joining:
            error = joining
            self.permit.release()
            raise
        except Exception as failure:
            mapped, timed_out = self._map_error(failure)
            error = mapped
            offered = self.models.is_offered(self.model)
            verdict = judge(mapped, timed_out=timed_out, is_fallback=self.is_fallback, offered=offered)
            # A key that is missing here, or a request that cannot be built, says nothing of the model.
            if called and (verdict.counts or (isinstance(mapped, DeadlineExceededError) and not heard)):
                self.permit.failed(certain=verdict.certain)
            else:
                self.permit.release()
            raise FailedAttemptError(mapped, verdict, begun=bool(heard)) from failure
        except BaseException as cancelled:
            error = cancelled
            self.permit.release()
            raise
        finally:
            limit.leave()
            self.note(
                Attempt(
                    model=self.model,
                    seconds=time.perf_counter() - started,
                    usage=NO_USAGE if said is None else said.usage,
                    error=None if error is None else error_code(error),
                    started=started - self.began,
                    first_token=heard[0] if heard else None,
                    cost=0.0 if said is None else self.models.cost_of(self.model, said),
                    hedge=self.hedge,
                    served_by=None if said is None else said.served_by,
                )
            )

    async def _listen(
        self,
        pieces: AsyncGenerator[CompletionPiece],
        streamed: bool,
        on_delta: OnDelta,
        heard: list[float],
        started: float,
        answer: Normalizer,
    ) -> Completion:
        watch = Watch(first=self.first if streamed else self.whole, between=self.between, budget=self.budget)
        goes_on = False  # behind an end: some say with every piece that it is the last
        try:
            with watch:
                try:
                    async for piece in pieces:
                        ended = answer.ended
                        delta = answer.add(piece)
                        goes_on = goes_on or (ended and delta is not None)
                        at_work = piece.text or piece.tool_calls or piece.thinking or piece.state
                        if streamed and (at_work or answer.ended):
                            if not heard:
                                heard.append(time.perf_counter() - started)
                            watch.heard()
                            if answer.ended:
                                watch.hurry(self.between if goes_on else min(self.between, _LAST_WORDS_SECONDS))
                        if delta is not None:
                            on_delta(delta)
                finally:
                    await pieces.aclose()
        except CannotJoinError:
            raise
        except Exception:
            if goes_on or not answer.ended:
                raise
            # Only what comes behind the end is missing.
        if (rest := answer.finish()) is not None:
            on_delta(rest)
        self.models.learn(self.model, answer)
        said = answer.completion()
        check_answer(said, self.turn.parameters, provider=self.model.partition(":")[0])
        return said

    def _map_error(self, error: Exception) -> tuple[Exception, bool]:
        provider = self.model.partition(":")[0]
        if isinstance(error, WatchExpiredError):
            if error.reason == "late":
                return deadline_exceeded(), True
            silent = error.reason == "silent"
            what = "does not begin to answer" if silent else "fell silent in the middle of its answer"
            return SilentModelError(f"the model {what}", provider=provider, fix="ask again later"), True
        try:
            return self.models.provider(self.model).map_error(error), failure_of(error).kind == "timeout"
        except Exception as fault:  # a plugin's code
            return fault, False


def check_answer(said: Completion, parameters: Mapping[str, Any], *, provider: str) -> None:
    """Raise `BrokenOffError` for an answer that is not whole, or holds nothing.

    It may be empty when it was refused, or cut by the caller's own limit: another model would say no more.
    """
    if not said.ended:
        raise BrokenOffError("the model's answer broke off", provider=provider)
    if not said.is_empty or said.finish_reason == "content_filter":
        return
    limited = any(parameters.get(name) for name in ("max_tokens", "max_completion_tokens", "stop"))
    if not limited or said.finish_reason not in ("length", "stop"):
        raise BrokenOffError("the model's answer is empty", provider=provider)
