"""What the host knows of each plugin: one immutable record per plugin, replaced as its state changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

State = Literal[
    "enabled",  # will be loaded
    "disabled",  # will not even be imported
    "incompatible",  # made for another version of tilores-core; not imported
    "conflict",  # two claim one id (not imported), or one name in one role
    "active",  # loaded, its registrations are in use
    "missing-dependency",  # the plugin is there, a library it needs is not
    "failed",  # anything else
]

PROBLEM_STATES: Final[frozenset[State]] = frozenset({"incompatible", "conflict", "missing-dependency", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One plugin. `order`: low loads first. `load_ms`: import and hooks, None when it was not imported.

    `provides`: `role:name` of each registration, known once its hooks ran. `reason` says why it is in a state that
    is not plain `enabled` or `active`; `fix` what to do about it. `error` is the exception, with its cause.
    """

    id: str
    distribution: str
    version: str
    target: str
    builtin: bool
    state: State
    reason: str = ""
    fix: str = ""
    order: int = 100
    required: bool = False
    load_ms: float | None = None
    error: Exception | None = None
    provides: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How messages name it: id, distribution, version."""
        return f"plugin '{self.id}' ({self.distribution} {self.version})"

    @property
    def is_problem(self) -> bool:
        return self.state in PROBLEM_STATES

    def describe_problem(self) -> str:
        """The short report: who, what, how to mend it, where to read more."""
        line = f"{self.label} not loaded: {self.state}: {self.reason}"
        more = f"tilores plugins show {self.id} --traceback"
        return f"{line}\n  fix:  {self.fix}    more:  {more}" if self.fix else f"{line}\n  more:  {more}"

    def as_row(self) -> dict[str, Any]:
        """For JSON: everything but the exception."""
        return {
            "id": self.id,
            "state": self.state,
            "reason": self.reason,
            "fix": self.fix,
            "version": self.version,
            "distribution": self.distribution,
            "target": self.target,
            "builtin": self.builtin,
            "order": self.order,
            "required": self.required,
            "load_ms": None if self.load_ms is None else round(self.load_ms, 1),
            "provides": list(self.provides),
        }
