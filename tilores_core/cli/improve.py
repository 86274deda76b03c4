"""`tilores improve …` and `tilores learning …`: improvement cycles, and what was learned in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.columns import columns
from tilores_core.cli.options import JsonOption, Options
from tilores_core.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from tilores_core.services import Services
    from tilores_core.store.improvement import StoredCycle

app = typer.Typer(name="improve", no_args_is_help=True, pretty_exceptions_enable=False)
learning_app = typer.Typer(name="learning", no_args_is_help=True, pretty_exceptions_enable=False)

CycleArgument = Annotated[str, typer.Argument(metavar="CYCLE", help="Id of a cycle, or last.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]
_MOST: int = 20
_WIDEST: int = 100
_EMPTY = "-"


@app.callback()
def improve() -> None:
    """Improvement cycles: run, looked at, reported."""


@app.command()
def run(
    ctx: typer.Context,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Optimizer strategy, or auto; default: [use] optimizer.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="MODELS", help="Full names, by commas; default: [improve] models.")
    ] = None,
    spectrums: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Learn from questions of these alone, by commas.")
    ] = None,
    prompt: Annotated[
        str, typer.Option(metavar="VERSION", help="The version to improve: number or label.")
    ] = "production",
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of questions and draws; default: another one for each cycle.")
    ] = None,
    max_calls: Annotated[int | None, typer.Option(metavar="N", min=1, help="Most model calls.")] = None,
    propose: Annotated[bool, typer.Option("--propose", help="Never deploy: make a version at most.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and ask nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Run one cycle, or go on with the one that was interrupted, which asks nothing twice.

    Exit code 0 also when nothing was found: that is a result.
    """
    from tilores_core.improve.report import as_markdown, cycle_row

    async def work(services: Services) -> StoredCycle | dict[str, int] | None:
        from tilores_core.worker.improving import build_cycles, build_request

        store = (await services.store.get()).improvement
        request = await build_request(
            services,
            strategy=strategy,
            models=_names(models),
            spectrums=_names(spectrums),
            version=prompt,
            seed=len(await store.recent(limit=1_000)) + 1 if seed is None else seed,
            max_calls=max_calls,
            automatic=False if propose else None,
        )
        cycles = build_cycles(services)
        if dry_run:
            return await cycles.estimate(request)
        return await cycles.run(
            request, progress=lambda phase, number: typer.echo(f"{number + 1}/6 {phase}", err=True)
        )

    done = _options(ctx).run(work)
    if done is None or isinstance(done, dict):
        _print(done or {}) if json else typer.echo(_format_estimate(done or {}))
    elif json:
        _print({**cycle_row(done), "phases": dict(done.phases)})
    else:
        typer.echo(as_markdown(done), nl=False)


@app.command()
def status(ctx: typer.Context, json: JsonOption = False) -> None:
    """Show the cycle that runs or was interrupted, or else the last one."""
    rows = _rows(ctx, 1)
    if json:
        _print(rows[0] if rows else None)
    else:
        typer.echo(_table(rows) if rows else "There was no improvement cycle yet.")


@app.command()
def pause(ctx: typer.Context, reason: ReasonOption) -> None:
    """Let no cycle be triggered or gone on with; one that runs goes on to its end."""
    _switch(ctx, reason, paused=True)


@app.command()
def resume(ctx: typer.Context, reason: ReasonOption) -> None:
    """End a pause."""
    _switch(ctx, reason, paused=False)


@app.command()
def history(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = _MOST,
    json: JsonOption = False,
) -> None:
    """List cycles with their outcome, gain and cost."""
    rows = _rows(ctx, limit)
    if json:
        _print(rows)
    else:
        typer.echo(_table(rows) if rows else "There was no improvement cycle yet.")


@app.command()
def episodes(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")] = _MOST,
    json: JsonOption = False,
) -> None:
    """List what healing has found and done, whether it helped, and what was learned from it."""
    from tilores_core.improve.healing_diagnosis import lessons
    from tilores_core.improve.report import episode_row, lesson_row

    async def work(services: Services) -> dict[str, list[dict[str, Any]]]:
        found = await (await services.store.get()).healing.recent(limit=1000)
        return {
            "episodes": [episode_row(one) for one in found[:limit]],
            "lessons": [lesson_row(one) for one in lessons(found)],
        }

    found = _options(ctx).run(work)
    if json:
        _print(found)
        return
    if not found["episodes"]:
        typer.echo("There was no episode yet.")
        return
    heads = ("began", "state", "diagnosis", "about", "done", "result")
    shown = [
        [row["created"], row["state"], row["diagnosis"], row["subject"], row["done"] or "", row["result"] or _EMPTY]
        for row in found["episodes"]
    ]
    typer.echo(columns(heads, shown))
    for row in found["lessons"]:
        tried = row["healed"] + row["not_healed"]
        typer.echo(f"'{row['action']}' helped against '{row['diagnosis']}' in {row['healed']} of {tried} episodes")


@app.command()
def report(
    ctx: typer.Context,
    cycle: CycleArgument = "last",
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="markdown, or html: one page with charts.")
    ] = "markdown",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where to; default: standard output.")
    ] = None,
) -> None:
    """Print the report of a cycle."""
    if form not in ("markdown", "html"):
        raise typer.BadParameter("choose markdown or html", param_hint="--format")

    async def work(services: Services) -> StoredCycle:
        store = (await services.store.get()).improvement
        recent = await store.recent(limit=1)
        found = (recent[0] if recent else None) if cycle == "last" else await store.get(cycle)
        if found is None:
            raise InvalidRequestError(
                f"there is no improvement cycle '{cycle}'", param="CYCLE", fix="list them: tilores improve history"
            )
        return found

    found = _options(ctx).run(work)
    if form == "html":
        from tilores_core.improve.report_page import as_html as render
    else:
        from tilores_core.improve.report import as_markdown as render
    if output is None:
        typer.echo(render(found), nl=False)
    else:
        _write(output, render(found).encode())


@learning_app.callback()
def learning() -> None:
    """What improvement cycles have learned."""


@learning_app.command()
def show(ctx: typer.Context, json: JsonOption = False) -> None:
    """List instructions with their gain and confidence, the surest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from tilores_core.improve.learning import LearningAccumulator

        learned = await LearningAccumulator((await services.store.get()).improvement).summarise()
        return [
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
            for one in learned
        ]

    rows = _options(ctx).run(work)
    if json:
        _print(rows)
        return
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
    typer.echo(columns(heads, shown, right=heads[:3]) if rows else "Nothing was learned yet.")


@learning_app.command("export")
def export_lessons(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to.")]
) -> None:
    """Write all observations as JSON, for another installation."""

    async def work(services: Services) -> bytes:
        from tilores_core.improve.learning import LearningAccumulator

        return await LearningAccumulator((await services.store.get()).improvement).export_json()

    _write(file, _options(ctx).run(work))


@learning_app.command("import")
def import_lessons(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An exported file.")],
) -> None:
    """Merge what was exported elsewhere; what is known already stays as it is."""

    async def work(services: Services) -> int:
        from tilores_core.improve.learning import LearningAccumulator

        return await LearningAccumulator((await services.store.get()).improvement).import_json(file.read_bytes())

    typer.echo(f"{_options(ctx).run(work)} observations are new")


def _switch(ctx: typer.Context, reason: str, *, paused: bool) -> None:
    """With the store alone: a plugin that does not work must not stand in the way."""
    import asyncio
    import getpass

    from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
    from tilores_core.logs import configure_logging
    from tilores_core.settings import load_config
    from tilores_core.store.address import store_address
    from tilores_core.store.lazy import LazyStore

    options = _options(ctx)
    environment = options.environment()
    configure_logging("debug" if options.verbose else "warning", environment.log_format)
    table = load_config(environment.config).config.improve

    async def work() -> None:
        store = LazyStore(store_address(environment.database_url, environment.data_dir))
        try:
            orchestrator = ContinuousImprovementOrchestrator(store, table)
            switch = orchestrator.pause if paused else orchestrator.resume
            await switch(actor=getpass.getuser(), reason=reason)
        finally:
            await store.aclose()

    asyncio.run(work())
    typer.echo("No cycle is triggered until: tilores improve resume" if paused else "Cycles may be triggered again.")


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=str(file), fix="check path and rights"
        ) from error


def _options(ctx: typer.Context) -> Options:
    options: Options = ctx.obj
    return options


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _rows(ctx: typer.Context, limit: int) -> list[dict[str, Any]]:
    from tilores_core.improve.report import cycle_row

    async def work(services: Services) -> list[dict[str, Any]]:
        return [cycle_row(one) for one in await (await services.store.get()).improvement.recent(limit=limit)]

    return _options(ctx).run(work)


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


def _print(value: Any) -> None:
    import orjson  # not for help

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
