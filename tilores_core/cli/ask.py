"""`tilores ask` and `tilores chat`."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.contracts import Answer, Delta, Message, Turn
from tilores_core.errors import TiloresError

if TYPE_CHECKING:
    from tilores_core.app import Services


def ask(options: Options, question: str, *, customer: str | None, model: str | None, json: bool) -> None:
    """Print the answer; exit code 1 when the customer that was named does not exist."""

    async def work(services: Services) -> Answer:
        return await services.engine.answer(_turn(services, [{"role": "user", "content": question}], customer, model))

    started = time.perf_counter()
    answer = options.run(work)
    if json:
        sys.stdout.buffer.write(orjson.dumps(_as_json(answer, time.perf_counter() - started)) + b"\n")
    else:
        typer.echo(answer.text)
    if answer.customer.kind == "none":
        raise typer.Exit(1)


def chat(options: Options, *, customer: str | None, model: str | None) -> None:
    """Read questions, print the answers as they come; the conversation so far goes with each question."""
    interactive = sys.stdin.isatty()

    async def work(services: Services) -> None:
        if interactive:
            typer.echo(f"model {services.engine.models.resolve(model)}; an empty line ends", err=True)
        messages: list[Message] = []
        while question := await asyncio.to_thread(_read, interactive):
            messages.append({"role": "user", "content": question})
            try:
                text = await _print_stream(services, _turn(services, messages, customer, model))
            except TiloresError as error:
                messages.pop()
                typer.echo(f"error: {error}", err=True)
                continue
            messages.append({"role": "assistant", "content": text})

    options.run(work)


async def _print_stream(services: Services, turn: Turn) -> str:
    text = ""
    async for item in services.engine.stream(turn):
        if isinstance(item, Delta):
            typer.echo(item.text, nl=False)
            sys.stdout.flush()
        else:
            text = item.text
    typer.echo()
    return text


def _read(interactive: bool) -> str:
    if interactive:
        import readline  # noqa: F401  # gives input() editing and history

    try:
        return input("> " if interactive else "").strip()
    except EOFError:
        return ""


def _turn(services: Services, messages: list[Message], customer: str | None, model: str | None) -> Turn:
    return Turn(messages=tuple(messages), customer_id=customer, model=model)


def _as_json(answer: Answer, seconds: float) -> dict[str, Any]:
    value = dataclasses.asdict(answer)
    value["latency_ms"] = round(seconds * 1000, 3)
    return value
