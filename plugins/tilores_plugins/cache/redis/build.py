"""The factory: from settings to a tier. It checks what can be checked without connecting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from tilores_core import ConfigError, MissingDependencyError, PluginContext, PluginError

from .cluster import ClusterServer
from .server import Server
from .settings import RedisSettings
from .single import SingleServer
from .tier import RedisTier

_SHAPES = "redis://[user:password@]host:port/db, rediss://… or unix:///path/to/redis.sock"
_REDIRECTIONS = 3

BACKGROUND_SECONDS = 5.0
"""The shortest limits of a process that answers no callers: they count what it waits for a processor as well."""


def build(context: PluginContext) -> RedisTier:
    """Does not connect. Raises `ConfigError` for a bad address, and `PluginError`, with which the host does without
    this tier, when there is no address and no redis-server that could be started, or none may be."""
    settings: RedisSettings = context.settings
    if context.background:
        least = round(BACKGROUND_SECONDS * 1000)
        connect, command = max(settings.connect_timeout_ms, least), max(settings.command_timeout_ms, least)
        settings = settings.model_copy(update={"connect_timeout_ms": connect, "command_timeout_ms": command})
    server = _server(context, settings)
    return RedisTier(server, settings, _address(settings))


def _address(settings: RedisSettings) -> str:
    """For the log: without user and password."""
    url = settings.url.get_secret_value().strip()
    if not url or settings.embedded == "always":
        return "embedded"
    parts: dict[str, Any] = dict(parse_url(url))
    return str(parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}")


def _server(context: PluginContext, settings: RedisSettings) -> Server:
    url = settings.url.get_secret_value().strip()
    where = f"[plugins.{context.plugin_id}] url"
    if settings.embedded == "always" or (not url and settings.embedded == "auto"):
        if settings.cluster:
            raise ConfigError("a cluster needs an address", where=where, fix=f"write it as {_SHAPES}")
        return _build_embedded(context, settings)
    if not url:
        raise PluginError(
            'no Redis address, and embedded = "never"',
            plugin=context.plugin_id,
            fix='set REDIS_URL, or embedded = "auto"',
        )
    try:
        return _cluster(url, settings) if settings.cluster else _single(url, settings)
    except (ValueError, TypeError, OSError, RedisError, RedisClusterException) as error:
        # What these say may quote the address, and the address may hold a password.
        problem = (
            "a cluster takes no database number and no socket" if settings.cluster else "not an address of Redis"
        )
        raise ConfigError(f"{problem} ({type(error).__name__})", where=where, fix=f"write it as {_SHAPES}") from None


def _single(url: str, settings: RedisSettings) -> Server:
    connect, command = _timeouts(settings)
    options: dict[str, Any] = dict(parse_url(url))
    options.pop("max_connections", None)
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    if kind is UnixDomainSocketConnection and not options.get("path"):
        raise ValueError("no path")
    make = _maker(kind, {**options, **_common(settings)})
    return SingleServer(make, connect_timeout=connect, command_timeout=command)


def _maker(kind: type[AbstractConnection], options: dict[str, Any]) -> Callable[[], AbstractConnection]:
    first = kind(**options)  # finds out now what it cannot take
    if not isinstance(first, SSLConnection):
        return lambda: kind(**options)
    # Reading the system's certificates takes longer than connecting may: once, here.
    certificates = first.ssl_context
    certificates.get()

    def make() -> AbstractConnection:
        connection = kind(**options)
        assert isinstance(connection, SSLConnection)
        connection.ssl_context = certificates
        return connection

    return make


def _build_embedded(context: PluginContext, settings: RedisSettings) -> Server:
    from .embedded import EmbeddedServer, find_binary

    binary = find_binary()
    if binary is None:
        raise MissingDependencyError(
            "no Redis address, and no redis-server (6.2 or newer) to start one here",
            plugin=context.plugin_id,
            fix="set REDIS_URL, install redis-server, or: pip install 'tilores-core[embedded]'",
        )
    connect, command = _timeouts(settings)
    embedded = EmbeddedServer(context.data_dir / "redis", binary, patience=connect)
    return SingleServer(
        lambda: UnixDomainSocketConnection(path=embedded.socket_path, **_common(settings)),
        connect_timeout=connect,
        command_timeout=command,
        before=embedded.ready,
        after=embedded.aclose,
    )


def _cluster(url: str, settings: RedisSettings) -> Server:
    connect, command = _timeouts(settings)
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", Connection)
    client = RedisCluster(
        **{**options, **_common(settings)},
        ssl=kind is SSLConnection,
        max_connections=settings.max_connections,
        # Only for slots that have moved: what fails or is late is the tiering's business.
        retry=Retry(NoBackoff(), _REDIRECTIONS, supported_errors=()),
    )
    return ClusterServer(client, connect_timeout=connect, command_timeout=command, at_once=settings.max_connections)


def _timeouts(settings: RedisSettings) -> tuple[float, float]:
    return settings.connect_timeout_ms / 1000, settings.command_timeout_ms / 1000


def _common(settings: RedisSettings) -> dict[str, Any]:
    connect, command = _timeouts(settings)
    return {
        "protocol": 2,  # nothing is pushed between the replies
        "socket_connect_timeout": connect,
        "socket_timeout": command,
        "driver_info": None,
    }
