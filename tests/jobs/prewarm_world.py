"""What the tests of pre-warming share: a plan, and the engine's world around it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.chat.engine_world import PRICED, World, table
from tilores_core.identity import Locale
from tilores_core.jobs.prewarm.plan import RequestDecoders, WarmPlan, parse_plan
from tilores_core.jobs.prewarm.service import Prewarming
from tilores_core.settings import Config
from tilores_core.testing import FakeProvider
from tilores_core.web.openai.decode import decode_messages, decode_parameters

DECODERS = RequestDecoders(messages=decode_messages, parameters=decode_parameters, locale=Locale("GB"))
QUESTION = "What is the credit score?"


def talking(**more: Any) -> World:
    """A world whose model has an answer to everything."""
    return World(provider=FakeProvider(infos=(PRICED,), otherwise="It is seven hundred."), **more)


def plan(**value: Any) -> WarmPlan:
    return parse_plan(json.loads(json.dumps(value)), where="plan.json", decoders=DECODERS)


def one_list(*customers: dict[str, str], questions: tuple[Any, ...] = (QUESTION,), **more: Any) -> WarmPlan:
    return plan(lists=[{"name": "vip", "customers": list(customers), "questions": list(questions), **more}])


@asynccontextmanager
async def warming(
    world: World, of: WarmPlan, *, life: dict[str, Any] | None = None, **chat: Any
) -> AsyncIterator[Prewarming]:
    service = Prewarming(
        engine=world.engine,
        cache=world.cache,
        source=world.crm,
        config=Config.model_validate(
            {"use": {"source": "crm"}, "cache": {"jitter": 0.0, **(life or {})}, "chat": chat}
        ),
        decoders=DECODERS,
        plan=of,
    )
    try:
        yield service
    finally:
        await service.aclose()


__all__ = ["DECODERS", "QUESTION", "World", "one_list", "plan", "table", "talking", "warming"]
