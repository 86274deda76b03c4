"""Load what the plan enables, plugin by plugin, and gather what they register."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilores_core.errors import MissingDependencyError, PluginError
from tilores_core.host.collect import Registration, collect
from tilores_core.host.load import load_plugin
from tilores_core.host.plan import Plan, Planned
from tilores_core.host.records import PluginRecord, State
from tilores_core.host.scan import Discovered


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin after the plan was carried out. `registrations` of one that is not active count for nothing."""

    found: Discovered
    record: PluginRecord
    registrations: tuple[Registration, ...] = ()


def assemble(plan: Plan) -> tuple[Loaded, ...]:
    """Carry out the plan in its order. Never raises for what a plugin does: that is in its record."""
    loaded = [
        _load(item) if item.record.state == "enabled" else Loaded(item.found, item.record) for item in plan.items
    ]
    return _settle_names(loaded)


def failed(record: PluginRecord, error: PluginError, state: State | None = None) -> PluginRecord:
    """The record of a plugin that `error` put out of action."""
    prefix = f"{record.label}: "
    return replace(
        record,
        state=state or ("missing-dependency" if isinstance(error, MissingDependencyError) else "failed"),
        reason=error.message.removeprefix(prefix),
        fix=error.fix or "",
        error=error,
    )


def _load(item: Planned) -> Loaded:
    begun = time.perf_counter()
    try:
        registrations = collect(item.found, load_plugin(item.found))
    except PluginError as error:
        return Loaded(item.found, replace(failed(item.record, error), load_ms=_since(begun)))
    record = replace(
        item.record,
        state="active",
        load_ms=_since(begun),
        provides=tuple(registration.title for registration in registrations),
    )
    return Loaded(item.found, record, registrations)


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def _settle_names(loaded: Sequence[Loaded]) -> tuple[Loaded, ...]:
    """Put out of action all plugins that claim a name another one claims too: to choose one would be a guess."""
    claims: dict[tuple[str, str], list[Loaded]] = defaultdict(list)
    for item in loaded:
        for registration in item.registrations:
            claims[registration.role, registration.name].append(item)
    losers: dict[str, PluginError] = {}
    for (role, name), items in claims.items():
        if len(items) > 1:
            labels = " and ".join(item.record.label for item in items)
            for item in items:
                losers.setdefault(item.record.id, _name_conflict(item.found, f"{role}:{name}", labels))
    return tuple(
        replace(item, record=failed(item.record, losers[item.record.id], "conflict"))
        if item.record.id in losers and item.record.state == "active"
        else item
        for item in loaded
    )


def _name_conflict(found: Discovered, title: str, labels: str) -> PluginError:
    return PluginError(
        f"'{title}' is claimed by {labels}",
        plugin=found.id,
        distribution=found.distribution,
        version=found.version,
        fix=f"disable one of them, for example: tilores plugins disable {found.id}",
    )
