"""One call of one model: a place among its provider's calls, a watch over its silence, and a note of how it went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilores_core.chat.codes import error_code
from tilores_core.chat.langchain_adapter import NO_USAGE, Completion, Gathered, can_stream, invoke, stream
from tilores_core.chat.models import Models
from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.routing.delivery import CannotJoinError
from tilores_core.chat.routing.health import Permit
from tilores_core.chat.routing.limits import ProviderLimit
from tilores_core.chat.routing.verdict import BrokenOffError, SilentModelError, Verdict, judge
from tilores_core.chat.routing.watch import Watch, WatchExpiredError
from tilores_core.contracts import Attempt, Delta, Turn
from tilores_core.errors import DeadlineExceededError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

OnDelta = Callable[[Delta], None]

# For what comes behind the end of an answer: the usage, the mark of the stream's end.
_LAST_WORDS_SECONDS = 1.0


class FailedAttemptError(Exception):
    """`error`: what happened, in our words; `begun`: whether the model had said something by then."""

    def __init__(self, error: Exception, verdict: Verdict, *, begun: bool) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.verdict = verdict
        self.begun = begun


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each call, and that triples its price
class CallSpec:
    """What one call is to do. `pieces`: take the answer in pieces where the model can.

    `first`, `between`, `whole`: seconds, as `budget` shares them out.
    """

    model: str
    turn: Turn
    prompt: list[BaseMessage]
    permit: Permit
    is_fallback: bool
    pieces: bool
    first: float
    between: float
    whole: float
    budget: Budget
    hedge: bool = False


class ModelCall:
    """Makes one turn's calls and notes each in `attempts`. `began`: the turn's start on `time.perf_counter()`."""

    def __init__(
        self,
        models: Models,
        attempts: list[Attempt],
        began: float,
        note: Callable[[Attempt], None] = lambda attempt: None,
    ) -> None:
        """`note` is told of each call as well."""
        self._models = models
        self._attempts = attempts
        self._began = began
        self._note = note

    async def make(self, spec: CallSpec, limit: ProviderLimit, say: OnDelta) -> Completion:
        """What the model said, whole; its pieces go to `say`. The place in `limit` is the caller's to take.

        Raises `FailedAttemptError`; `CannotJoinError` as `say` raises it.
        """
        started = time.perf_counter()
        heard: list[float] = []
        said: Completion | None = None
        error: BaseException | None = None
        called = False
        try:
            chat_model = await self._chat_model(spec)
            called = True
            said = await self._listen(spec, chat_model, say, heard, started)
            spec.permit.succeeded(heard[0] if heard else None)
            return said
        except CannotJoinError as joining:
            error = joining
            spec.permit.release()
            raise
        except Exception as failure:
            mapped, timed_out = self._mapped(spec, failure)
            error = mapped
            verdict = judge(mapped, timed_out=timed_out, is_fallback=spec.is_fallback)
            # A key that is missing here says nothing of the model: nobody asked it.
            if called and (verdict.counts or (isinstance(mapped, DeadlineExceededError) and not heard)):
                spec.permit.failed(certain=verdict.certain)
            else:
                spec.permit.release()
            raise FailedAttemptError(mapped, verdict, begun=bool(heard)) from failure
        except BaseException as cancelled:
            error = cancelled
            spec.permit.release()
            raise
        finally:
            limit.leave()
            usage = NO_USAGE if said is None else said.usage
            attempt = Attempt(
                model=spec.model,
                seconds=time.perf_counter() - started,
                usage=usage,
                error=None if error is None else error_code(error),
                started=started - self._began,
                first_token=heard[0] if heard else None,
                cost=0.0 if said is None else self._models.cost(spec.model, usage),
                hedge=spec.hedge,
            )
            self._attempts.append(attempt)
            self._note(attempt)

    async def _listen(
        self, spec: CallSpec, chat_model: BaseChatModel, say: OnDelta, heard: list[float], started: float
    ) -> Completion:
        watch = Watch(first=spec.first if spec.pieces else spec.whole, between=spec.between, budget=spec.budget)
        gathered = Gathered()

        def alive() -> None:
            if not heard:
                heard.append(time.perf_counter() - started)
            watch.heard()
            if gathered.ended:
                watch.hurry(_LAST_WORDS_SECONDS)

        try:
            with watch:
                if spec.pieces and can_stream(chat_model):
                    said = await _in_pieces(chat_model, spec.prompt, say, gathered, alive)
                else:
                    if spec.pieces:  # which this model does not have
                        watch.wait(spec.whole)
                    said = await invoke(chat_model, spec.prompt)
        except CannotJoinError:
            raise
        except Exception:
            if not gathered.ended:
                raise
            said = gathered.completion()  # only what comes behind the end is missing
        if not said.ended:
            raise BrokenOffError("the model's answer broke off", provider=spec.model.partition(":")[0])
        return said

    async def _chat_model(self, spec: CallSpec) -> BaseChatModel:
        """Made before the watch begins: importing an SDK may take long, and is not the model's silence."""
        made = self._models.kept(spec.model, spec.turn.parameters)
        if made is not None:
            return made
        try:
            async with asyncio.timeout(spec.budget.left()):
                return await self._models.chat_model(spec.model, spec.turn.parameters)
        except TimeoutError:
            raise WatchExpiredError("late") from None

    def _mapped(self, spec: CallSpec, error: Exception) -> tuple[Exception, bool]:
        provider = spec.model.partition(":")[0]
        if isinstance(error, WatchExpiredError):
            if error.reason == "late":
                return DeadlineExceededError("no whole answer in time", fix="ask for less, or again"), True
            silent = error.reason == "silent"
            what = "does not begin to answer" if silent else "fell silent in the middle of its answer"
            return SilentModelError(f"the model {what}", provider=provider, fix="ask again later"), True
        try:
            return self._models.provider(spec.model).map_error(error), _timed_out(error)
        except Exception as fault:  # a plugin's code
            return fault, False


async def _in_pieces(
    chat_model: BaseChatModel, prompt: list[BaseMessage], say: OnDelta, gathered: Gathered, alive: Callable[[], None]
) -> Completion:
    async with aclosing(stream(chat_model, prompt, gathered=gathered, alive=alive)) as items:
        async for item in items:
            if isinstance(item, Completion):
                return item
            say(item)
    raise RuntimeError("a stream ended without its completion")


def _timed_out(error: BaseException) -> bool:
    from tilores_core.llm.failures import failure_of

    return failure_of(error).kind == "timeout"
