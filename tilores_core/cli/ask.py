"""`tilores ask`."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.contracts import Answer, Turn

if TYPE_CHECKING:
    from tilores_core.services import Services


def ask(options: Options, question: str, *, customer: str | None, model: str | None, json: bool) -> None:
    """Print the answer; exit code 1 when the customer that was named does not exist."""
    if not question.strip():
        raise typer.BadParameter("it is empty", param_hint="'QUESTION'")
    seconds = 0.0

    async def work(services: Services) -> Answer:
        nonlocal seconds
        started = time.perf_counter()
        turn = Turn(messages=({"role": "user", "content": question},), customer_id=customer, model=model)
        answer = await services.engine.answer(turn)
        seconds = time.perf_counter() - started
        return answer

    answer = options.run(work)
    typer.echo(orjson.dumps(_as_json(answer, seconds)) if json else answer.text)
    if answer.customer.kind == "none":
        raise typer.Exit(1)


def _as_json(answer: Answer, seconds: float) -> dict[str, Any]:
    value = dataclasses.asdict(answer)
    value["latency_ms"] = round(seconds * 1000, 3)
    return value
