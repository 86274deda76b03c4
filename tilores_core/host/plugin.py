"""One installed plugin: what its metadata says, its state, and what it registers. Found without importing any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, Literal

from tilores_core.errors import MissingDependencyError, PluginError
from tilores_core.hookspecs import ENTRY_POINT_GROUP

if TYPE_CHECKING:
    from tilores_core.host.roles import Registration

CORE_DISTRIBUTION: Final = "tilores-core"
DEFAULT_ORDER: Final = 100

State = Literal[
    "enabled",  # will be loaded
    "disabled",  # will not even be imported
    "incompatible",  # made for another version of tilores-core; not imported
    "conflict",  # two claim one id (not imported), or one name in one role
    "active",  # loaded, its registrations are in use
    "missing-dependency",  # the plugin is installed, a library it needs is not
    "failed",  # anything else
]

PROBLEM_STATES: Final[frozenset[State]] = frozenset({"incompatible", "conflict", "missing-dependency", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One plugin; replaced by a copy as its state changes.

    From the entry point: `id`, `target` (the module it names), distribution and version; `requires`: the
    distribution's `Requires-Dist` lines; `module`: the plugin itself where a test gives it, otherwise `target` is
    imported. `order`: low loads first. `load_ms`: import and hooks, None when it was not imported. `reason` says why
    it is in a state that is not plain `enabled` or `active`, `fix` what to do about it; `error` is the exception with
    its cause. `registrations` of a plugin that is not active are not used.
    """

    id: str
    target: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()
    builtin: bool = False
    module: object | None = None
    state: State = "enabled"
    reason: str = ""
    fix: str = ""
    order: int = DEFAULT_ORDER
    required: bool = False
    load_ms: float | None = None
    error: Exception | None = None
    registrations: tuple[Registration[Any], ...] = ()

    @property
    def label(self) -> str:
        """How messages name it: id, distribution, version."""
        return f"plugin '{self.id}' ({self.distribution} {self.version})"

    @property
    def provides(self) -> tuple[str, ...]:
        """`role:name` of each registration, known once the hooks ran."""
        return tuple(registration.title for registration in self.registrations)

    @property
    def is_problem(self) -> bool:
        return self.state in PROBLEM_STATES

    def describe_problem(self) -> str:
        """A short report: which plugin, what is wrong, how to fix it, where to read more."""
        line = f"{self.label} not loaded: {self.state}: {self.reason}"
        more = f"tilores plugins show {self.id} --traceback"
        return f"{line}\n  fix:  {self.fix}    more:  {more}" if self.fix else f"{line}\n  more:  {more}"

    def as_row(self) -> dict[str, Any]:
        """For JSON: everything but the exception."""
        names = ("id", "state", "reason", "fix", "version", "distribution", "target", "builtin", "order", "required")
        return {
            **{name: getattr(self, name) for name in names},
            "load_ms": None if self.load_ms is None else round(self.load_ms, 1),
            "provides": list(self.provides),
        }

    def problem(self, message: str, *, fix: str | None = None) -> PluginError:
        """An error that names the plugin, its distribution and version."""
        return PluginError(message, plugin=self.id, distribution=self.distribution, version=self.version, fix=fix)

    def missing(self, message: str, *, fix: str) -> MissingDependencyError:
        """The same for a library that is not installed."""
        return MissingDependencyError(
            message, plugin=self.id, distribution=self.distribution, version=self.version, fix=fix
        )

    def with_failure(self, error: PluginError, state: State | None = None) -> Plugin:
        """The plugin after `error`."""
        return replace(
            self,
            state=state or ("missing-dependency" if isinstance(error, MissingDependencyError) else "failed"),
            reason=error.message.removeprefix(f"{self.label}: "),
            fix=error.fix or "",
            error=error,
        )


def scan() -> tuple[Plugin, ...]:
    """Every plugin installed in this environment, by id.

    `entry_points()` reads every distribution's metadata, so callers keep the result. It leaves out a distribution
    that another copy earlier on the path shadows, as imports do.
    """
    return sort_plugins([_discover(point) for point in entry_points(group=ENTRY_POINT_GROUP)])


def sort_plugins(plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    """In an order that does not depend on what was installed first."""
    return tuple(sorted(plugins, key=lambda item: (item.id, item.distribution, item.target)))


def _discover(point: EntryPoint) -> Plugin:
    name, version, requires = _identity(point.dist)
    return Plugin(
        id=point.name,
        target=point.value,
        distribution=name,
        version=version,
        requires=requires,
        builtin=name == CORE_DISTRIBUTION,
    )


def _identity(distribution: Distribution | None) -> tuple[str, str, tuple[str, ...]]:
    if distribution is None:
        return "unknown", "unknown", ()
    try:
        name, version = distribution.name or "unknown", distribution.version or "unknown"
        return name, version, tuple(distribution.requires or ())
    except Exception:  # half-removed metadata fails in many ways, and must not hide the other plugins
        return "unknown", "unknown", ()
