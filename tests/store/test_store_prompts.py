"""Prompt versions, labels and the audit log, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tilores_core.errors import InvalidRequestError
from tilores_core.store.address import Address
from tilores_core.store.prompts import PromptVersion
from tilores_core.store.store import Store

BUILTIN = {"role": "You help."}


async def new(store: Store, role: str, parent: int | None = 1) -> PromptVersion:
    return await store.prompts.create(
        {"role": role}, author="jo", reason=f"say {role}", parent=parent, builtin=BUILTIN
    )


async def move(store: Store, number: int, expected: int | None, label: str = "production") -> None:
    why: dict[str, Any] = {"actor": "jo", "reason": "better", "builtin": BUILTIN, "detail": {"score": 0.9}}
    await store.prompts.move(label, number, expected=expected, **why)


async def numbers(store: Store) -> dict[str, int]:
    return {name: label.number for name, label in (await store.prompts.get_labelled()).labels.items()}


async def actions(store: Store) -> list[str]:
    return [f"{entry.action} {entry.subject}" for entry in reversed(await store.audit.recent())]


async def test_first_version_comes_after_the_builtin_which_is_in_production(store: Store) -> None:
    made = await new(store, "A")
    assert (made.number, made.parent, made.author, made.reason) == (2, 1, "jo", "say A")
    assert [version.number for version in await store.prompts.recent()] == [2, 1]
    found = await store.prompts.get_labelled()
    assert {name: label.number for name, label in found.labels.items()} == {"production": 1}
    assert found.versions[1].parts == BUILTIN
    assert await actions(store) == ["prompts.deploy prompts/production", "prompts.new prompts/2"]
    assert await store.changes.counters() == {"prompts": 1}


async def test_deploying_moves_the_label_and_keeps_the_version_before(store: Store) -> None:
    await new(store, "A")
    await move(store, 2, expected=1)
    label = (await store.prompts.get_labelled()).labels["production"]
    assert (label.number, label.previous) == (2, (1,))
    (entry,) = await store.audit.recent(limit=1)
    assert (entry.actor, entry.action, entry.reason) == ("jo", "prompts.deploy", "better")
    assert entry.detail == {"from": 1, "to": 2, "score": 0.9}


async def test_roll_back_goes_one_further_each_time(store: Store) -> None:
    for role in "AB":
        await new(store, role)
    await move(store, 2, expected=1)
    await move(store, 3, expected=2)
    for expected in (2, 1):
        moved = await store.prompts.roll_back("production", actor="jo", reason="worse")
        assert moved.number == expected
    with pytest.raises(InvalidRequestError, match="no version before version 1"):
        await store.prompts.roll_back("production", actor="jo", reason="worse")


async def test_roll_back_to_an_earlier_version(store: Store) -> None:
    for number, role in enumerate("ABC", start=2):
        await new(store, role)
        await move(store, number, expected=number - 1)
    with pytest.raises(InvalidRequestError, match="version 9 was never 'production'; these were: 1, 2, 3"):
        await store.prompts.roll_back("production", actor="jo", reason="worse", to=9)
    with pytest.raises(InvalidRequestError, match="is version 4 and not version 3"):
        await store.prompts.roll_back("production", actor="jo", reason="worse", expected=3)
    moved = await store.prompts.roll_back("production", actor="jo", reason="worse", to=2, expected=4)
    assert (moved.number, moved.previous) == (2, (1,))


async def test_refused_changes_leave_nothing(store: Store) -> None:
    await new(store, "A")
    before = await actions(store), await store.changes.counters()
    with pytest.raises(InvalidRequestError, match="no prompt version 7"):
        await move(store, 7, expected=1)
    with pytest.raises(InvalidRequestError, match="moved meanwhile: it is version 1 and not version 2"):
        await move(store, 2, expected=2)
    with pytest.raises(InvalidRequestError, match="no prompt version 7"):
        await new(store, "B", parent=7)
    with pytest.raises(InvalidRequestError, match="cannot be removed"):
        await store.prompts.remove_label("production", actor="jo", reason="")
    assert (await actions(store), await store.changes.counters()) == before


async def test_labels_come_and_go(store: Store) -> None:
    await new(store, "A")
    await move(store, 2, expected=None, label="candidate")
    assert await numbers(store) == {"production": 1, "candidate": 2}
    assert await store.prompts.remove_label("candidate", actor="jo", reason="over")
    assert not await store.prompts.remove_label("candidate", actor="jo", reason="over")
    assert await numbers(store) == {"production": 1}


async def test_scores_are_added_to_a_version(store: Store) -> None:
    await new(store, "A")
    await store.prompts.add_scores(2, {"evaluation": {"score": 0.9}})
    await store.prompts.add_scores(2, {"experiment": 0.1})
    found = await store.prompts.get(2)
    assert found is not None
    assert found.scores == {"evaluation": {"score": 0.9}, "experiment": 0.1}
    assert found.parts == {"role": "A"}


async def test_replicas_that_make_versions_at_once_number_them_one_after_another(
    store: Store, address: Address
) -> None:
    other = await Store.open(address)
    try:
        made = await asyncio.gather(*(new(one, f"{index}") for index, one in enumerate((store, other) * 5)))
        assert sorted(version.number for version in made) == list(range(2, 12))
        moved = await asyncio.gather(
            *(move(one, number, 1) for number, one in ((2, store), (3, other))), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in moved) == ["ConflictError", "NoneType"]
    finally:
        await other.aclose()


async def test_audit_is_read_by_subject_and_area(store: Store) -> None:
    await store.audit.add(actor="a", action="prompts.refuse", subject="prompts/production")
    await store.audit.add(actor="b", action="experiments.start", subject="experiments/x", detail={"arms": 2})
    assert [entry.actor for entry in await store.audit.recent()] == ["b", "a"]
    assert [entry.actor for entry in await store.audit.recent(area="prompts")] == ["a"]
    assert [dict(entry.detail) for entry in await store.audit.recent(subject="experiments/x")] == [{"arms": 2}]
    assert len(await store.audit.recent(limit=1)) == 1
