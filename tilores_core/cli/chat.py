"""`tilores chat` and `tilores ask`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tilores_core.cli.options import CustomerOption, ModelOption, Options
from tilores_core.cli.output import Output, report
from tilores_core.errors import TiloresError

if TYPE_CHECKING:
    from tilores_core.contracts import Answer, Message, Turn
    from tilores_core.services import Services

_PROMPT = "> "
_ENDS = ("", "exit", "quit")


def chat(options: Options, customer: CustomerOption = None, model: ModelOption = None) -> None:
    """Talk, with the conversation remembered.

    On a terminal an empty line, "exit" or Ctrl-D ends it. Otherwise each line of standard input is a question; an
    error does not end it, and exit code 1 says that one of them failed.
    """
    from tilores_core.contracts import Turn
    from tilores_core.loop_thread import EventLoopThread

    interactive = sys.stdin.isatty()
    failed = False
    with EventLoopThread(options.open_services(options.host())) as session:
        services = session.opened
        limits = services.host.config.chat
        chosen = services.engine.models.resolve(model)
        if interactive:
            typer.echo(f"model {chosen}; an empty line, 'exit' or Ctrl-D ends", err=True)
        messages: list[Message] = []
        for question in _read_terminal() if interactive else _read_pipe(limits.max_characters):
            messages.append({"role": "user", "content": question})
            del messages[: -limits.max_messages]
            try:
                if len(question) > limits.max_characters:
                    raise TiloresError(
                        f"the question is longer than {limits.max_characters} characters", fix="shorten it"
                    )
                turn = Turn(messages=tuple(messages), customer_id=customer, model=chosen)
                answer = session.run(_print_stream(services, turn))
            except BrokenPipeError:
                raise
            except Exception as error:
                messages.pop()
                failed = True
                report(error)
            else:
                messages.append({"role": "assistant", "content": answer.text})
    if failed and not interactive:
        raise typer.Exit(1)


async def _print_stream(services: Services, turn: Turn) -> Answer:
    from tilores_core.contracts import Answer

    begun = False
    try:
        async with aclosing(services.engine.stream(turn)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    return item
                typer.echo(item.text, nl=False)
                begun = begun or bool(item.text)
    finally:
        if begun:
            typer.echo()
    raise RuntimeError("the stream ended without an answer")


def _read_terminal() -> Iterator[str]:
    """Lines from a terminal, with editing and history."""
    import readline  # noqa: F401  # input() uses it

    while True:
        try:
            if sys.stdout.isatty():
                line = input(_PROMPT)
            else:  # the answers go to a file: keep the prompt out of it
                typer.echo(_PROMPT, nl=False, err=True)
                line = sys.stdin.readline()
        except EOFError:
            typer.echo(err=True)  # the shell's prompt begins on a line of its own
            return
        except KeyboardInterrupt:
            typer.echo(err=True)
            raise
        if line.strip().lower() in _ENDS:
            return
        yield line.strip()


def _read_pipe(longest: int) -> Iterator[str]:
    """The lines of standard input but empty ones; of one longer than `longest` a little more than that."""
    while line := sys.stdin.readline(longest + 2):
        rest = line
        while rest and not rest.endswith("\n"):
            rest = sys.stdin.readline(longest + 2)
        if line.strip():
            yield line.strip()


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
        {**msgspec.to_builtins(answer), "latency_ms": round(seconds * 1000, 3)},
        answer.text,
        failed=answer.customer.kind == "none",  # the customer that was named does not exist
    )
