"""`tilores improve …`: improvement cycles, and what healing did. `tilores learning …`: what cycles have learned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from tilores_core.cli.options import (
    Commands,
    DryRunOption,
    JsonOption,
    LimitOption,
    MaxCallsOption,
    Options,
    ReasonOption,
    SpectrumsOption,
    get_user,
)
from tilores_core.cli.output import Output, columns, show_progress, split_names
from tilores_core.errors import InvalidRequestError, UnknownModelError
from tilores_core.files import MEBIBYTE, read_bytes, write_file

if TYPE_CHECKING:
    from tilores_core.improve.learning import LearningAccumulator
    from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
    from tilores_core.store.lazy import LazyStore

app = Commands("improve", "Improvement cycles: run, looked at, reported.")
learning = Commands("learning", "What improvement cycles have learned.")

CycleArgument = Annotated[str, typer.Argument(metavar="CYCLE", help="Id of a cycle, or last.")]
_MOST: Final = 20
_EMPTY = "-"
_WIDEST: Final = 100
_MOST_BYTES: Final = 64 * MEBIBYTE
_NO_CYCLE = "There was no improvement cycle yet."


@app.command()
async def run(
    options: Options,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Optimizer strategy, or auto; default: [use] optimizer.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="MODELS", help="Full names, by commas; default: [improve] models.")
    ] = None,
    spectrums: SpectrumsOption = None,
    prompt: Annotated[
        str, typer.Option(metavar="VERSION", help="The version to improve: number or label.")
    ] = "production",
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of questions and draws; default: another one for each cycle.")
    ] = None,
    max_calls: MaxCallsOption = None,
    propose: Annotated[bool, typer.Option("--propose", help="Never deploy: make a version at most.")] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> Output:
    """Run one cycle, or go on with an interrupted one.

    Nothing is asked twice. Exit code 0 also when nothing was found: that is a result.
    """
    from tilores_core.cli.evaluate import say_flagged
    from tilores_core.improve.report import as_markdown, cycle_row
    from tilores_core.worker.improving import build_cycles, build_request

    async with options.open_services() as services:
        try:
            request = await build_request(
                services,
                strategy=strategy,
                models=split_names(models),
                spectrums=split_names(spectrums),
                version=prompt,
                seed=seed,
                max_calls=max_calls,
                automatic=False if propose else None,
            )
        except UnknownModelError as error:
            raise typer.BadParameter(f"{error.message}; {error.fix}", param_hint="--models") from None
        cycles = build_cycles(services)
        if dry_run:
            estimate = await cycles.estimate(request)
            return Output(estimate, _format_estimate(estimate))
        for one in await (await services.store.get()).improvement.recent(limit=1, state="running"):
            typer.echo(f"Going on with cycle {one.id} as it was begun; run again for what you ask for now", err=True)
        with show_progress(6, lambda done, phase: typer.echo(f"{done + 1}/6 {phase}", err=True), quiet=json) as show:
            try:
                done = await cycles.run(request, progress=lambda phase, number: show(number, phase))
            except asyncio.CancelledError:
                typer.echo("Interrupted. What was finished is kept; go on with: tilores improve run", err=True)
                raise
        say_flagged(services)
    assert done is not None  # a cycle was asked for
    return Output({**cycle_row(done), "phases": dict(done.phases)}, as_markdown(done).rstrip())


@app.command()
async def status(options: Options) -> Output:
    """Show the current or last cycle, and what holds the next."""
    from dataclasses import asdict

    from tilores_core.improve.report import list_cycles

    async with _open_orchestrator(options) as (orchestrator, store):
        situation = asdict(await orchestrator.look())
        rows = await list_cycles(store, 1)
        verifying = await (await store.get()).healing.recent(state="verifying")
    found = {
        "cycle": rows[0] if rows else None,
        "triggered": orchestrator.triggered,
        **situation,
        "verifying": [episode.id for episode in verifying],
    }
    lines = [_table([found["cycle"]]) if found["cycle"] else _NO_CYCLE]
    if found["breached"]:
        due = ", ".join(found["due"]) or "none"
        lines.append(f"Quality is breached in {', '.join(found['breached'])}; due now: {due}.")
    if found["cycle"] and found["cycle"]["state"] == "interrupted":
        lines.append("Go on with it: tilores improve run")
    lines += [f"Held: {reason}" for reason in found["held"]]
    if not found["triggered"]:
        lines.append("No cycle begins by itself: [improve] triggered is off.")
    if found["verifying"]:
        lines.append(f"Healing verifies {len(found['verifying'])} episodes: tilores improve episodes")
    return Output(found, *lines)


@app.command()
async def pause(options: Options, reason: ReasonOption) -> None:
    """Let no cycle begin by itself. One that runs goes on to its end."""
    async with _open_orchestrator(options) as (orchestrator, _):
        await orchestrator.pause(actor=get_user(), reason=reason)
    typer.echo("No cycle is triggered until: tilores improve resume")


@app.command()
async def resume(options: Options, reason: ReasonOption) -> None:
    """End a pause."""
    async with _open_orchestrator(options) as (orchestrator, _):
        await orchestrator.resume(actor=get_user(), reason=reason)
    typer.echo("Cycles may be triggered again.")


@app.command()
async def history(options: Options, limit: LimitOption = _MOST) -> Output:
    """List cycles with their outcome, gain and cost."""
    from tilores_core.improve.report import list_cycles

    async with options.open_store() as store:
        rows = await list_cycles(store, limit)
    return Output(rows, _table(rows) if rows else _NO_CYCLE)


@app.command()
async def episodes(options: Options, limit: LimitOption = _MOST) -> Output:
    """List what healing has found and done, and whether it helped."""
    from tilores_core.improve.report import list_episodes

    async with options.open_store() as store:
        found = await list_episodes(store, limit)
    heads = ("began", "state", "diagnosis", "about", "done", "result")
    shown = [
        [row["created"], row["state"], row["diagnosis"], row["subject"], row["done"] or "", row["result"] or _EMPTY]
        for row in found["episodes"]
    ]
    lines = [columns(heads, shown) if shown else "There was no episode yet."]
    for row in found["lessons"]:
        tried = row["healed"] + row["not_healed"]
        lines.append(f"'{row['action']}' helped against '{row['diagnosis']}' in {row['healed']} of {tried} episodes")
    return Output(found, *lines)


@app.command()
async def report(
    options: Options,
    cycle: CycleArgument = "last",
    form: Annotated[
        Literal["markdown", "html"],
        typer.Option("--format", metavar="FORMAT", help="markdown, or html: one page with charts."),
    ] = "markdown",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where to; default: standard output.")
    ] = None,
) -> None:
    """Print the report of a cycle."""
    async with options.open_store() as store:
        cycles = (await store.get()).improvement
        found = next(iter(await cycles.recent(limit=1)), None) if cycle == "last" else await cycles.get(cycle)
    if found is None:
        raise InvalidRequestError(
            f"there is no improvement cycle '{cycle}'", param="CYCLE", fix="list them: tilores improve history"
        )
    if form == "html":
        from tilores_core.improve.report import as_html as render
    else:
        from tilores_core.improve.report import as_markdown as render
    if output is None:
        typer.echo(render(found), nl=False)
    else:
        write_file(output, render(found).encode())


@asynccontextmanager
async def _open_orchestrator(options: Options) -> AsyncIterator[tuple[ContinuousImprovementOrchestrator, LazyStore]]:
    from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
    from tilores_core.settings import load_config

    table = load_config(options.environment().config).config.improve
    async with options.open_store() as store:
        yield ContinuousImprovementOrchestrator(store, table), store


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ("cycle", "state", "strategy", "phase", "outcome", "gain", "sure", "version", "calls")
    shown = [
        [
            row["id"],
            row["state"],
            row["strategy"],
            row["phase"] or _EMPTY,
            row["outcome"] or _EMPTY,
            _EMPTY if row["gain"] is None else f"{100 * row['gain']:+.1f}",
            _EMPTY if row["confidence"] is None else f"{row['confidence']:.0%}",
            str(row["version"] or _EMPTY),
            str(row["calls"]),
        ]
        for row in rows
    ]
    return columns(heads, shown, right=("gain", "sure", "version", "calls"))


def _format_estimate(estimate: dict[str, int]) -> str:
    return (
        f"{estimate['training']} training, {estimate['validation']} validation and {estimate['held-out']} held-out "
        f"questions; from {estimate['least_calls']} model calls to at most {estimate['most_calls']}"
    )


# --- learning --------------------------------------------------------------------------------------------------


@learning.command()
async def show(options: Options) -> Output:
    """List instructions with gain and confidence, the surest first."""
    async with _open_learning(options) as learned:
        rows: list[dict[str, Any]] = [
            {
                "instruction": one.lesson.change.instruction,
                "part": one.lesson.change.part,
                "fault": one.lesson.change.fault,
                "gain": one.lesson.gain,
                "low": one.low,
                "high": one.high,
                "confidence": one.lesson.confidence,
                "cycles": one.lesson.observations,
                "pairs": one.pairs,
                "models": dict(one.by_model),
                "spectrums": dict(one.by_spectrum),
            }
            for one in await learned.summarise()
        ]
    shown = [
        [
            f"{100 * row['gain']:+.2f}",
            f"{row['confidence']:.0%}",
            str(row["cycles"]),
            row["fault"] or _EMPTY,
            row["part"],
            row["instruction"][:_WIDEST],
        ]
        for row in rows
    ]
    heads = ("points", "sure", "cycles", "fault", "part", "instruction")
    return Output(rows, columns(heads, shown, right=heads[:3]) if rows else "Nothing was learned yet.")


@learning.command("export")
async def export_lessons(
    options: Options, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to.")]
) -> None:
    """Write all observations as JSON, for another installation."""
    async with _open_learning(options) as learned:
        write_file(file, await learned.export_json())


@learning.command("import")
async def import_lessons(
    options: Options,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere. What is known already stays as it is."""
    async with _open_learning(options) as learned:
        count = await learned.import_json(read_bytes(file, most=_MOST_BYTES))
    typer.echo(f"{count} observations are new")


@asynccontextmanager
async def _open_learning(options: Options) -> AsyncIterator[LearningAccumulator]:
    from tilores_core.improve.learning import LearningAccumulator

    async with options.open_store() as store:
        yield LearningAccumulator((await store.get()).improvement)
