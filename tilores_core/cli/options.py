"""What the commands share: global options, and opening the services they work with."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer

from tilores_core.cli.output import Output

if TYPE_CHECKING:
    from tilores_core.cli.remote import Server
    from tilores_core.host.host import PluginHost
    from tilores_core.services import Services
    from tilores_core.settings import Environment
    from tilores_core.store.lazy import LazyStore

F = TypeVar("F", bound=Callable[..., Any])

_LONGEST_REASON: Final = 2000  # characters, as over HTTP

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
ModelOption = Annotated[
    str | None, typer.Option(metavar="MODEL", help="The model, as provider:model; default: [use] model.")
]


def _reason(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= _LONGEST_REASON:
        raise typer.BadParameter(f"give between 1 and {_LONGEST_REASON} characters")
    return text


ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.", callback=_reason)
]
LogLevelOption = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(metavar="LEVEL", help="debug, info, warning or error; default info."),
]
SpectrumsOption = Annotated[
    str | None, typer.Option(metavar="S,S,…", help="Questions of these spectrums alone, by commas.")
]
MaxCallsOption = Annotated[int | None, typer.Option(metavar="N", min=1, help="Most model calls.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and ask nothing.")]
LimitOption = Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many, the newest first.")]
CustomerOption = Annotated[str | None, typer.Option(metavar="ID", help="Id of the customer it is about.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The global options of one call of `tilores`."""

    config: Path | None = None
    no_plugins: bool = False
    disable: tuple[str, ...] = ()
    verbose: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Options:
        """From the root command's parameters."""
        return cls(
            config=params.get("config"),
            no_plugins=params.get("no_plugins") or False,
            disable=tuple(params.get("disable_plugin") or ()),
            verbose=params.get("verbose") or False,
        )

    def environment(self, **overrides: Any) -> Environment:
        from tilores_core.settings import load_environment

        return load_environment(config=self.config, **overrides)

    def host(self) -> PluginHost:
        """The plugins, loaded; close it. Only warnings are logged. Raises `ConfigError`, `PluginError`."""
        from tilores_core.services import load_host

        return load_host(self._configure_logging(), disable=self.disable, no_plugins=self.no_plugins)

    @asynccontextmanager
    async def open_host(self) -> AsyncIterator[PluginHost]:
        """The plugins alone, closed at the end. Raises as `host` does."""
        host = self.host()
        try:
            yield host
        finally:
            await host.aclose()

    @asynccontextmanager
    async def open_services(self, host: PluginHost | None = None) -> AsyncIterator[Services]:
        """All services; they close the host. Raises as `host` does."""
        from tilores_core.cache.readiness import tier_answers
        from tilores_core.contracts import SupportsPeek
        from tilores_core.services import open_services

        async with open_services(host or self.host(), self.environment()) as services:
            for _, tier in services.tiers:
                if not isinstance(tier, SupportsPeek):
                    # a tier may start with this very command, and need some seconds before it answers
                    with suppress(Exception):
                        await tier_answers(tier)
            yield services

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[LazyStore]:
        """The store alone: it is quick, and a plugin that does not work is not in the way."""
        from tilores_core.store.address import store_address
        from tilores_core.store.lazy import LazyStore

        environment = self._configure_logging()
        store = LazyStore(store_address(environment.database_url, environment.data_dir))
        try:
            yield store
        finally:
            await store.aclose()

    def _configure_logging(self) -> Environment:
        from tilores_core.logs import configure_logging

        environment = self.environment()
        configure_logging("debug" if self.verbose else "warning", environment.log_format)
        return environment


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """The options of a command that a running server can do instead."""

    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Have the server there do it, such as http://127.0.0.1:8000.")
    ] = None
    admin_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Its admin key; default TILORES_ADMIN_KEYS, or the one in the data folder."),
    ] = None

    def server(self, options: Options) -> Server | None:
        """The server, if one is named. Raises `ConfigError`."""
        from tilores_core.cli.remote import Server

        return None if self.url is None else Server.of(options.environment(), self.url, self.admin_key)


class Commands(typer.Typer):
    """A group of commands: functions, or coroutine functions, of `Options` and what the command line gives them.

    A parameter that is a dataclass stands for its fields, as several commands have them. One that returns an `Output`
    has the option --json.
    """

    def __init__(self, name: str, help: str, **settings: Any) -> None:
        super().__init__(name=name, help=help, no_args_is_help=True, pretty_exceptions_enable=False, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        add = super().command(name, **settings)

        def register(function: F) -> F:
            add(_as_callback(function))
            return function

        return register


def _as_callback(function: Callable[..., Any]) -> Callable[..., None]:
    """The function in the form that Typer calls, which reads its signature."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    groups: dict[str, Any] = {one.name: one.annotation for one in own if is_dataclass(one.annotation)}
    parameters = [one for one in own if one.name not in groups]
    for group in groups.values():
        parameters += inspect.signature(group, eval_str=True).parameters.values()
    takes_json = "json" in signature.parameters
    if signature.return_annotation is Output and not takes_json:
        parameters.append(Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption))

    @wraps(function)
    def callback(ctx: typer.Context, **values: Any) -> None:
        _refuse_infinite(ctx, values)
        as_json = values["json"] if takes_json else values.pop("json", False)
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        found = function(ctx.obj, **values)
        if inspect.iscoroutine(found):
            import asyncio  # not for help

            found = asyncio.run(found)
        if isinstance(found, Output):
            found.show(as_json=as_json)
            if found.failed:
                raise typer.Exit(1)

    context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    callback.__signature__ = Signature([context, *parameters])  # type: ignore[attr-defined]
    callback.__annotations__ = {one.name: one.annotation for one in (context, *parameters)}
    return callback


def _refuse_infinite(ctx: typer.Context, values: Mapping[str, Any]) -> None:
    """Typer takes `inf` where there is no maximum, and click's ranges take `nan`."""
    for param in ctx.command.params:
        value = values.get(param.name or "")
        if isinstance(value, float) and not isfinite(value):
            raise typer.BadParameter(f"{value} is not a finite number", ctx=ctx, param=param)  # type: ignore[arg-type]


def get_user() -> str:
    """Who is at the command line, for the audit log. In a container the user may have no name."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"
