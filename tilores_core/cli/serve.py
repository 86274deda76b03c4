"""`tilores serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from tilores_core.app import create_app
from tilores_core.cli.options import Options
from tilores_core.logs import configure_logging
from tilores_core.settings import load_config, load_environment
from tilores_core.web.auth import check_exposure
from tilores_core.web.server import run

if TYPE_CHECKING:
    from tilores_core.web.application import Application

log = structlog.get_logger("tilores_core.serve")

_FACTORY = "tilores_core.cli.serve:worker_app"


def serve(
    options: Options, *, host: str | None, port: int | None, workers: int | None, log_level: str | None
) -> None:
    environment = options.environment(host=host, port=port, workers=workers, log_level=log_level)
    configure_logging(environment.log_level, environment.log_format)
    check_exposure(environment)
    loaded = load_config(environment.config)
    table = loaded.config.chat
    shown = f"[{environment.host}]" if ":" in environment.host else environment.host
    log.info(
        "serving",
        url=f"http://{shown}:{environment.port}",
        config=str(loaded.path),
        workers=environment.workers,
        model=loaded.config.use.model,
        source=loaded.config.use.source,
        cache=list(loaded.config.use.cache),
        keys="on" if environment.api_keys else "off: chat is open on this machine",
    )
    if loaded.config.use.model.startswith("demo:"):
        log.warning("the model is simulated", model=loaded.config.use.model, fix="set [use] model in plugins.toml")
    if environment.workers == 1:
        app = create_app(environment, loaded=loaded, disable=options.disable, no_plugins=options.no_plugins)
        run(app, host=environment.host, port=environment.port, workers=1, table=table)
        return
    # Workers are new processes: what this call was told reaches them through the environment.
    os.environ["TILORES_HOST"] = environment.host
    os.environ["TILORES_LOG_LEVEL"] = environment.log_level
    if options.disable:
        given = os.environ.get("TILORES_PLUGINS_DISABLE", "")
        os.environ["TILORES_PLUGINS_DISABLE"] = ",".join(filter(None, (given, *options.disable)))
    if options.no_plugins:
        os.environ[_NO_PLUGINS] = "1"
    run(_FACTORY, host=environment.host, port=environment.port, workers=environment.workers, table=table)


_NO_PLUGINS = "TILORES_WORKER_NO_PLUGINS"


def worker_app() -> Application:
    """The application of one of several workers."""
    environment = load_environment()
    configure_logging(environment.log_level, environment.log_format)
    return create_app(environment, no_plugins=_NO_PLUGINS in os.environ)
