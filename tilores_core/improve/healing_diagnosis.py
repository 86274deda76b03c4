"""From evidence to what is wrong, and what may be done about it; pure functions.

| diagnosis | evidence | done |
| --- | --- | --- |
| model down | its circuit breaker has been open for half a minute | fail over |
| prompt regressed | a breach, and the version in production is worse there than the one before | roll back |
| provider changed | a breach, and the provider uses another model or system since | fail over, re-optimise |
| schema changed | a breach, and the source's schema is another since | report |
| data drift | a breach, and other questions or fields come in than before | re-optimise |
| not explained | a breach, and nothing of the above | re-optimise |

The first that fits counts. A change without a breach is reported, and nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from tilores_core.improve.healing_evidence import Change, Evidence
from tilores_core.release.monitor import Regression
from tilores_core.store.windows import DAY_MS

if TYPE_CHECKING:
    from tilores_core.store.alerts import StoredAlert
    from tilores_core.store.healing import Episode

Diagnosis = Literal[
    "model down", "prompt regressed", "provider changed", "schema changed", "data drift", "not explained"
]
Action = Literal["fail over", "roll back", "re-optimise", "report"]

_DOWN_MS: Final = 30_000
_SETTLE_MS: Final = 20_000
"""A breach may be seen before its cause: processes add what they saw every ten seconds."""
_FEWEST_TRIES: Final = 3
_HOPELESS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A diagnosis.

    `subject`: what it is about: a model, a prompt version, a source. `actions`: what may help, the first one first.
    """

    diagnosis: Diagnosis
    subject: str
    actions: tuple[Action, ...] = ("report",)
    model: str | None = None
    breaches: tuple[StoredAlert, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    regression: Regression | None = None

    @property
    def spectrums(self) -> tuple[str, ...]:
        """Where quality is breached; empty: all, or no breach."""
        return tuple(sorted({one.alert.spectrum or "" for one in self.breaches}))


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingLesson:
    """How often an action ended a fault of this kind. `confidence`: the mean of a Beta distribution that began
    uniform."""

    diagnosis: str
    action: str
    healed: int
    not_healed: int

    @property
    def confidence(self) -> float:
        return (1 + self.healed) / (2 + self.healed + self.not_healed)


def diagnose(evidence: Evidence) -> list[Finding]:
    """What is wrong, the most certain first; each breach in one finding."""
    found = [
        Finding(
            diagnosis="model down",
            subject=name,
            model=name,
            actions=("fail over", "report"),
            evidence={"down_since_ms": since},
        )
        for name, since in sorted(evidence.down.items())
        if evidence.now_ms - since >= _DOWN_MS
    ]
    left = [
        one
        for one in evidence.breaches
        if evidence.now_ms - one.first_ms >= _SETTLE_MS and one.alert.model not in evidence.down
    ]

    def take(is_caused: Callable[[StoredAlert], bool]) -> tuple[StoredAlert, ...]:
        """The breaches that a finding explains; no other one does then."""
        taken = tuple(filter(is_caused, left))
        left[:] = [one for one in left if one not in taken]
        return taken

    if regressed := take(lambda one: one.alert.spectrum in evidence.regressions):
        worst = max((evidence.regressions[one.alert.spectrum or ""] for one in regressed), key=lambda one: one.by)
        found.append(
            Finding(
                diagnosis="prompt regressed",
                subject=f"version {worst.version}",
                actions=("roll back", "report"),
                breaches=regressed,
                evidence={"figure": worst.figure, "before": worst.before, "after": worst.after, "by": worst.by},
                regression=worst,
            )
        )
    for name, change in _list_recent(evidence, evidence.served_by):
        caused = take(partial(_follows, change=change, model=name))
        found.append(
            Finding(
                diagnosis="provider changed",
                subject=name,
                model=name,
                actions=("fail over", "re-optimise", "report") if caused else ("report",),
                breaches=caused,
                evidence=asdict(change),
            )
        )
    # What lies behind all models: one finding for all breaches that are left.
    drift, schemas = evidence.drift.to_state(), _list_recent(evidence, evidence.schema)
    for source, change in schemas:
        caused = take(partial(_follows, change=change))
        state = {**asdict(change), **drift}
        found.append(Finding(diagnosis="schema changed", subject=source, breaches=caused, evidence=state))
    rest = tuple(left)
    actions: tuple[Action, ...] = ("re-optimise", "report") if rest else ("report",)
    if evidence.drift and not schemas:
        about = "questions and records"
        found.append(Finding(diagnosis="data drift", subject=about, actions=actions, breaches=rest, evidence=drift))
    elif rest:
        about = ", ".join(sorted({one.alert.spectrum or "" for one in rest}))
        state = {"models": sorted({one.alert.model or "" for one in rest})}
        found.append(
            Finding(diagnosis="not explained", subject=about, actions=actions, breaches=rest, evidence=state)
        )
    return found


def lessons(episodes: Iterable[Episode]) -> list[HealingLesson]:
    """What ended episodes say, by diagnosis and action, the surest first."""
    counts: dict[tuple[str, str], list[int]] = {}
    for one in episodes:
        if one.state in ("healed", "not healed"):
            counts.setdefault((one.diagnosis, one.body["action"]), [0, 0])[one.state == "not healed"] += 1
    learned = [
        HealingLesson(diagnosis=key[0], action=key[1], healed=healed, not_healed=not_healed)
        for key, (healed, not_healed) in counts.items()
    ]
    return sorted(learned, key=lambda one: (-one.confidence, one.diagnosis, one.action))


def choose(finding: Finding, possible: Collection[str], learned: Sequence[HealingLesson]) -> Action:
    """The first action that is possible here and has not failed nearly every time before."""
    hopeless = {
        one.action
        for one in learned
        if one.diagnosis == finding.diagnosis
        and one.healed + one.not_healed >= _FEWEST_TRIES
        and one.confidence < _HOPELESS
    }
    return next((one for one in finding.actions if one in possible and one not in hopeless), "report")


def _list_recent(evidence: Evidence, changes: Mapping[str, Change]) -> list[tuple[str, Change]]:
    return [(name, one) for name, one in sorted(changes.items()) if evidence.now_ms - one.since_ms <= DAY_MS]


def _follows(breach: StoredAlert, change: Change, model: str | None = None) -> bool:
    """Whether a breach, of this model or of any, began after a change."""
    return model in (None, breach.alert.model) and breach.first_ms >= change.since_ms - _SETTLE_MS
