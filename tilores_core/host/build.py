"""Call a registration's factory and check what comes out."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Collection
from typing import Any

from tilores_core.contracts import PluginContext
from tilores_core.errors import ConfigError, PluginError
from tilores_core.host.collect import Registration
from tilores_core.host.imports import (
    import_attribute,
    import_error,
    missing_dependency,
    module_exists,
    plugin_error,
)
from tilores_core.host.roles import ROLE
from tilores_core.host.scan import Discovered
from tilores_core.settings.references import redact


def check_requirements(found: Discovered, registration: Registration) -> None:
    """Raises `MissingDependencyError` for the first library of the spec's `requires` that is not installed."""
    for module, install in registration.spec.requires.items():
        if not module_exists(module):
            raise missing_dependency(found, module, install)


def build_object(
    found: Discovered, registration: Registration, context: PluginContext, secrets: Collection[str]
) -> object:
    """The object that the registration's factory makes. Raises `PluginError`, or the factory's own `ConfigError`.

    `secrets` are kept out of the message, and a cause that shows one is not chained.
    """
    check_requirements(found, registration)
    factory = registration.spec.factory
    module = factory.partition(":")[0] if isinstance(factory, str) else found.target
    call = import_attribute(found, factory) if isinstance(factory, str) else factory
    if not callable(call):
        raise plugin_error(found, f"'{registration.title}': its factory '{factory}' cannot be called")
    try:
        built: Any = call(context)
    except (ConfigError, PluginError):
        raise
    except (Exception, SystemExit) as error:
        shown = any(secret in "".join(traceback.format_exception(error)) for secret in secrets)
        raise _factory_error(found, registration, module, error, secrets) from (None if shown else error)
    if inspect.iscoroutine(built):
        built.close()
        raise plugin_error(found, f"'{registration.title}': its factory is async", fix="write 'def', not 'async def'")
    _check_methods(found, registration, built)
    return built


def _factory_error(
    found: Discovered, registration: Registration, module: str, error: BaseException, secrets: Collection[str]
) -> PluginError:
    if isinstance(error, ModuleNotFoundError):
        return import_error(found, module, error)
    cause = redact(f"{type(error).__name__}: {error}", secrets)
    return plugin_error(
        found,
        f"building '{registration.title}' failed: {cause}",
        fix=f"check [plugins.{found.id}]; more: tilores plugins show {found.id} --traceback",
    )


def _check_methods(found: Discovered, registration: Registration, built: object) -> None:
    missing = [name for name in ROLE[registration.role].methods if not callable(getattr(built, name, None))]
    if missing:
        raise plugin_error(
            found,
            f"'{registration.title}': its factory made a {type(built).__name__}, which lacks {', '.join(missing)}",
            fix="see the role's Protocol in tilores_core and its suite in tilores_core.testing",
        )
