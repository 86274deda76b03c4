"""`tilores doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from typing import TYPE_CHECKING, TypeVar

import typer

from tilores_core.cli import doctor_checks as checks
from tilores_core.cli.doctor_checks import Finding, ok, problem, problem_of
from tilores_core.cli.options import Options
from tilores_core.cli.output import finding_text
from tilores_core.errors import TiloresError
from tilores_core.logs import configure_logging

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost

T = TypeVar("T")

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
                typer.echo(finding_text(finding.state, finding.part, finding.detail, finding.fix))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What raises inside is a problem of this part; what hangs ends the doctor, with exit code 1: an import, a
        factory or a file system cannot be interrupted."""
        longest = self.seconds * ANSWERS_PER_PART

        def give_up() -> None:
            try:
                waits = "see what it waits for" if name != "plugins" else "tilores models logs the one that hangs"
                fix = f"{waits}; the parts after '{name}' were not checked"
                self.add(problem(name, f"no end within {longest:g} s", fix))
                self.end()
            finally:
                os._exit(1)

        timer = Timer(longest, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except TiloresError as error:
            self.add(problem_of(name, error))
        except Exception as error:
            self.add(problem(name, f"{type(error).__name__}: {error}", "please report this fault"))
        finally:
            timer.cancel()

    def result(self, name: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None when it raises, which is then a problem of this part."""
        found: list[T] = []
        with self.part(name):
            found.append(work())
        return found[0] if found else None

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
    environment = report.result("settings", options.environment)
    if environment is None:
        return
    from tilores_core.host.host import PluginHost
    from tilores_core.settings import load_config, variables

    report.add(*checks.environment(environment))
    with report.part("data folder"):
        report.add(*checks.data_folder(environment.data_dir))
    with report.part(checks.STATE):
        report.add(*asyncio.run(checks.state(environment)))
    loaded = report.result("plugins.toml", lambda: load_config(environment.config))
    if loaded is None:
        return
    report.add(ok("plugins.toml", "the packaged default" if loaded.packaged else str(loaded.path)))
    host = report.result(
        "plugins",
        lambda: PluginHost.examine(
            loaded,
            variables=variables(),
            data_dir=environment.data_dir,
            disable=options.disable,
            no_plugins=options.no_plugins,
        ),
    )
    if host is not None:
        report.add(*checks.plugins(host))
    with report.part("keys"):
        report.add(*checks.keys(environment, loaded, synthetic=host is not None and host.has_synthetic_customers))
    if host is None:
        return
    with report.part(checks.STATE):
        report.add(*checks.find_unshared(environment, host, variables()))
    asyncio.run(_parts(host, report))


async def _parts(host: PluginHost, report: _Report) -> None:
    for look in (checks.source, checks.cache, checks.model, checks.outlets):
        with report.part(look.__name__):
            async for finding in look(host, report.seconds):
                report.add(finding)
    with report.part("ending"):
        await host.aclose()
