"""`tilores alerts …`: what is open, and what to do with it. It works on the store, with or without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tilores_core.cli.options import Commands, Options, get_user
from tilores_core.cli.output import Output

if TYPE_CHECKING:
    from tilores_core.alerts.desk import AlertDesk
    from tilores_core.settings import Environment, LoadedConfig

app = Commands("alerts", "List, test, acknowledge and silence alerts.")

_SeverityOption = Annotated[
    Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"],
    typer.Option(metavar="SEVERITY", help="Severity of the message: INFO to CRITICAL."),
]
Fingerprint = Annotated[str, typer.Argument(metavar="ALERT", help="Its fingerprint, or the beginning of it.")]


@app.command("list")
async def list_alerts(
    options: Options,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones as well.")] = False,
    silences: Annotated[bool, typer.Option("--silences", help="List the silences in force instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="List at most so many.")] = 100,
) -> Output:
    """List open alerts, the one that was raised last first."""
    async with _open_desk(options) as desk:
        found = await (desk.silences() if silences else desk.list_alerts(everything=everything, limit=limit))
    lines = [_silence_line(one) if silences else _line(one) for one in found]
    return Output(found, *lines or ("there is none",))


@app.command()
async def show(options: Options, alert: Fingerprint) -> Output:
    """Show one alert and what became of its messages."""
    async with _open_desk(options) as desk:
        return _output(await desk.show(alert))


@app.command()
async def ack(options: Options, alert: Fingerprint) -> Output:
    """Acknowledge an alert. It is neither repeated nor escalated then."""
    async with _open_desk(options) as desk:
        return _output(await desk.acknowledge(alert, get_user()))


@app.command()
async def resolve(options: Options, alert: Fingerprint) -> Output:
    """End an alert. It opens again when it is raised again."""
    async with _open_desk(options) as desk:
        return _output(await desk.resolve(alert))


@app.command()
async def silence(
    options: Options,
    alert: Annotated[
        str | None, typer.Argument(metavar="[ALERT]", help="Fingerprint, or the beginning of it.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, max=525_600, metavar="N", help="How long it lasts.")
    ] = None,
    starts_in: Annotated[float, typer.Option(min=0, max=525_600, metavar="N", help="Minutes until it begins.")] = 0.0,
    until_clear: Annotated[bool, typer.Option("--until-clear", help="It ends when ALERT is resolved.")] = False,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Kind of alerts; `*` stands for any characters.")
    ] = None,
    severity: Annotated[str | None, typer.Option(metavar="SEVERITY", help="Severity.")] = None,
    source: Annotated[str | None, typer.Option(metavar="PART", help="Part that raises it.")] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Model.")] = None,
    spectrum: Annotated[str | None, typer.Option(metavar="ID", help="Spectrum.")] = None,
    comment: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    end: Annotated[str | None, typer.Option(metavar="ID", help="End this silence instead.")] = None,
) -> Output:
    """Keep alerts that match from being sent. It lasts for a time, or until one clears."""
    async with _open_desk(options) as desk:
        if end is not None:
            await desk.end_silence(end)
            return Output({"ended": end}, f"silence {end} has ended")
        made = await desk.silence(
            owner=get_user(),
            minutes=minutes,
            starts_in_minutes=starts_in,
            until_clear=until_clear,
            comment=comment,
            fingerprint=alert,
            kind=kind,
            severity=severity,
            source=source,
            model=model,
            spectrum=spectrum,
        )
    return Output(made, _silence_line(made))


@app.command("test")
async def send(
    options: Options,
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="One channel; default: all of [use] alerts.")
    ] = None,
    severity: _SeverityOption = "INFO",
) -> Output:
    """Send a test message from here. Exit code 1 when a channel did not take it."""
    from tilores_core.alerts.desk import AlertDesk, send_test
    from tilores_core.alerts.system import build_channels

    async with options.open_host() as host:
        AlertDesk.check_channel(host.config.use.alerts, channel)
        built = {name: one for name, one in build_channels(host).items() if channel is None or name == channel}
        results = await send_test(built, severity, host.config.alerts.send_seconds)
        for name in (channel,) if channel else host.config.use.alerts:
            results.setdefault(name, " ".join(host.disabled_roles.get(f"alerts/{name}", "it is not active").split()))
    lines = [f"{name}: {'sent' if error is None else f'failed: {error}'}" for name, error in results.items()]
    return Output(results, *lines, failed=any(error is not None for error in results.values()))


@asynccontextmanager
async def _open_desk(options: Options) -> AsyncIterator[AlertDesk]:
    from tilores_core.alerts.desk import AlertDesk
    from tilores_core.settings import load_config

    environment = options.environment()
    loaded = load_config(environment.config)
    async with options.open_store() as store:
        yield AlertDesk(store, loaded.config.use.alerts)
    _warn(environment, loaded)


def _warn(environment: Environment, loaded: LoadedConfig) -> None:
    """Say on standard error when nothing delivers."""
    from tilores_core.resilience.presence import workers

    if not loaded.config.use.alerts:
        typer.echo("note: [use] alerts names no channel, so nothing is delivered", err=True)
    elif workers(environment.data_dir).missing:
        typer.echo(
            "note: no worker process is running, so nothing is delivered\n"
            "  fix:  tilores worker, or tilores serve without --no-worker",
            err=True,
        )


def _format_time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def _line(one: Mapping[str, Any]) -> str:
    marks = f"{one['state']}{' silenced' if one.get('silenced') else ''}"
    return f"{one['fingerprint'][:12]}  {one['severity']:8}  {marks:17}  {one['title']}  ({one['count']}x)"


def _silence_line(one: Mapping[str, Any]) -> str:
    names = ("fingerprint", "kind", "severity", "source", "model", "spectrum")
    matches = " ".join(f"{name}={one[name]}" for name in names if one[name])
    end = f"until {_format_time(one['ends'])}" if one["ends"] is not None else "until it clears"
    begin = f"from {_format_time(one['starts'])} " if one["starts"] > datetime.now().timestamp() else ""
    return f"{one['id']}  {matches}  {begin}{end}  {one['comment']}".rstrip()


def _output(one: Mapping[str, Any]) -> Output:
    facts = {name: one[name] for name in ("kind", "source", "model", "spectrum", "prompt_version") if one[name]}
    facts |= {**one["labels"], **{name: f"{value:g}" for name, value in one["values"].items()}}
    facts |= {"first": _format_time(one["first_at"]), "last": _format_time(one["last_at"])}
    facts |= {"resolved": _format_time(one["resolved_at"]), "acknowledged by": one["acknowledged_by"]}
    lines = [_line(one), *([f"  {one['detail']}"] if one["detail"] else ())]
    lines += [f"  {name}: {value}" for name, value in facts.items() if value]
    for delivery in one["deliveries"]:
        tail = f", {delivery['error']}" if delivery["error"] else ""
        lines.append(
            f"  {delivery['channel']}: {delivery['reason']}, {delivery['state']} after {delivery['attempts']} "
            f"attempts{tail}"
        )
    return Output(one, *lines)
