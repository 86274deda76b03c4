"""Settings: the environment (`Environment`) and plugins.toml (`Config`)."""

from tilores_core.settings.config import (
    CacheTable,
    ChatTable,
    Config,
    HostTable,
    KeyTable,
    NamespaceTable,
    UseTable,
)
from tilores_core.settings.environment import Environment, load_environment, variables

__all__ = [
    "CacheTable",
    "ChatTable",
    "Config",
    "Environment",
    "HostTable",
    "KeyTable",
    "NamespaceTable",
    "UseTable",
    "load_environment",
    "variables",
]
