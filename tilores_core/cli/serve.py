"""`tilores serve`."""

from __future__ import annotations

import errno
import gc
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
from tilores_core.resilience.presence import workers as running_workers
from tilores_core.services import load_host
from tilores_core.settings import load_config, load_environment
from tilores_core.web.auth import check_exposure, describe_keys, provide_keys
from tilores_core.web.server import run
from tilores_core.worker.process import METRICS, NO_PLUGINS
from tilores_core.worker.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.settings import Environment, LoadedConfig
    from tilores_core.web.application import Application

log = structlog.get_logger(part="serve")

_FACTORY = "tilores_core.cli.serve:web_app"
_WORKER_DELAY_SECONDS = 2.0
"""With several web processes nothing tells when they are ready; the worker leaves them the processor to start."""


def serve(options: Options, *, no_worker: bool, **overrides: Any) -> None:
    """`overrides`: of the environment, by field."""
    environment = options.environment(**overrides)
    configure_logging(environment.log_level, environment.log_format)
    check_exposure(environment)
    check_address(environment.host, environment.port)
    loaded = load_config(environment.config)
    # with several processes, what is wrong is reported once and here
    plugins = load_host(environment, loaded=loaded, disable=options.disable, no_plugins=options.no_plugins)
    with_worker = loaded.config.worker.embedded and not no_worker
    with TemporaryDirectory(prefix="tilores-metrics-", ignore_cleanup_errors=True) as metrics:
        variables = _variables(environment, options, metrics)
        app: Application | str = _FACTORY
        if environment.workers == 1:
            folder = Path(metrics) if with_worker else None
            app = create_app(environment, host=plugins, metrics_folder=folder, served=True)
        else:
            gc.enable()
            provide_keys(environment, synthetic=plugins.has_synthetic_customers)
            os.environ.update(variables)
        _announce(environment, plugins)
        companion = None
        if not with_worker and loaded.config.use.alerts and not running_workers(environment.data_dir).running:
            log.warning("serve.alerts_not_delivered", fix="tilores worker, or tilores serve without --no-worker")
        if with_worker:
            delay = 0.0 if environment.workers == 1 else _WORKER_DELAY_SECONDS
            companion = WorkerSupervisor({**os.environ, **variables}, environment.data_dir, delay=delay)
        _run(app, environment, loaded, companion)


def _run(
    app: Application | str, environment: Environment, loaded: LoadedConfig, companion: WorkerSupervisor | None
) -> None:
    try:
        run(
            app,
            host=environment.host,
            port=environment.port,
            workers=environment.workers,
            table=loaded.config.chat,
            companion=companion,
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


def _announce(environment: Environment, plugins: PluginHost) -> None:
    use = plugins.config.use
    shown = f"[{environment.host}]" if ":" in environment.host else environment.host
    places = describe_keys(environment, synthetic=plugins.has_synthetic_customers)
    log.info(
        "serve.started",
        url=f"http://{shown}:{environment.port}",
        config=str(plugins.loaded.path),
        workers=environment.workers,
        model=use.model,
        source=use.source,
        cache=list(use.cache),
        **{f"{kind}_keys": place for kind, place in places.items()},
    )
    if plugins.is_simulated(use.model):
        log.warning("serve.model_simulated", model=use.model, fix="set [use] model in plugins.toml")


def _variables(environment: Environment, options: Options, metrics: str) -> dict[str, str]:
    """Options of this server for its other processes, passed on through their environment.

    `metrics`: the folder where they exchange their numbers, new for each run.
    """
    disable = (os.environ.get("TILORES_PLUGINS_DISABLE", ""), *options.disable)
    return {
        METRICS: metrics,
        "TILORES_HOST": environment.host,
        "TILORES_LOG_LEVEL": environment.log_level,
        "TILORES_PLUGINS_DISABLE": ",".join(filter(None, disable)),
        **({NO_PLUGINS: "1"} if options.no_plugins else {}),
    }


def web_app() -> Application:
    """The application of one of several web processes."""
    environment = load_environment()
    configure_logging(environment.log_level, environment.log_format)
    metrics = os.environ.get(METRICS)
    return create_app(
        environment,
        no_plugins=NO_PLUGINS in os.environ,
        metrics_folder=Path(metrics) if metrics is not None else None,
        served=True,
    )
