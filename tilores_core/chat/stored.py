"""Answers, customers and look-ups as they are stored in the cache, and which answers are stored at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tilores_core.cache.codec import decode, encode, mark_json
from tilores_core.cache.tiered import Hit
from tilores_core.contracts import (
    Answer,
    Customer,
    CustomerChoice,
    CustomerOutcome,
    Delta,
    MatchQuality,
    Record,
    Turn,
    Usage,
)

_PIECE = re.compile(r".{1,48}(?:\s+|$)|\s*\S{1,200}\s*", re.DOTALL)


def outcome_to_bytes(outcome: CustomerOutcome) -> bytes:
    """A look-up that found no customer or several."""
    return encode(
        {
            "kind": outcome.kind,
            "choices": [dict(choice.traits) for choice in outcome.choices],
            "distinguished_by": list(outcome.distinguished_by),
            "more": outcome.more,
        }
    )


def outcome_from_bytes(data: bytes) -> CustomerOutcome:
    value = decode(data)
    return CustomerOutcome(
        kind=value["kind"],
        choices=tuple(CustomerChoice(traits=traits) for traits in value["choices"]),
        distinguished_by=tuple(value.get("distinguished_by", ())),
        more=value.get("more", 0),
    )


def customer_to_bytes(customer: Customer) -> bytes:
    """Without the hit score, which is one search's and not the customer's."""
    return encode(
        {
            "id": customer.id,
            "name": customer.name,
            "traits": dict(customer.traits),
            "quality": _quality_to_list(customer.quality),
            "records": [[r.id, r.system, r.updated_at, dict(r.fields)] for r in customer.records],
        }
    )


def customer_from_bytes(data: bytes) -> Customer:
    value = decode(data)
    return Customer(
        id=value["id"],
        name=value["name"],
        traits=value["traits"],
        quality=_quality_from_list(value.get("quality")),
        records=tuple(
            Record(id=record_id, system=system, updated_at=updated_at, fields=fields)
            for record_id, system, updated_at, fields in value["records"]
        ),
    )


def _quality_to_list(quality: MatchQuality | None) -> list[Any] | None:
    return None if quality is None else [quality.consistency, dict(quality.confidence)]


def _quality_from_list(value: list[Any] | None) -> MatchQuality | None:
    return None if value is None else MatchQuality(consistency=value[0], confidence=value[1])


def is_cacheable(turn: Turn, answer: Answer, *, asked_model: str) -> bool:
    """Only complete answers of the model that was asked: no tool calls, nothing cut off or refused, no fallback.

    The caller must know that the model said why it ended: an answer that was cut has no other sign of it.
    """
    return (
        answer.finish_reason == "stop"
        and not answer.tool_calls
        and bool(answer.text)
        and answer.model == asked_model
        and turn.messages[-1]["role"] == "user"
    )


def answer_to_bytes(answer: Answer) -> bytes:
    stored = {
        "text": answer.text,
        "model": answer.model,
        "usage": [answer.usage.input_tokens, answer.usage.output_tokens],
        "prompt_version": answer.prompt_version,
        "customer": [answer.customer.kind, answer.customer.customer_id],
        "spectrum": answer.spectrum,
        "finish_reason": answer.finish_reason,
        "record_fingerprint": answer.record_fingerprint,
        "schema_hash": answer.schema_hash,
        "ungrounded": answer.ungrounded,
    }
    return mark_json(orjson.dumps(stored))  # texts and whole numbers, by their types


def answer_from_hit(hit: Hit, now: float) -> Answer:
    """The stored answer with this hit's tier, age and staleness. It costs nothing; its usage is as first produced."""
    stored = decode(hit.value)
    kind, customer_id = stored["customer"]
    input_tokens, output_tokens = stored["usage"]
    return Answer(
        text=stored["text"],
        model=stored["model"],
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
        cost=0.0,
        cache_tier=hit.tier,
        age=max(0.0, hit.age(now)),
        stale=hit.stale(now),
        prompt_version=stored["prompt_version"],
        customer=CustomerOutcome(kind=kind, customer_id=customer_id),
        spectrum=stored["spectrum"],
        finish_reason=stored["finish_reason"],
        record_fingerprint=stored["record_fingerprint"],
        schema_hash=stored["schema_hash"],
        ungrounded=stored.get("ungrounded", 0),
    )


def pieces_of(answer: Answer) -> Iterator[Delta]:
    """A whole answer in pieces of a few words, white space kept, for a stream."""
    for match in _PIECE.finditer(answer.text):
        yield Delta(text=match.group(), model=answer.model)
    for index, call in enumerate(answer.tool_calls):
        yield Delta(tool_calls=({"index": index, **call},), model=answer.model)
