"""Step four of the engine: an answer from the model, when none is stored.

The customer's records, the prompt that fits, the model call, and the guard over what the model said.
"""

from __future__ import annotations

import asyncio
import time

from tilores_core.chat.context.fitting import TokenBudgets
from tilores_core.chat.customer.finder import clarification
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import NO_CUSTOMER, CustomerMatch
from tilores_core.chat.grounding.guard import Guard, Watch
from tilores_core.chat.messages import assistant_texts
from tilores_core.chat.model_router import ModelRouter
from tilores_core.chat.models import Models
from tilores_core.chat.prompts import NONE_FITS, SEVERAL_FIT
from tilores_core.chat.routing.delivery import Emit
from tilores_core.chat.tools.loop import ToolLoop
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, CustomerOutcome, Prompt, Turn
from tilores_core.llm.normalizer import Completion
from tilores_core.settings import ChatTable


class AnswerGenerator:
    """Makes answers with the models that `router` chooses."""

    def __init__(
        self,
        *,
        customers: CustomerLookup,
        models: Models,
        router: ModelRouter,
        fitting: TokenBudgets,
        guard: Guard,
        chat: ChatTable,
    ) -> None:
        self._customers = customers
        self._models = models
        self._router = router
        self._fitting = fitting
        self._guard = guard
        self._without_customer = chat.without_customer
        self._prompts: dict[str, tuple[Prompt, Prompt]] = {}  # by spectrum, of which there are a few
        self._tool_loop: ToolLoop | None = None
        if chat.mode == "tools":
            self._tool_loop = ToolLoop(customers=customers, models=models, router=router, fitting=fitting, chat=chat)

    def cache_key_part(self, model: str) -> str:
        """The model, with the settings that decide what it is given of a customer and what becomes of its text."""
        tools = "" if self._tool_loop is None else self._tool_loop.cache_key_part(model)
        return f"{model} {self._fitting.cache_key_part(model)} {self._guard.mode == 'block'}{tools}"

    def ask_back(self, context: TurnContext, match: CustomerMatch) -> Answer:
        """Ask which customer is meant, or say that none fits: without a model, so that nothing can leak into it."""
        return Answer(
            text=clarification(match.outcome, assistant_texts(context.turn.messages)),
            model=context.model,
            cost=0.0,
            prompt_version=context.prompt.version,
            customer=match.outcome,
            spectrum=context.spectrum,
            schema_hash=self._customers.schema_hash,
        )

    def answers_unclear(self, turn: Turn) -> bool:
        """Whether the model is called when the customer of a turn is not found (`[chat] without_customer`)."""
        setting = self._without_customer
        return setting == "model" or (setting == "agents" and bool(turn.parameters.get("tools")))

    async def generate(self, context: TurnContext, emit: Emit | None) -> tuple[Answer, bool]:
        """The answer, in pieces through `emit` too, and whether it is complete and rests on `context.match` alone, so
        that it may be stored. Updates `context.match` when the records have changed.

        Raises `SourceError`, `ProviderError`.
        """
        turn, match, spectrum = context.turn, context.match or NO_CUSTOMER, context.spectrum
        context.prompt = self._with_guidance(context.prompt, spectrum)  # only here: a hit needs no spectrum
        quiet = turn.purpose in ("evaluation", "improvement")  # a run says at its end how many
        watch = self._guard.watch(turn.messages, context.prompt, quiet=quiet)
        if match.outcome.kind == "one":
            match = context.match = await self._customers.load_records(match, keep=not turn.cache.no_store)
            if self._customers.names_another(turn, match):
                match = context.match = CustomerMatch(outcome=CustomerOutcome(kind="none"))
        if match.unclear and not self.answers_unclear(turn):  # the customer is gone
            return self.ask_back(context, match), False
        if match.records is not None:
            context.customer = match.records.customer
            if watch is not None:
                watch.about(match.records.customer, known=match.fingerprint, text=match.records.text)
            if not context.budget.priority.live:
                await asyncio.sleep(0)  # the next step computes, too: let live requests run first
        out = emit if emit is None or watch is None else watch.through(emit)
        asked = time.perf_counter()
        if self._tool_loop is not None and self._tool_loop.suits(context.model) and not match.unclear:
            result = await self._tool_loop.run(context, watch, out)
            context.timings["model"] = time.perf_counter() - asked - result.seconds
            context.timings["tools"] = result.seconds
            context.customer = result.customer
            answer = self._finish(context, result.match, result.model, result.said, result.cost, watch, emit)
            return answer, result.reusable and result.said.finish_reason is not None
        text, tokens = match.records_text, 0 if match.records is None else match.records.tokens
        if match.outcome.kind == "none":
            text = NONE_FITS
        elif match.outcome.kind == "several":
            question = clarification(match.outcome, assistant_texts(turn.messages))
            text = SEVERAL_FIT.format(question=question)
            if watch is not None:
                watch.heard(question)
        name, said = await self._router.ask(
            turn,
            context.model,
            self._fitting.system(turn, context.prompt, text, tokens, spectrum),
            out,
            context.attempts,
            began=context.started,
            budget=context.budget,
            asked_model=context.asked_model,
            spectrum=spectrum,
        )
        context.timings["model"] = time.perf_counter() - asked
        cost = self._models.cost_of(name, said)
        reusable = said.finish_reason is not None and not match.unclear
        return self._finish(context, match, name, said, cost, watch, emit), reusable

    def _with_guidance(self, prompt: Prompt, spectrum: str) -> Prompt:
        """`prompt.for_spectrum(spectrum)`, made once while the prompt stays the same."""
        made = self._prompts.get(spectrum)
        if made is None or made[0] is not prompt:
            made = self._prompts[spectrum] = (prompt, prompt.for_spectrum(spectrum))
        return made[1]

    def _finish(
        self,
        context: TurnContext,
        match: CustomerMatch,
        model: str,
        said: Completion,
        cost: float | None,
        watch: Watch | None,
        emit: Emit | None,
    ) -> Answer:
        """The answer as it goes out, after the guard."""
        text, finish_reason, ungrounded = said.text, said.finish_reason or "stop", 0
        if watch is not None:
            text, finish_reason, ungrounded = watch.finish(text, finish_reason, emit)
        blocked = watch is not None and watch.blocked
        return Answer(
            text=text,
            model=model,
            usage=said.usage,
            cost=cost,
            stale=match.overdue,
            prompt_version=context.prompt.version,
            customer=match.outcome,
            spectrum=context.spectrum,
            finish_reason=finish_reason,
            tool_calls=() if blocked else said.tool_calls,
            state=None if blocked else said.state or None,
            record_fingerprint=match.fingerprint,
            schema_hash=self._customers.schema_hash,
            ungrounded=ungrounded,
        )
