"""`tilores serve`."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import structlog

from tilores_core.app import create_app
from tilores_core.cli.options import Options
from tilores_core.errors import ConfigError
from tilores_core.logs import configure_logging
from tilores_core.services import load_host
from tilores_core.settings import load_config, load_environment
from tilores_core.web.auth import check_exposure, is_loopback
from tilores_core.web.server import run

if TYPE_CHECKING:
    from tilores_core.settings import Environment, LoadedConfig
    from tilores_core.web.application import Application

log = structlog.get_logger(part="serve")

_FACTORY = "tilores_core.cli.serve:worker_app"


def serve(
    options: Options, *, host: str | None, port: int | None, workers: int | None, log_level: str | None
) -> None:
    environment = options.environment(host=host, port=port, workers=workers, log_level=log_level)
    configure_logging(environment.log_level, environment.log_format)
    check_exposure(environment)
    check_address(environment.host, environment.port)
    loaded = load_config(environment.config)
    plan: dict[str, Any] = {"loaded": loaded, "disable": options.disable, "no_plugins": options.no_plugins}
    if environment.workers == 1:
        app = create_app(environment, **plan)
        _announce(environment, loaded)
        _run(app, environment, loaded)
        return
    load_host(environment, **plan)  # what is wrong is said once and here, not by each worker
    _announce(environment, loaded)
    with TemporaryDirectory(prefix="tilores-metrics-", ignore_cleanup_errors=True) as metrics:
        _tell_workers(environment, options, metrics)
        _run(_FACTORY, environment, loaded)


def _run(app: Application | str, environment: Environment, loaded: LoadedConfig) -> None:
    try:
        run(
            app,
            host=environment.host,
            port=environment.port,
            workers=environment.workers,
            table=loaded.config.chat,
        )
    except SystemExit as ended:
        if ended.code:  # uvicorn has codes of its own; ours for anything that failed is 1
            sys.exit(1)


def check_address(host: str, port: int) -> None:
    """Raise `ConfigError` when nothing can be bound there."""
    name = "TILORES_HOST"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise ConfigError(f"there is no address {host!r}", where=name, fix="give one of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use", where="PORT", fix="end that program, or: tilores serve --port N"
            ) from None
        if error.errno == errno.EACCES:
            raise ConfigError(
                f"port {port} may not be used by this user", where="PORT", fix="take one above 1023"
            ) from None
        raise ConfigError(
            f"{host} cannot be bound: {error.strerror}", where=name, fix="give an address of this machine"
        ) from None


def _announce(environment: Environment, loaded: LoadedConfig) -> None:
    use = loaded.config.use
    shown = f"[{environment.host}]" if ":" in environment.host else environment.host
    log.info(
        "serving",
        url=f"http://{shown}:{environment.port}",
        config=str(loaded.path),
        workers=environment.workers,
        model=use.model,
        source=use.source,
        cache=list(use.cache),
        keys=_keys(environment),
    )
    if use.model.startswith("demo:"):
        log.warning("the model is simulated", model=use.model, fix="set [use] model in plugins.toml")


def _keys(environment: Environment) -> str:
    if environment.api_keys:
        return "on"
    return "off: chat is open on this machine" if is_loopback(environment.host) else "off: chat is open to everybody"


def _tell_workers(environment: Environment, options: Options, metrics: str) -> None:
    """Workers are new processes: what this call was told reaches them through the environment. `metrics`: the folder
    where they exchange their numbers, new for each run."""
    os.environ[_METRICS] = metrics
    os.environ["TILORES_HOST"] = environment.host
    os.environ["TILORES_LOG_LEVEL"] = environment.log_level
    if options.disable:
        given = os.environ.get("TILORES_PLUGINS_DISABLE", "")
        os.environ["TILORES_PLUGINS_DISABLE"] = ",".join(filter(None, (given, *options.disable)))
    if options.no_plugins:
        os.environ[_NO_PLUGINS] = "1"


_NO_PLUGINS = "TILORES_WORKER_NO_PLUGINS"
_METRICS = "TILORES_WORKER_METRICS"


def worker_app() -> Application:
    """The application of one of several workers."""
    environment = load_environment()
    configure_logging(environment.log_level, environment.log_format)
    metrics = os.environ.get(_METRICS)
    return create_app(
        environment,
        no_plugins=_NO_PLUGINS in os.environ,
        metrics_folder=Path(metrics) if metrics is not None else None,
    )
