"""`tilores ask`."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli.options import CustomerOption, JsonOption, ModelOption, get_options
from tilores_core.cli.output import emit

if TYPE_CHECKING:
    from tilores_core.contracts import Answer
    from tilores_core.services import Services


def ask(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    customer: CustomerOption = None,
    model: ModelOption = None,
    json: JsonOption = False,
) -> None:
    """Ask one question."""
    if not question.strip():
        raise typer.BadParameter("it is empty", param_hint="'QUESTION'")

    async def work(services: Services) -> tuple[Answer, float]:
        from tilores_core.contracts import Turn

        started = time.perf_counter()
        turn = Turn(messages=({"role": "user", "content": question},), customer_id=customer, model=model)
        return await services.engine.answer(turn), time.perf_counter() - started

    answer, seconds = get_options(ctx).run(work)
    emit({**dataclasses.asdict(answer), "latency_ms": round(seconds * 1000, 3)}, answer.text, as_json=json)
    if answer.customer.kind == "none":  # the customer that was named does not exist
        raise typer.Exit(1)
