"""`tilores doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.contracts import CachePolicy, Turn
from tilores_core.errors import TiloresError

_SECONDS_PER_CHECK = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `fix` says what to do when it is not ok."""

    part: str
    state: Literal["ok", "warning", "problem"]
    detail: str
    fix: str | None = None


def doctor(options: Options, *, json: bool) -> None:
    """Print the findings; exit code 1 when there is a problem (a warning is none)."""
    findings = _look(options)
    if json:
        sys.stdout.buffer.write(orjson.dumps([dataclasses.asdict(finding) for finding in findings]) + b"\n")
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<8} {finding.part}: {finding.detail}")
            if finding.fix:
                typer.echo(f"         fix: {finding.fix}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _look(options: Options) -> list[Finding]:
    from tilores_core.logs import configure_logging

    configure_logging("error", "console")  # the findings say it all
    findings: list[Finding] = []
    try:
        environment = options.environment()
    except TiloresError as error:
        return [_problem("environment", error)]
    findings.append(Finding(part="environment", state="ok", detail=f"data folder {environment.data_dir}"))
    from tilores_core.app import load_host
    from tilores_core.settings import load_config
    from tilores_core.web.auth import check_exposure, check_key_tables

    try:
        loaded = load_config(environment.config)
    except TiloresError as error:
        return [*findings, _problem("plugins.toml", error)]
    findings.append(Finding(part="plugins.toml", state="ok", detail=str(loaded.path)))
    try:
        check_exposure(environment)
        check_key_tables(environment, loaded.config.keys)
        keys = len(environment.api_keys)
        findings.append(
            Finding(part="keys", state="ok", detail=f"{keys} API keys" if keys else "none, loopback only")
        )
    except TiloresError as error:
        findings.append(_problem("keys", error))
    try:
        host = load_host(environment, loaded=loaded, disable=options.disable, no_plugins=options.no_plugins)
    except TiloresError as error:
        return [*findings, _problem("plugins", error)]
    findings += [
        Finding(part="plugins", state="warning", detail=warning, fix="tilores plugins list")
        for warning in host.warnings
    ]
    active = sum(row.state == "active" for row in host.records)
    findings.append(Finding(part="plugins", state="ok", detail=f"{active} active of {len(host.records)}"))
    return findings + asyncio.run(_look_at_services(host, environment))


async def _look_at_services(host: Any, environment: Any) -> list[Finding]:
    from tilores_core.app import Services, open_services

    async def source(services: Services) -> str:
        schema = await services.source.schema()
        return f"{host.config.use.source}: {len(schema.fields)} fields"

    async def cache(services: Services) -> str:
        key = "doctor:probe"
        await services.cache.set(key, b"1", ttl=10)
        hit = await services.cache.get(key)
        await services.cache.invalidate(keys=(key,))
        if hit is None:
            raise TiloresError("what was stored could not be read back", fix="tilores cache stats shows the tiers")
        return f"{', '.join(host.config.use.cache)}: stored and read back"

    async def model(services: Services) -> str:
        question = "Reply with the word ready."
        turn = Turn(messages=({"role": "user", "content": question},), cache=CachePolicy(no_store=True))
        started = time.perf_counter()
        answer = await services.engine.answer(turn)
        return f"{answer.model} answered in {time.perf_counter() - started:.2f} s"

    findings: list[Finding] = []
    checks: tuple[tuple[str, Callable[[Services], Awaitable[str]]], ...] = (
        ("source", source),
        ("cache", cache),
        ("model", model),
    )
    try:
        async with open_services(host, environment) as services:
            for part, check in checks:
                try:
                    async with asyncio.timeout(_SECONDS_PER_CHECK):
                        findings.append(Finding(part=part, state="ok", detail=await check(services)))
                except TimeoutError:
                    findings.append(
                        Finding(part=part, state="problem", detail=f"no answer within {_SECONDS_PER_CHECK:g} s")
                    )
                except TiloresError as error:
                    findings.append(_problem(part, error))
            findings += [
                Finding(part=role, state="warning", detail=reason) for role, reason in host.switched_off.items()
            ]
    except TiloresError as error:
        findings.append(_problem("start", error))
    return findings


def _problem(part: str, error: TiloresError) -> Finding:
    return Finding(part=part, state="problem", detail=error.message, fix=error.fix)
