"""`tilores prewarm FILE`: here, into the tiers that servers share, or by a running server with `--url`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tilores_core.cli.options import AdminKeyOption, JsonOption, Options, UrlOption, get_options
from tilores_core.cli.output import emit
from tilores_core.errors import ConfigError, TiloresError

if TYPE_CHECKING:
    from tilores_core.cli.remote import Server
    from tilores_core.jobs.prewarm.plan import WarmList, WarmPlan
    from tilores_core.jobs.prewarm.service import Prewarming
    from tilores_core.jobs.prewarm.stats import WarmStats
    from tilores_core.services import Services

_LOOK_EVERY: Final = 0.2
_LONGEST: Final = 24 * 3600.0


def prewarm(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Lists and questions, as JSON.")
    ],
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Go on, and renew it so often: 30m, 2h. Ctrl-C ends it.")
    ] = None,
    url: UrlOption = None,
    admin_key: AdminKeyOption = None,
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
    options = get_options(ctx)
    if url is None:
        _warm_here(options, file, interval, json=json)
        return
    from tilores_core.cli.remote import Server

    server = Server.of(options.environment(), url, admin_key)
    _repeat(lambda: _remote(server, file), interval, json=json)


# --- here -----------------------------------------------------------------------------------------------------


def _warm_here(options: Options, file: Path, interval: float | None, *, json: bool) -> None:
    async def work(services: Services) -> bool:
        from tilores_core.jobs.prewarm.plan import load_plan
        from tilores_core.worker.prewarming import build_prewarming, request_decoders

        plan = load_plan(file, request_decoders(services.locale))
        _check(plan, file)
        if not services.cache.has_shared:
            typer.echo(
                "warning: all cache tiers are in this process: no server will find what is warmed here\n"
                "  fix:  name a tier that is shared in [use] cache, or have the server do it: --url",
                err=True,
            )
        prewarming = build_prewarming(services, plan)
        try:
            if interval is None:
                return _print_stats(await prewarming.run(), prewarming, json=json)
            await _repeat_here(prewarming, interval, json=json)
        finally:
            await prewarming.aclose()
        return True

    try:
        good = options.run(work)
    except KeyboardInterrupt:
        if interval is None:
            raise
        return  # that is how it ends
    if not good:
        raise typer.Exit(1)


async def _repeat_here(prewarming: Prewarming, interval: float, *, json: bool) -> None:
    from tilores_core.jobs.prewarm.schedule import follow

    lists = [warm_list.model_copy(update={"refresh": interval}) for warm_list in prewarming.plan.lists]
    shorter = prewarming.interval(lists[0])
    if shorter < interval:
        typer.echo(f"answers live shorter than --every: renewed every {shorter:.0f} s instead", err=True)

    async def run(one: WarmList) -> None:
        _print_stats(await prewarming.run([one]), prewarming, json=json, name=one.name)

    await follow([(warm_list, shorter) for warm_list in lists], run, at_once=True)


def _check(plan: WarmPlan, file: Path) -> None:
    if not plan.lists:
        raise ConfigError("has no lists, so there is no customer to warm", where=str(file), fix='add "lists"')


def _print_stats(stats: WarmStats, prewarming: Prewarming, *, json: bool, name: str | None = None) -> bool:
    value = stats.as_plain()
    if name is not None:
        value = {"list": name, **value}
    _say({**value, "budget": prewarming.statistics()["budget"]}, json=json)
    return not (value["failed"] or value["kept"])


# --- by a server ----------------------------------------------------------------------------------------------


def _remote(server: Server, file: Path) -> dict[str, Any]:
    """What the server says when the lists of the file have been gone through once."""
    run = server.post("/admin/prewarm", {"plan": _read(file)}, "run")["run"]
    give_up = time.monotonic() + _LONGEST
    while time.monotonic() < give_up:
        report = server.get("/admin/prewarm", "runs", "budget")
        stats = report["runs"].get(run)  # with several processes, another may have answered
        if stats is not None:
            return {**stats, "budget": report["budget"]}
        time.sleep(_LOOK_EVERY)
    raise TiloresError("the server is not ready with it after a day", fix="look at GET /admin/prewarm")


def _read(file: Path) -> Any:
    import orjson  # not for help

    from tilores_core.jobs.prewarm.plan import MAX_BYTES

    try:
        with file.open("rb") as opened:
            return orjson.loads(opened.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file), fix="check the path") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f"is not valid JSON (line {error.lineno}, column {error.colno})", where=str(file), fix="correct that line"
        ) from None


def _repeat(work: Any, interval: float | None, *, json: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt) if interval is not None else contextlib.nullcontext():
        while True:
            began = time.monotonic()
            value = work()
            _say(value, json=json)
            if interval is None:
                if value["failed"] or value["kept"]:
                    raise typer.Exit(1)
                return
            time.sleep(max(0.0, interval - (time.monotonic() - began)))


def _say(value: dict[str, Any], *, json: bool) -> None:
    if json:
        emit(value, "", as_json=True)
        return
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
