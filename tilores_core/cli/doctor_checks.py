"""The checks of `tilores doctor`: settings, data folder, state, keys, plugins, source, cache, models, tracers.

Each returns or yields its findings. Objects that are built for a check are closed by the host.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from urllib.parse import urlsplit

from tilores_core.cache.readiness import tier_answers
from tilores_core.contracts import CacheEntry, CacheTier, SourceReport, SupportsPeek, SupportsReport
from tilores_core.errors import PluginError, TiloresError
from tilores_core.host.roles import ALERTS, CACHE, LLM, SOURCE, TRACERS, Role
from tilores_core.settings.data_folder import create_data_folder, key_file

if TYPE_CHECKING:
    from tilores_core.chat.models import Models
    from tilores_core.hookspecs import Spec
    from tilores_core.host.host import PluginHost
    from tilores_core.settings import Environment, LoadedConfig

STATE: Final = "state"
MEBIBYTE = 1024 * 1024
LITTLE_SPACE = 512 * MEBIBYTE
NO_SPACE = 16 * MEBIBYTE
_ONE_FOR_ALL: Final = "set DATABASE_URL to one PostgreSQL for all of them"
_LOCAL: Final = frozenset({"", "localhost", "127.0.0.1", "::1"})
_ELSEWHERE: Final = "set TILORES_DATA_DIR to a folder that can be written"
_PROBE = "probe:doctor"
_NO_CUSTOMER = "no-such-customer-of-the-doctor"
_QUESTION = "Reply with the word ready."

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. `fix` says what to do when it is not ok."""

    part: str
    state: State
    detail: str
    fix: str | None = None


Findings = AsyncIterator[Finding]


def ok(part: str, detail: str) -> Finding:
    return Finding(part=part, state="ok", detail=detail)


def problem(part: str, detail: str, fix: str | None) -> Finding:
    return Finding(part=part, state="problem", detail=detail, fix=fix)


def problem_of(part: str, error: TiloresError) -> Finding:
    return problem(part, error.message, error.fix)


def _problem_of_any(part: str, error: Exception, fix: str) -> Finding:
    """Of the errors of others only the class is shown: their messages may quote an address."""
    if isinstance(error, TiloresError):
        return problem(part, error.message, error.fix or fix)
    return problem(part, type(error).__name__, fix)


def warning(part: str, text: str, fix: str | None = None) -> Finding:
    """Make a warning. `text` may end in a fix of its own, as the errors of tilores_core print it."""
    detail, mark, own = text.partition("\n  fix:")
    return Finding(part=part, state="warning", detail=detail.strip(), fix=own.strip() if mark else fix)


# --- settings, data folder, keys, plugins ----------------------------------------------------------------------


def environment(values: Environment) -> list[Finding]:
    detail = f"{values.host}:{values.port}, workers {values.workers}, log {values.log_level} as {values.log_format}"
    return [ok("settings", detail)]


def data_folder(folder: Path) -> list[Finding]:
    """Can it be made and written, and is there room?"""
    part = "data folder"
    try:
        create_data_folder(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        first = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct its permissions"
        return [problem(part, f"{folder}: {error.strerror}", f"{first}, or {_ELSEWHERE}")]
    if _others_may_read(folder):
        detail = f"other users of this machine can read the names of the files in {folder}"
        return [warning(part, detail, f"chmod 700 {folder}, unless it is shared on purpose")]
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free // MEBIBYTE} MiB free"
    if free < LITTLE_SPACE:
        state: State = "problem" if free < NO_SPACE else "warning"
        return [Finding(part=part, state=state, detail=detail, fix=f"make room, or {_ELSEWHERE}")]
    return [ok(part, detail)]


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def keys(values: Environment, loaded: LoadedConfig, *, synthetic: bool) -> list[Finding]:
    """Would the server start with these keys, and does plugins.toml know them?"""
    from tilores_core.web.auth import check_exposure, check_key_tables, describe_keys, is_loopback

    findings = []
    for check, given in ((check_exposure, (values,)), (check_key_tables, (values, loaded.config.keys))):
        try:
            check(*given)
        except TiloresError as error:
            findings.append(problem_of("keys", error))
    if findings:
        return findings
    places = describe_keys(values, synthetic=synthetic)
    detail = f"chat: {places['chat']}; administration: {places['admin']}"
    if values.allow_anonymous and not values.api_keys and not is_loopback(values.host):
        return [warning("keys", detail, "set TILORES_API_KEYS=name:secret")]
    readable = [path for path in (key_file(values.data_dir, kind) for kind in places) if _others_may_read(path)]
    if readable:
        detail = f"other users of this machine can read {', '.join(str(path) for path in readable)}"
        return [warning("keys", detail, "delete it, and start the server for a new key")]
    return [ok("keys", detail)]


def plugins(host: PluginHost) -> list[Finding]:
    """Everything that would stop start-up, then the warnings."""
    findings = [problem_of("plugins", error) for error in host.problems]
    blamed = "\n".join(finding.detail for finding in findings)
    findings += [
        warning("plugins", text, "tilores plugins list")
        for text in host.warnings
        if text.split("\n")[0] not in blamed
    ]
    active = sum(row.state == "active" for row in host.plugins)
    findings.append(ok("plugins", f"{active} active of {len(host.plugins)}"))
    return findings


# --- durable state ---------------------------------------------------------------------------------------------


async def state(environment: Environment) -> list[Finding]:
    """Nothing is made and nothing migrated. Raises `ConfigError`, `StoreError`, which are problems."""
    from tilores_core.store.address import store_address
    from tilores_core.store.store import HEAD, read_revision

    address = store_address(environment.database_url, environment.data_dir)
    revision = await read_revision(address)
    if revision is None:
        detail = f"{address.shown}: nothing there yet, it is made when it is first needed"
    elif revision != HEAD:
        detail = f"{address.shown}: revision {revision}, it becomes {HEAD} at the next start"
    else:
        detail = f"{address.shown}: revision {revision}"
    return [ok(STATE, detail)]


def find_unshared(environment: Environment, host: PluginHost, variables: Mapping[str, str]) -> list[Finding]:
    """A file is one machine's. There are others when Railway says so, or when a cache tier is elsewhere."""
    from tilores_core.store.address import store_address

    address = store_address(environment.database_url, environment.data_dir)
    if address.kind != "sqlite":
        return []
    if variables.get("RAILWAY_REPLICA_ID") and not _on_volume(address.path, variables):
        detail = (
            "on Railway each replica has files of its own, and they end with the deployment; so does this database"
        )
        fix = f"{_ONE_FOR_ALL}, or keep TILORES_DATA_DIR on a volume (a service with one has one replica)"
        return [warning(STATE, detail, fix)]
    for name in host.names(CACHE):
        for variable in host.registration(CACHE, name).spec.environment.values():
            if _is_elsewhere(variables.get(variable, "")):
                detail = (
                    f"{variable} is shared with other machines, and this database is not: "
                    "several servers would each have one"
                )
                return [warning(STATE, detail, f"{_ONE_FOR_ALL}; with one server nothing is wrong")]
    return []


def _on_volume(path: Path, variables: Mapping[str, str]) -> bool:
    volume = variables.get("RAILWAY_VOLUME_MOUNT_PATH")
    return bool(volume) and path.absolute().is_relative_to(str(volume))


def _is_elsewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.hostname not in _LOCAL
    except ValueError:
        return False  # the tier's own finding says what is wrong with it


# --- what plugins build --------------------------------------------------------------------------------------


async def source(host: PluginHost, seconds: float) -> Findings:
    """Does it know its fields, and can it be asked? What it knows may be from an earlier start."""
    name = host.config.use.source
    if name not in host.names(SOURCE):
        return  # the finding about plugins says why
    built = host.build(SOURCE, name)
    settings = f"Its settings: tilores plugins show {_plugin(host, SOURCE, name)}"
    try:
        async with asyncio.timeout(seconds):
            schema = await built.schema()
            await built.get(_NO_CUSTOMER)
    except TimeoutError:
        yield problem("source", f"{name}: no answer within {seconds:g} s", f"is what it reads from up? {settings}")
        return
    if not schema.fields:
        yield warning("source", f"{name}: no fields, so no customers", f"does it hold customers? {settings}")
        return
    yield ok("source", f"{name}: {len(schema.fields)} fields")
    if isinstance(built, SupportsReport):
        for finding in _find_reported(name, await built.report()):
            yield finding


def _find_reported(name: str, report: SourceReport) -> Iterator[Finding]:
    served = f"{name}: {report.records} rows of {report.customers} customers"
    if not report.customers:
        fix = "; ".join(report.problems) or "; ".join(report.warnings)
        yield problem("source", f"{name}: no customers are served", fix)
        return
    yield ok("source", "; ".join((served, *report.facts)))
    if report.left_out:
        detail = f"{name}: {report.left_out} rows are left out, the first: {report.problems[0]}"
        yield warning("source", detail, "correct those rows: tilores customers check FILE")
    for text in report.warnings:
        yield warning("source", f"{name}: {text}")


async def cache(host: PluginHost, seconds: float) -> Findings:
    """Each tier by itself: is what was stored read back?"""
    for name in host.config.use.cache:
        part = f"cache tier {name}"
        reason = host.disabled_roles.get(f"cache/{name}")
        if reason is not None:
            yield warning(part, f"disabled: {reason}", f"remove '{name}' from [use] cache, or correct its settings")
        elif name in host.names(CACHE):
            try:
                yield await _tier(part, host.build(CACHE, name), host.registration(CACHE, name).spec, seconds)
            except TiloresError as error:
                yield _as_it_counts(host, name, problem_of(part, error))
    if not host.config.use.cache:
        yield warning("cache", "no tier: nothing is remembered", 'name tiers: [use] cache = ["memory"]')


async def _tier(part: str, tier: CacheTier, spec: Spec[CacheTier], seconds: float) -> Finding:
    started = time.perf_counter()
    places = ", ".join([*spec.environment.values(), "the plugin's table"])
    mend = f"is it running, and is its address right ({places})?"
    try:
        await tier_answers(tier)
        entry = CacheEntry(b"1", time.time() + 10.0)
        async with asyncio.timeout(seconds):
            await tier.set_many({_PROBE: entry})
            found = await tier.get_many([_PROBE])
            await tier.delete([_PROBE])
    except TimeoutError:
        return problem(part, "it does not answer", mend)
    except Exception as error:  # a plugin's error, whose message may quote an address
        return _problem_of_any(part, error, mend)
    if found.get(_PROBE) != entry:
        return problem(part, "what was stored was not read back", "is it full, or does another program write there?")
    where = "in each process" if isinstance(tier, SupportsPeek) else "shared"
    return ok(part, f"{where}, stored and read back in {_milliseconds(started)} ms")


def _as_it_counts(host: PluginHost, tier: str, finding: Finding) -> Finding:
    """Start-up goes on without a tier that cannot be built, unless it is the first or its plugin is required."""
    first = host.config.use.cache[:1] == (tier,)
    if first or host.is_required(_plugin(host, CACHE, tier)):
        return finding
    return warning(finding.part, f"disabled: {finding.detail}", finding.fix)


async def model(host: PluginHost, seconds: float) -> Findings:
    """Does the default model answer, and does each of its fallbacks?"""
    from tilores_core.host.use import provider_of
    from tilores_core.services import build_models

    provider = provider_of(host.config.use.model)
    if provider is not None and provider not in host.names(LLM):
        return  # the finding about plugins says why
    models = build_models(host)
    for place, name in enumerate(dict.fromkeys((models.default, *models.fallbacks))):
        finding = await _ask(models, name, seconds)
        if place and finding.state == "problem":  # the default model answers all the same
            finding = warning(finding.part, finding.detail, finding.fix)
        yield finding
    for name, fix in sorted(models.idle.items()):
        yield ok(f"provider {name}", f"[use] does not name it; its library is not installed: {fix}")


async def _ask(models: Models, name: str, seconds: float) -> Finding:
    """One tiny question, straight to the model: nothing is read from the cache or stored there."""
    started = time.perf_counter()
    fix = "is its provider reachable from here? tilores models"
    try:
        async with asyncio.timeout(seconds):
            await models.ask(name, [{"role": "user", "content": _QUESTION}])
    except TimeoutError:
        return problem("model", f"{name}: no answer within {seconds:g} s", fix)
    except Exception as error:
        found = _problem_of_any("model", models.provider(name).map_error(error), fix)
        return replace(found, detail=f"{name}: {found.detail}")
    info = models.info(name)
    simulated = ", simulated" if info is not None and info.simulated else ""
    return ok("model", f"{name}{simulated}: answered in {_milliseconds(started)} ms")


async def outlets(host: PluginHost, _: float) -> Findings:
    """Can each tracer and each alert channel be built? Nothing is sent. A tracer that is off is not a fault: the
    default names one that needs a key."""
    for role, title, off in ((TRACERS, "tracer", "ok"), (ALERTS, "alert channel", "warning")):
        for name in getattr(host.config.use, role.name):
            if f"{role.name}/{name}" in host.disabled_roles or name in host.names(role):
                yield _outlet(host, role, name, f"{title} {name}", cast(State, off))


def _outlet(host: PluginHost, role: Role[Any], name: str, part: str, off: State) -> Finding:
    reason = host.disabled_roles.get(f"{role.name}/{name}")
    if reason is None:
        try:
            host.build(role, name)
        except PluginError as error:
            if host.is_required(error.plugin):
                return problem_of(part, error)
            reason = str(error)
    fix = f"remove '{name}' from [use] {role.name}, or correct its settings"
    return ok(part, "ready") if reason is None else replace(warning(part, f"disabled: {reason}", fix), state=off)


def _plugin(host: PluginHost, role: Role[Any], name: str) -> str:
    return host.registration(role, name).plugin_id


def _milliseconds(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
