"""`tilores doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from tilores_core.cli import doctor_parts, doctor_settings, doctor_state
from tilores_core.cli.finding import Finding, problem
from tilores_core.cli.options import Options
from tilores_core.cli.watchdog import ends_within
from tilores_core.errors import TiloresError
from tilores_core.logs import configure_logging

if TYPE_CHECKING:
    from tilores_core.host import PluginHost
    from tilores_core.settings import Environment, LoadedConfig

ANSWERS_PER_PART = 2
"""A part that hangs in a way that asyncio cannot end has the time of so many answers; then the doctor stops with what
it knows."""


@dataclass(slots=True)
class _Report:
    """What was found so far. `seconds`: for one answer."""

    as_json: bool
    seconds: float
    findings: list[Finding] = field(default_factory=list)

    def add(self, *findings: Finding) -> None:
        """But for what was said before: one wrong key shows in more than one place."""
        for finding in findings:
            if finding.state != "ok" and finding.detail in {known.detail for known in self.findings}:
                continue
            self.findings.append(finding)
            if not self.as_json:
                typer.echo(finding.text())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What raises inside is a problem of this part; what hangs ends the doctor."""

        longest = self.seconds * ANSWERS_PER_PART

        def hung() -> None:
            fix = f"see what it waits for; the parts after '{name}' were not looked at"
            self.add(Finding(part=name, state="problem", detail=f"no end within {longest:g} s", fix=fix))
            self.end()

        with ends_within(longest, hung):
            try:
                yield
            except TiloresError as error:
                self.add(problem(name, error))
            except Exception as error:
                self.add(
                    Finding(
                        part=name,
                        state="problem",
                        detail=f"{type(error).__name__}: {error}",
                        fix="nobody foresaw this; please report it",
                    )
                )

    def end(self) -> None:
        if self.as_json:
            typer.echo(json.dumps([dataclasses.asdict(finding) for finding in self.findings]))
        sys.stdout.flush()

    @property
    def has_problem(self) -> bool:
        return any(finding.state == "problem" for finding in self.findings)


def doctor(options: Options, *, timeout: float, json: bool) -> None:
    """Print the findings as they come; exit code 1 when there is a problem (a warning is none). `timeout`: seconds
    for one answer of a source, a tier or a model."""
    configure_logging("error", "console")  # the findings say it all
    report = _Report(as_json=json, seconds=timeout)
    _look(options, report)
    report.end()
    if report.has_problem:
        raise typer.Exit(1)


def _look(options: Options, report: _Report) -> None:
    environment = _settings(options, report)
    if environment is None:
        return
    with report.part("data folder"):
        report.add(*doctor_settings.data_folder(environment.data_dir))
    with report.part(doctor_state.PART):
        from tilores_core.settings import variables

        report.add(*asyncio.run(doctor_state.state(environment, variables())))
    loaded = _config(environment, report)
    if loaded is None:
        return
    with report.part("keys"):
        report.add(*doctor_settings.keys(environment, loaded))
    host = _plugins(options, environment, loaded, report)
    if host is None:
        return
    asyncio.run(_parts(host, report))


def _settings(options: Options, report: _Report) -> Environment | None:
    environment = None
    with report.part("settings"):
        environment = options.environment()
        report.add(*doctor_settings.environment(environment))
    return environment


def _config(environment: Environment, report: _Report) -> LoadedConfig | None:
    from tilores_core.settings import load_config

    loaded = None
    with report.part("plugins.toml"):
        loaded = load_config(environment.config)
        named = "the packaged default" if loaded.packaged else str(loaded.path)
        report.add(Finding(part="plugins.toml", state="ok", detail=named))
    return loaded


def _plugins(options: Options, environment: Environment, loaded: LoadedConfig, report: _Report) -> PluginHost | None:
    from tilores_core.host.host import PluginHost
    from tilores_core.settings import variables

    host = None
    with report.part("plugins"):
        host = PluginHost.examine(
            loaded,
            variables=variables(),
            data_dir=environment.data_dir,
            disable=options.disable,
            no_plugins=options.no_plugins,
        )
        report.add(*doctor_settings.plugins(host))
    return host


async def _parts(host: PluginHost, report: _Report) -> None:
    looks: list[tuple[str, Callable[[PluginHost, float], doctor_parts.Findings]]] = [
        ("source", doctor_parts.source),
        ("cache", doctor_parts.cache),
        ("model", doctor_parts.model),
        ("tracers", doctor_parts.tracers),
    ]
    for name, look in looks:
        with report.part(name):
            async for finding in look(host, report.seconds):
                report.add(finding)
    with report.part("ending"):
        await host.aclose()
