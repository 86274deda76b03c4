"""What the commands share: global options, and opening the services they work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from tilores_core.app import Services
    from tilores_core.settings import Environment

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
ModelOption = Annotated[str | None, typer.Option(help="model, as provider:model; default: [use] model")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The global options of one call of `tilores`."""

    config: Path | None = None
    no_plugins: bool = False
    disable: tuple[str, ...] = ()
    verbose: bool = False

    def environment(self, **overrides: Any) -> Environment:
        from tilores_core.settings import load_environment

        return load_environment(config=self.config, **overrides)

    def run(self, work: Callable[[Services], Awaitable[T]]) -> T:
        """Build the services, do the work with them, close them. Only warnings are logged."""
        from tilores_core.app import load_host, open_services
        from tilores_core.logs import configure_logging

        environment = self.environment()
        configure_logging("debug" if self.verbose else "warning", environment.log_format)
        host = load_host(environment, disable=self.disable, no_plugins=self.no_plugins)

        async def main() -> T:
            async with open_services(host, environment) as services:
                return await work(services)

        return asyncio.run(main())
