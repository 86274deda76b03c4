"""What is deployed: which variables the active settings need, where they come from, and what can be told without the
platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from tilores_core.contracts import DeployFinding, DeployProject, DeployVariable, SupportsBroadcast
from tilores_core.host.plugin_settings import own_keys, settings_class
from tilores_core.host.roles import ALERTS, CACHE, LLM, ROUTERS, SOURCE, TRACERS, Registration
from tilores_core.host.use import selections

if TYPE_CHECKING:
    from tilores_core.host.host import PluginHost
    from tilores_core.settings import Environment

_SERVING: Final = (CACHE, SOURCE, LLM, TRACERS, ALERTS, ROUTERS)
_DEMO: Final = "demo"
_SECRET: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD", "URL", "DSN", "HEADERS")


def make_project(
    host: PluginHost, environment: Environment, variables: Mapping[str, str], folder: Path
) -> DeployProject:
    """The program with the active settings. Values come from `variables`: the environment and `.env` here."""
    config = host.config
    demo = config.use.source == _DEMO
    found: dict[str, DeployVariable] = {}

    def need(name: str, by: str, *, required: bool = False, secret: bool | None = None, value: str = "") -> None:
        known = found.get(name)
        text = value or variables.get(name, "")
        found[name] = DeployVariable(
            name=name,
            needed_by=(*(known.needed_by if known else ()), by),
            required=required or (known is not None and known.required),
            secret=name.endswith(_SECRET) if secret is None else secret,
            value=SecretStr(text) if text else None,
        )

    need("TILORES_HOST", "the server", required=True, secret=False, value="0.0.0.0")  # noqa: S104  # in a container
    need("TILORES_LOG_FORMAT", "logs", secret=False, value="json")
    need("TILORES_ADMIN_KEYS", "administration", required=True, secret=True)
    need("TILORES_API_KEYS", "chat", required=not (demo or environment.allow_anonymous), secret=True)
    need("DATABASE_URL", "durable state")
    if environment.secret_key is not None:
        need("TILORES_SECRET_KEY", "signed cache entries")
    if environment.allow_anonymous:
        need("TILORES_ALLOW_ANONYMOUS", "chat without keys", secret=False)
    if not host.loaded.packaged and host.loaded.path.name != "plugins.toml":
        need("TILORES_CONFIG", "plugins.toml", secret=False, value=host.loaded.path.name)
    for registration, essential in _iterate_used(host):
        for name, required in _variables_of(host, registration):
            need(name, registration.plugin_id, required=required and essential)
    return DeployProject(
        folder=folder.absolute(),
        config=host.loaded.path,
        model=config.use.model,
        draining_seconds=round(config.chat.drain_seconds + config.chat.shutdown_seconds),
        uses_redis=any(
            SupportsBroadcast in host.registration(CACHE, name).spec.abilities for name in host.used_names(CACHE)
        ),
        chat_open=environment.allow_anonymous or (demo and "TILORES_API_KEYS" not in variables),
        variables=found,
        extras=tuple(sorted(set(_extras(host)))),
    )


def check_project(project: DeployProject, host: PluginHost) -> list[DeployFinding]:
    """What is wrong before any platform is asked."""
    found = [DeployFinding("plugins", problem.message, problem.fix or "") for problem in host.problems]
    for what, reason in host.disabled_roles.items():
        fix = "install it in what is deployed, or remove it from [use]"
        found.append(DeployFinding("plugins.disabled", f"{what} cannot work here: {reason}", fix, "warning"))
    if not found:
        found.append(DeployFinding("plugins", "all that [use] names can work", state="ok"))
    if project.chat_open and host.config.use.source != _DEMO:
        detail = "everyone who finds the server would be answered about your customers"
        fix = "unset TILORES_ALLOW_ANONYMOUS and set TILORES_API_KEYS"
        found.append(DeployFinding("keys.anonymous", detail, fix))
    missing = sorted(v.name for v in project.variables.values() if v.required and v.value is None)
    local = sorted(v.name for v in project.variables.values() if v.is_local)
    if missing:
        fix = "set them here or in .env to have them sent, or set them on the platform"
        detail = f"not set on this machine: {', '.join(missing)}"
        found.append(DeployFinding("variables.here", detail, fix, "warning"))
    if local:
        detail = f"{', '.join(local)}: an address of this machine, which is not sent"
        found.append(DeployFinding("variables.local", detail, "set on the platform what it is there", "warning"))
    return found


def _iterate_used(host: PluginHost) -> Iterator[tuple[Registration[Any], bool]]:
    """What a server with these settings builds, and whether it cannot do without."""
    chosen = {(selection.role, selection.name): selection.essential for selection in selections(host.config.use)}
    for role in _SERVING:
        for name in host.names(role):
            if role is ROUTERS or (role.name, name) in chosen:
                yield host.registration(role, name), chosen.get((role.name, name), False)


def _variables_of(host: PluginHost, registration: Registration[Any]) -> Iterator[tuple[str, bool]]:
    """The variables that fill the plugin's settings, and whether there is no other value for them."""
    table = own_keys(host.loaded, registration.plugin_id)
    plugin = host.active_plugin(registration.plugin_id)
    model = settings_class(plugin) if plugin is not None else None
    fields = model.model_fields if model is not None else {}
    for key, name in registration.spec.environment.items():
        if key not in table:
            # A secret has a default, so that a plugin without it is merely off: but not one that is in use.
            wanted = fields.get(key)
            yield name, wanted is not None and (wanted.is_required() or "SecretStr" in str(wanted.annotation))
    for value in table.values():
        if isinstance(value, Mapping) and "env" in value:
            yield str(value["env"]), "default" not in value


def _extras(host: PluginHost) -> Iterator[str]:
    """Extras of this distribution, as the specs name them: `tilores-core[openai]`."""
    for registration, _ in _iterate_used(host):
        for install in registration.spec.requires.values():
            name, bracket, rest = install.partition("[")
            if bracket and name.strip() == "tilores-core":
                yield rest.partition("]")[0]
