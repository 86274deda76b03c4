from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tilores_core.contracts import Alert, Prompt
from tilores_core.release.prompt_checks import PromptCase, PromptChecks, PromptEvaluation
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.settings import PromptsTable
from tilores_core.store.address import Address, store_address
from tilores_core.store.lazy import LazyStore


@dataclass
class Questions:
    """Golden questions whose score is given."""

    score: float = 0.9
    by_set: dict[str, float] = field(default_factory=lambda: {"hawthorne": 0.95})
    known: Sequence[PromptCase] = (PromptCase(question="What is the latest credit score of the customer?"),)
    asked: list[Prompt] = field(default_factory=list)

    async def cases(self) -> Sequence[PromptCase]:
        return self.known

    async def evaluate_prompt(self, prompt: Prompt, model: str | None = None) -> PromptEvaluation:
        self.asked.append(prompt)
        return PromptEvaluation(score=self.score, questions=40, by_set=self.by_set)


@dataclass
class Sink:
    """An `AlertSink` that keeps what it was given."""

    raised: list[Alert] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    def raise_alert(self, alert: Alert) -> None:
        self.raised.append(alert)

    def clear(self, fingerprint: str) -> None:
        self.cleared.append(fingerprint)


@dataclass
class Replica:
    """A process's manager over its own connection to the store."""

    manager: ProductionPromptManager
    store: LazyStore
    alerts: Sink
    questions: Questions

    @property
    def number(self) -> int:
        return self.manager.state.number


Replicas = Callable[..., "ReplicaStart"]


class ReplicaStart:
    def __init__(self, stack: AsyncExitStack, address: Address, folder: Path) -> None:
        self._stack = stack
        self._address = address
        self._folder = folder

    async def __call__(
        self, name: str = "one", *, table: PromptsTable | None = None, address: Address | None = None
    ) -> Replica:
        """A started one; of two with the same name the second finds the data folder of the first."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        store = LazyStore(address or self._address)
        self._stack.push_async_callback(store.aclose)
        questions, alerts = Questions(), Sink()
        manager = ProductionPromptManager(store, folder, checks=PromptChecks(table, questions), alerts=alerts)
        self._stack.push_async_callback(manager.aclose)
        await manager.start()
        return Replica(manager, store, alerts, questions)


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[ReplicaStart]:
    """Starts replicas that share a SQLite file, each with a data folder of its own."""
    async with AsyncExitStack() as stack:
        yield ReplicaStart(stack, store_address(None, tmp_path / "shared"), tmp_path)
