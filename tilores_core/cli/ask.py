"""`tilores ask`."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import typer

from tilores_core.cli.options import CustomerOption, ModelOption, Options
from tilores_core.cli.output import Output


async def ask(
    options: Options,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    customer: CustomerOption = None,
    model: ModelOption = None,
) -> Output:
    """Ask one question."""
    if not question.strip():
        raise typer.BadParameter("it is empty", param_hint="'QUESTION'")

    from tilores_core.contracts import Turn

    async with options.open_services() as services:
        started = time.perf_counter()
        turn = Turn(messages=({"role": "user", "content": question},), customer_id=customer, model=model)
        answer = await services.engine.answer(turn)
        seconds = time.perf_counter() - started
    return Output(
        {**dataclasses.asdict(answer), "latency_ms": round(seconds * 1000, 3)},
        answer.text,
        failed=answer.customer.kind == "none",  # the customer that was named does not exist
    )
