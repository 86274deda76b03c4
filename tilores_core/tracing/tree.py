"""A turn as a tree of spans: the request; in it the look-up, the prompt, each call of a model, tools, the answer.

An answer from the cache has the look-up alone: each span costs as much again as the answer did.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from tilores_core.chat.customer.words import GIVEN_NAMES
from tilores_core.contracts import Answer, Attempt, Outcome, Span, ToolUse, Trace, Turn
from tilores_core.errors import TiloresError
from tilores_core.tracing.capture import CapturedTrace

Attributes = dict[str, str | int | float | bool]
Resolve = Callable[[str | None], str]
Shown = Callable[[str], str]

_INSTANT = 2e-6  # so that steps without a length of their own keep their order, in whole microseconds
_LONGEST_NAME = 100

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SHAPE = re.compile(r"[A-Za-z0-9._:/=\-]{1,128}")
_LETTERS = re.compile(r"[a-z]+")
_HEX = re.compile(r"[0-9a-f]{12,}", re.IGNORECASE)
_OURS = re.compile(r"req-[0-9a-f]{12}-[0-9a-f]+")
_LONGEST_WORD: Final = 7
_MOST_DIGITS: Final = 6
_DIGEST: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeMaker:
    """Builds the trace of a turn from its outcome.

    `resolve`: the full name of the model that a turn asks for. `shown`: a full name as a trace may hold it, where
    no model answered to it. `deployment`: metadata of every trace. `scores`: what is known of the answer of a run.
    """

    resolve: Resolve
    shown: Shown
    deployment: Mapping[str, str]
    full: bool
    scores: Callable[[str], Mapping[str, float]] = lambda _: {}

    def trace(self, outcome: Outcome, captured: CapturedTrace) -> Trace:
        turn, answer = outcome.turn, outcome.answer
        asked = outcome.model or self._asked_model(turn)
        model = answer.model if answer is not None else (outcome.attempts[-1].model if outcome.attempts else asked)
        model = self._label(model, answer)
        shared = is_coalesced(outcome)
        root = self._root(outcome, captured, model, asked, shared=shared)
        return Trace(
            id=turn.run_id or str(uuid.uuid4()),
            root=root,
            session_id=turn.session_id if self.full or not turn.session_id else plain_id(turn.session_id),
            tags=_tags(outcome, model, shared=shared),
            metadata=self._metadata(turn),
            traceparent=turn.traceparent,
        )

    def _asked_model(self, turn: Turn) -> str:
        try:
            return self.resolve(turn.model)
        except TiloresError:
            return ""  # an unknown name may be any text

    def _label(self, model: str, answer: Answer | None) -> str:
        """Callers may ask for any name; the one that answered is a model's."""
        answered = answer is not None and answer.model == model
        return model if answered or self.full or not model else self.shown(model)

    def _metadata(self, turn: Turn) -> Attributes:
        metadata: Attributes = {"key": turn.caller.name, "purpose": turn.purpose}
        if turn.request_id:
            metadata["request_id"] = turn.request_id if self.full else plain_id(turn.request_id)
        return {**metadata, **self.deployment}

    def _root(self, outcome: Outcome, captured: CapturedTrace, model: str, asked: str, *, shared: bool) -> Span:
        began, answer = outcome.started_at, outcome.answer
        ended = began + max(outcome.timings.get("total", 0.0), 0.0)
        attributes = _present(
            purpose=outcome.turn.purpose,
            model=model or None,
            provider=model.partition(":")[0] or None,
            first_token=outcome.timings.get("first_token"),
            coalesced=shared or None,
            cut=captured.cut or None,
            withheld=captured.withheld or None,
        )
        if answer is not None:
            attributes |= {"spectrum": answer.spectrum, "prompt_version": answer.prompt_version}
            attributes |= _answer_attributes(answer)
            attributes |= {f"score_{name}": value for name, value in self.scores(outcome.turn.run_id).items()}
        if not shared:
            attributes |= _paid(outcome)
        return Span(
            kind="request",
            name="chat",
            started=began,
            ended=ended,
            attributes=attributes,
            inputs=captured.inputs,
            outputs=captured.outputs,
            error=outcome.error,
            children=tuple(self._steps(outcome, captured, asked, ended)),
        )

    def _steps(self, outcome: Outcome, captured: CapturedTrace, asked: str, ended: float) -> list[Span]:
        began, answer, timings = outcome.started_at, outcome.answer, outcome.timings
        steps: list[Span] = []
        found = began
        if (looked := timings.get("customer")) is not None:
            found = began + looked
            steps.append(_look_up(outcome, captured, began, found))
        if answer is not None and answer.cache_tier != "miss":
            return steps  # no model was asked; the root has what is known of the answer
        version = answer.prompt_version if answer is not None else ""
        if version:
            at = min(found + _INSTANT, ended)
            steps.append(
                Span(kind="prompt", name="prompt", started=at, ended=at, attributes={"prompt_version": version})
            )
        attempts = sorted(outcome.attempts, key=lambda attempt: attempt.started)
        steps += [
            _attempt(one, self._label(one.model, answer), place, began, ended, asked)
            for place, one in enumerate(attempts)
        ]
        steps += [_tool_use(use, began, ended) for use in outcome.tools]
        said = max([found + 2 * _INSTANT, *(step.ended for step in steps if step.kind in ("model", "tool"))])
        said = min(said, ended)
        if answer is not None:
            steps += _tools(outcome, answer, captured, said)
            steps.append(_answer(answer, captured, said, ended))
        return steps


def is_coalesced(outcome: Outcome) -> bool:
    """Whether the answer came from the model call of another turn."""
    answer = outcome.answer
    return (
        answer is not None
        and answer.cache_tier == "miss"
        and not outcome.attempts
        and answer.customer.kind in ("unnamed", "one")
    )


def _tags(outcome: Outcome, model: str, *, shared: bool) -> tuple[str, ...]:
    answer = outcome.answer
    named = {
        "provider": model.partition(":")[0] or None,
        "model": model or None,
        "spectrum": answer.spectrum if answer is not None else None,
        "cache": answer.cache_tier if answer is not None else None,
        "arm": None if outcome.arm is None else f"{outcome.arm.name}/{outcome.arm.arm}",
        "purpose": outcome.turn.purpose,
        "coalesced": "true" if shared else None,
        "error": outcome.error,
    }
    return tuple(f"{name}:{value}" for name, value in named.items() if value is not None)


def _present(**values: str | int | float | bool | None) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}


def _paid(outcome: Outcome) -> Attributes:
    """What the turn's own calls took and cost together."""
    attempts = outcome.attempts
    costs = [one.cost for one in attempts if one.cost is not None]
    return _present(
        input_tokens=sum(one.usage.input_tokens for one in attempts),
        output_tokens=sum(one.usage.output_tokens for one in attempts),
        cost=sum(costs) if len(costs) == len(attempts) else None,
    )


def _look_up(outcome: Outcome, captured: CapturedTrace, began: float, found: float) -> Span:
    answer, customer = outcome.answer, outcome.customer
    kind = answer.customer.kind if answer is not None else None if customer is None else "one"
    attributes = _present(
        cache_tier=outcome.customer_tier,
        outcome=kind,
        matches=len(answer.customer.choices) if answer is not None and kind == "several" else None,
        records=len(customer.records) if customer is not None else outcome.customer_records,
    )
    return Span(
        kind="customer",
        name="customer look-up",
        started=began,
        ended=found,
        attributes=attributes,
        outputs=captured.records,
    )


def _attempt(attempt: Attempt, model: str, place: int, began: float, ended: float, asked: str) -> Span:
    started = began + attempt.started
    attributes = _present(
        model=model,
        provider=model.partition(":")[0],
        attempt=place + 1,
        input_tokens=attempt.usage.input_tokens,
        output_tokens=attempt.usage.output_tokens,
        fallback=bool(asked) and attempt.model != asked,
        hedge=attempt.hedge,
        cost=attempt.cost,
        first_token=attempt.first_token,
    )
    return Span(
        kind="model",
        name=model,
        started=started,
        ended=max(started, min(started + attempt.seconds, ended) if ended > started else started),
        attributes=attributes,
        error=attempt.error,
    )


def _tool_use(use: ToolUse, began: float, ended: float) -> Span:
    """A tool of this server that the model had run."""
    started = min(began + use.started, ended)
    return Span(
        kind="tool",
        name=use.name[:_LONGEST_NAME],
        started=started,
        ended=max(started, min(started + use.seconds, ended)),
        attributes={"run_by": "server"},
        error=use.error,
    )


def _tools(outcome: Outcome, answer: Answer, captured: CapturedTrace, at: float) -> list[Span]:
    """Tools that the model wants run; the caller runs them. Names are the caller's own, or none."""
    offered = set()
    tools = outcome.turn.parameters.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping):
            offered.add(function.get("name"))
    sent = captured.outputs.get("tool_calls", []) if isinstance(captured.outputs, Mapping) else []
    spans = []
    for place, call in enumerate(answer.tool_calls):
        name = call.get("function", {}).get("name")
        inputs: Any = None
        if place < len(sent):
            inputs = {"arguments": sent[place].get("function", {}).get("arguments")}
        spans.append(
            Span(
                kind="tool",
                name=str(name)[:_LONGEST_NAME] if name in offered else "tool",
                started=at,
                ended=at,
                attributes={"run_by": "caller"},
                inputs=inputs,
            )
        )
    return spans


def _answer_attributes(answer: Answer) -> Attributes:
    return {
        "cache_tier": answer.cache_tier,
        "age": answer.age,
        "stale": answer.stale,
        "finish_reason": answer.finish_reason,
        "ungrounded": answer.ungrounded,
    }


def _answer(answer: Answer, captured: CapturedTrace, said: float, ended: float) -> Span:
    return Span(
        kind="answer",
        name="answer",
        started=said,
        ended=max(said, ended),
        attributes=_answer_attributes(answer),
        outputs=captured.outputs,
    )


def plain_id(text: str) -> str:
    """A name that a caller chose (a session, a request), in a form that can leave the process.

    A caller may name a session after a customer or a telephone number. So what is not a UUID, hexadecimal, or short
    words with a number (`session-42`) becomes a digest, which still joins what belongs together.
    """
    return text if _is_made_up(text) else f"sha256-{sha256(text.encode()).hexdigest()[:_DIGEST]}"


def _is_made_up(text: str) -> bool:
    if _UUID.fullmatch(text) or _OURS.fullmatch(text) or (_HEX.fullmatch(text) and not text.isdigit()):
        return True
    if not _SHAPE.fullmatch(text) or not any(character.isdigit() for character in text):
        return False
    digits = sum(character.isdigit() for character in text)
    words = _LETTERS.findall(text.lower())
    return digits <= _MOST_DIGITS and all(len(word) <= _LONGEST_WORD and word not in GIVEN_NAMES for word in words)
