"""How long a command waits for a cache tier: by what the tier says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from tilores_core import CacheEntry, CacheError, CacheStartingError, CacheTier
from tilores_core.cache.readiness import tier_answers


class Moody:
    """A tier that fails with the errors given, the last of them for ever; without any it answers."""

    def __init__(self, *errors: CacheError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        self.asked += 1
        if not self.errors:
            return {}
        raise self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]


def a_tier(*errors: CacheError) -> CacheTier:
    return cast(CacheTier, Moody(*errors))


async def test_one_that_is_starting_is_given_longer_than_one_that_fails() -> None:
    starting = Moody(*(CacheStartingError("not yet") for _ in range(5)), CacheError("no"))
    with pytest.raises(CacheError, match="no"):
        await tier_answers(cast(CacheTier, starting), patience=0.15)
    assert starting.asked > 6  # and once it has started, it has the whole patience
    failing = Moody(CacheError("no"))
    with pytest.raises(CacheError, match="no"):
        await tier_answers(cast(CacheTier, failing), patience=0.15)
    assert failing.asked <= 3


async def test_one_that_never_gets_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilores_core.cache.readiness.STARTING_PATIENCE", 0.3)
    with pytest.raises(CacheStartingError):
        await tier_answers(a_tier(CacheStartingError("not yet")), patience=0.1)


async def test_one_that_answers_costs_no_wait() -> None:
    answering = Moody()
    await tier_answers(cast(CacheTier, answering), patience=1.0)
    assert answering.asked == 1
