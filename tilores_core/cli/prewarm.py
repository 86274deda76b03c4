"""`tilores prewarm FILE`: here, into the tiers that servers share, or by a running server with `--url`."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tilores_core.cli.options import JsonOption, Options, RemoteOptions
from tilores_core.cli.output import Output
from tilores_core.errors import ConfigError, TiloresError
from tilores_core.files import read_json

if TYPE_CHECKING:
    from tilores_core.cli.remote import Server
    from tilores_core.jobs.prewarm.plan import WarmList
    from tilores_core.jobs.prewarm.service import Prewarming
    from tilores_core.jobs.prewarm.stats import WarmStats

_LOOK_EVERY: Final = 0.2
_LONGEST: Final = 24 * 3600.0


async def prewarm(
    options: Options,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Lists and questions, as JSON.")
    ],
    remote: RemoteOptions,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Go on, and renew it so often: 30m, 2h. Ctrl-C ends it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Have the answers of customers ready before they ask.

    Exit code 1 when something failed, or could not be renewed and was kept.
    """
    from tilores_core.jobs.prewarm.plan import parse_duration

    try:
        interval = None if every is None else parse_duration(every)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--every") from None
    try:
        if (server := remote.server(options)) is None:
            good = await _warm_here(options, file, interval, json=json)
        else:
            good = await _warm_there(server, file, interval, json=json)
    except asyncio.CancelledError:
        if interval is None:
            raise
        return  # Ctrl-C is how it ends
    if not good:
        raise typer.Exit(1)


# --- here -----------------------------------------------------------------------------------------------------


async def _warm_here(options: Options, file: Path, interval: float | None, *, json: bool) -> bool:
    from tilores_core.jobs.prewarm.plan import load_plan
    from tilores_core.worker.prewarming import build_prewarming, request_decoders

    async with options.open_services() as services:
        plan = load_plan(file, request_decoders(services.locale))
        if not plan.lists:
            raise ConfigError("has no lists, so there is no customer to warm", where=str(file), fix='add "lists"')
        if not services.cache.has_shared:
            typer.echo(
                "warning: all cache tiers are in this process: no server will find what is warmed here\n"
                "  fix:  name a tier that is shared in [use] cache, or have the server do it: --url",
                err=True,
            )
        async with aclosing(build_prewarming(services, plan)) as prewarming:
            if interval is None:
                return _print_stats(await prewarming.run(), prewarming, json=json)
            await _repeat(prewarming, interval, json=json)
            return True


async def _repeat(prewarming: Prewarming, interval: float, *, json: bool) -> None:
    from tilores_core.jobs.prewarm.schedule import follow

    lists = [warm_list.model_copy(update={"refresh": interval}) for warm_list in prewarming.plan.lists]
    shorter = prewarming.interval(lists[0])
    if shorter < interval:
        typer.echo(f"answers live shorter than --every: renewed every {shorter:.0f} s instead", err=True)

    async def run(one: WarmList) -> None:
        _print_stats(await prewarming.run([one]), prewarming, json=json, name=one.name)

    await follow([(warm_list, shorter) for warm_list in lists], run, at_once=True)


def _print_stats(stats: WarmStats, prewarming: Prewarming, *, json: bool, name: str | None = None) -> bool:
    value = stats.as_plain()
    if name is not None:
        value = {"list": name, **value}
    return _say({**value, "budget": prewarming.statistics()["budget"]}, json=json)


# --- by a server ----------------------------------------------------------------------------------------------


async def _warm_there(server: Server, file: Path, interval: float | None, *, json: bool) -> bool:
    """Have the lists of the file gone through once, or every `interval` seconds."""
    while True:
        began = time.monotonic()
        good = _say(await _warm_once(server, file), json=json)
        if interval is None:
            return good
        await asyncio.sleep(max(0.0, interval - (time.monotonic() - began)))


async def _warm_once(server: Server, file: Path) -> dict[str, Any]:
    """What the server says when the lists of the file have been gone through."""
    from tilores_core.jobs.prewarm.plan import MAX_BYTES

    run = (await server.post("/admin/prewarm", {"plan": read_json(file, most=MAX_BYTES)}, "run"))["run"]
    give_up = time.monotonic() + _LONGEST
    while time.monotonic() < give_up:
        report = await server.get("/admin/prewarm", "runs", "budget")
        stats = report["runs"].get(run)  # with several processes, another may have answered
        if stats is not None:
            return {**stats, "budget": report["budget"]}
        await asyncio.sleep(_LOOK_EVERY)
    raise TiloresError("the server is not ready with it after a day", fix="look at GET /admin/prewarm")


def _say(value: dict[str, Any], *, json: bool) -> bool:
    """Print what came of it; whether all of it is good."""
    good = not (value["failed"] or value["kept"])
    if json:
        Output(value).show(as_json=True)
        return good
    why = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in value["skipped_because"].items())
    rate = value["success_rate"]
    name = f"{value['list']}: " if "list" in value else ""
    typer.echo(
        f"{name}{value['customers']} customers: {value['warmed']} entries warmed, {value['failed']} failed, "
        f"{value['kept']} kept, {value['skipped']} skipped{f' ({why})' if why else ''}, "
        f"{'' if rate is None else f'{rate:.0%} successful, '}{value['seconds']:.1f} s"
    )
    for code, count in value["errors"].items():
        typer.echo(f"  {count} x {code}", err=True)
    if value["kept"]:
        typer.echo(
            "warning: what could not be renewed is served as it was, as long as it lives\n"
            "  fix:  tilores doctor says whether the customer source and the model answer",
            err=True,
        )
    return good
