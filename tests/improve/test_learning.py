"""What is learned: confidence with decay, where it was seen, and merging without loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.contracts import Change
from tilores_core.improve.learning import LearningAccumulator, Observation, choose_strategy, observations
from tilores_core.store.address import store_address
from tilores_core.store.improvement import StoredCycle
from tilores_core.store.store import Store

DAY_MS = 86_400_000
HELPS = Change(part="answer_style", instruction="Copy every digit.", fault="inexact")
OTHER = Change(part="refusal", instruction="Do not guess.", fault="invented")


def gain(change: Change = HELPS, helped: int = 10, hurt: int = 0, **where: dict[str, float]) -> Observation:
    total = 0.1 * (helped - hurt)
    figures = {"pairs": 20, "total": total, "squares": abs(total) / 10, "helped": helped, "hurt": hurt, **where}
    return Observation.model_validate(asdict(change) | figures)


class Replica:
    """Learning in a database of its own."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self.runner = runner
        self.store = runner.run(Store.open(store_address(None, folder)))
        self.learning = LearningAccumulator(self.store.improvement)

    def add(self, rows: list[dict[str, Any]]) -> int:
        return self.runner.run(self.learning.import_json(orjson.dumps({"observations": rows})))

    def rows(self) -> list[dict[str, Any]]:
        found = orjson.loads(self.runner.run(self.learning.export_json()))["observations"]
        return sorted(found, key=lambda row: str(row["id"]))

    def summary(self, **options: Any) -> list[Any]:
        return self.runner.run(self.learning.summarise(now_ms=100 * DAY_MS, **options))


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    with asyncio.Runner() as runner:
        made = [Replica(runner, tmp_path_factory.mktemp("replica")) for _ in range(2)]
        yield made
        for one in made:
            runner.run(one.store.aclose())


ROWS = st.lists(
    st.builds(
        lambda cycle, day, helped, hurt: observations(cycle, day * DAY_MS, [gain(OTHER, helped, hurt)])[0],
        st.text("abc", min_size=1, max_size=3),
        st.integers(0, 100),
        st.integers(0, 20),
        st.integers(0, 20),
    ),
    max_size=4,
)


@settings(max_examples=20, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_replicas_merge_in_any_order_without_loss(
    replicas: list[Replica], one: list[Any], two: list[Any], three: list[Any]
) -> None:
    first, second = replicas
    second.add(first.rows())  # what other tests have added to one of them
    first.add(second.rows())
    new = sum(first.add(rows) for rows in (one, two, three))
    assert sum(second.add(rows) for rows in (three, two + one, two, three)) == new
    assert first.rows() == second.rows()
    assert {row["id"] for row in one + two + three} <= {row["id"] for row in first.rows()}
    assert first.add(second.rows()) == 0
    assert first.summary() == second.summary()


def test_confidence_is_a_beta_posterior_that_decays(replicas: list[Replica]) -> None:
    replica = replicas[0]
    replica.add(observations("new", 100 * DAY_MS, [gain(by_model={"demo:a": 0.05}, by_spectrum={"billing": 0.05})]))
    (found,) = [one for one in replica.summary() if one.lesson.change == HELPS]
    assert found.lesson.confidence == pytest.approx(1 - 0.5**11)  # Beta(11, 1)
    assert found.lesson.gain == pytest.approx(0.05)
    assert found.low < 0.05 < found.high
    half_life = replica.runner.run(replica.learning.summarise(now_ms=160 * DAY_MS))
    (later,) = [one for one in half_life if one.lesson.change == HELPS]
    assert later.lesson.confidence == pytest.approx(1 - 0.5**6)  # Beta(6, 1)
    assert (dict(found.by_model), dict(found.by_spectrum)) == ({"demo:a": 0.05}, {"billing": 0.05})
    assert found in replica.summary(models=["demo:a"], spectrums=["billing"])
    assert found not in replica.summary(models=["demo:b"])
    assert found not in replica.summary(spectrums=["credit"])


def test_many_pairs_of_one_cycle_count_as_ten(replicas: list[Replica]) -> None:
    change = Change(part="role", instruction="Be exact.")
    replicas[1].add(observations("many", 100 * DAY_MS, [gain(change, 900, 100)]))
    (found,) = [one for one in replicas[1].summary() if one.lesson.change == change]
    assert 0.95 < found.lesson.confidence < 0.999  # Beta(10, 2), not Beta(901, 101)


def test_the_strategy_that_finds_improvements_is_chosen_and_untried_ones_before_those_that_do_not() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)

    def cycle(strategy: str, outcome: str, days: int = 0) -> StoredCycle:
        phases = {"validation": {"decision": {"outcome": outcome}}}
        created = now - timedelta(days=days)
        return StoredCycle(id="c", state="done", created=created, options={"strategy": strategy}, phases=phases)

    names = ["bandit", "critique", "gepa"]
    assert choose_strategy([], names, now=now) == "bandit"
    assert choose_strategy([cycle("bandit", "reject")], names, now=now) == "critique"
    found = [cycle("bandit", "reject"), cycle("critique", "propose"), cycle("gone", "deploy")]
    assert choose_strategy(found, names, now=now) == "critique"
    found += [cycle("gepa", "deploy"), cycle("gepa", "deploy"), cycle("critique", "propose", days=600)]
    assert choose_strategy(found, names, now=now) == "gepa"
