"""The prompt in production: made, deployed, followed by other replicas, rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.release.conftest import Replica, ReplicaStart
from tilores_core import Prompt, PromptChoice, Turn
from tilores_core.chat.prompts import BUILTIN, BUILTIN_PARTS
from tilores_core.errors import DeploymentRefusedError, InvalidRequestError, StoreError
from tilores_core.release.experiments.assignment import Assignment
from tilores_core.release.prompt_state import PromptState
from tilores_core.store.address import store_address
from tilores_core.testing import eventually

TURN = Turn(messages=({"role": "user", "content": "Hello"},))


async def make(replica: Replica, text: str = "Be kind.", **parts: str) -> int:
    number, is_new = await replica.manager.versions.new(
        {**BUILTIN_PARTS, "answer_style": f"Use short sentences. {text}", **parts}, author="jo", reason=text
    )
    assert is_new
    return number


async def deploy(replica: Replica, number: int, label: str = "production", *, skip: bool = False) -> None:
    await replica.manager.deploy(number, actor="jo", reason="better", label=label, skip_evaluation=skip)


async def test_without_a_version_the_builtin_serves_and_no_database_is_made(
    replica: ReplicaStart, tmp_path: Path
) -> None:
    one = await replica()
    assert one.manager.choose(TURN, "").prompt is BUILTIN
    assert one.manager.report()["stale"] is None
    assert [version.number for version in await one.manager.versions.recent()] == [1]
    assert await one.manager.versions.history() == []
    assert not (tmp_path / "shared").exists()
    with pytest.raises(InvalidRequestError, match="in production already"):
        await one.manager.deploy(1, actor="jo", reason="again", skip_evaluation=True)


async def test_deployed_version_serves_and_is_in_the_audit_log(replica: ReplicaStart) -> None:
    one = await replica()
    number = await make(one)
    assert one.number == 1
    await deploy(one, number)
    prompt = one.manager.choose(TURN, "").prompt
    assert (one.number, prompt.version.partition("-")[0]) == (number, str(number))
    assert "Be kind." in prompt.template
    entry = (await one.manager.versions.history(label="production"))[0]
    assert (entry.actor, entry.action, entry.reason) == ("jo", "prompts.deploy", "better")
    assert {check["check"]: check["result"] for check in entry.detail["checks"]}["evaluation"] == "passed"
    assert (await one.manager.versions.get(number)).scores["evaluation"]["values"]["score"] == 0.9


async def test_same_texts_make_no_version(replica: ReplicaStart) -> None:
    one = await replica()
    assert await one.manager.versions.new(dict(BUILTIN_PARTS), author="jo", reason="") == (1, False)
    with_space = {name: f"\n{text}\n" for name, text in BUILTIN_PARTS.items()}
    assert await one.manager.versions.new(with_space, author="jo", reason="") == (1, False)


async def test_other_replicas_follow_without_a_restart(replica: ReplicaStart) -> None:
    one, two = await replica("one"), await replica("two")
    number = await make(one)
    await deploy(one, number)
    await eventually(lambda: two.number == number)
    assert two.manager.choose(TURN, "").prompt.version == one.manager.choose(TURN, "").prompt.version
    await two.manager.roll_back(actor="jo", reason="worse")
    await eventually(lambda: one.number == 1)


async def test_rolled_back_version_has_its_old_name_so_that_it_finds_its_answers(replica: ReplicaStart) -> None:
    one = await replica()
    await deploy(one, await make(one))
    first = one.manager.choose(TURN, "").prompt.version
    await deploy(one, await make(one, "Be brief."))
    rolled = await one.manager.roll_back(actor="jo", reason="worse")
    assert (rolled.before, rolled.number) == (3, 2)
    assert one.manager.choose(TURN, "").prompt.version == first
    (alert,) = one.alerts.raised
    assert (alert.kind, alert.values) == ("prompt.rolled_back", {"version": 2.0})


async def test_turns_own_prompt_goes_first_then_the_assignment(replica: ReplicaStart) -> None:
    one = await replica()
    await deploy(one, await make(one), label="candidate")
    assert one.number == 1

    class ToCandidate(Assignment):
        def __call__(self, turn: Turn, model: str, state: PromptState) -> PromptChoice:
            return PromptChoice(state.get_labelled("candidate") or state.production)

    one.manager.assignment = ToCandidate()
    assert one.manager.choose(TURN, "").prompt.version.startswith("2-")
    own = Prompt(version="own", template="{customer}")
    assert one.manager.choose(Turn(messages=TURN.messages, prompt=own), "").prompt is own
    await one.manager.remove_label("candidate", actor="jo", reason="over")
    assert one.manager.choose(TURN, "").prompt == BUILTIN


@pytest.mark.parametrize(
    ("score", "by_set", "said"),
    [
        (0.84, {}, "84.0% over 40 golden questions, at least 85% is needed"),
        (0.9, {"hawthorne": 0.8}, "below it: hawthorne 80.0%"),
    ],
)
async def test_low_score_is_refused_with_the_figures(
    replica: ReplicaStart, score: float, by_set: Mapping[str, float], said: str
) -> None:
    one = await replica()
    one.questions.score, one.questions.by_set = score, dict(by_set)
    number = await make(one)
    with pytest.raises(DeploymentRefusedError) as refused:
        await deploy(one, number)
    assert said in refused.value.message
    assert one.number == 1
    entry = (await one.manager.versions.history())[0]
    assert (entry.action, entry.subject) == ("prompts.refuse", "prompts/production")
    (alert,) = one.alerts.raised
    assert (alert.kind, alert.severity) == ("deployment.failed", "HIGH")
    assert said in alert.detail
    one.questions.score, one.questions.by_set = 0.86, {}
    await deploy(one, number)
    assert one.alerts.cleared == [alert.fingerprint]
    assert one.manager.report()["deployments"] == {"deployed": 1, "refused": 1, "rolled_back": 0, "failed": 0}


async def test_without_golden_questions_only_an_explicit_skip_deploys(replica: ReplicaStart) -> None:
    one = await replica()
    one.manager.checks.evaluator = None
    number = await make(one)
    with pytest.raises(DeploymentRefusedError, match="evaluation: not run: there are no golden questions"):
        await deploy(one, number)
    await deploy(one, number, skip=True)
    entry = (await one.manager.versions.history())[0]
    assert entry.detail["skip_evaluation"] is True
    assert {row["check"]: row["result"] for row in entry.detail["checks"]}["evaluation"] == "skipped"
    assert one.number == number


async def test_names_are_numbers_or_labels(replica: ReplicaStart) -> None:
    versions = (await replica()).manager.versions
    assert await versions.number_of("production") == 1
    assert await versions.number_of("7") == 7
    with pytest.raises(InvalidRequestError, match="no label 'nothing'"):
        await versions.number_of("nothing")
    with pytest.raises(InvalidRequestError, match="no prompt version 7"):
        await versions.get(7)


@pytest.mark.parametrize("label", ["", "Production", "a b", "x" * 65, "-a"])
async def test_label_that_is_none_is_refused(replica: ReplicaStart, label: str) -> None:
    with pytest.raises(InvalidRequestError, match="a label begins with"):
        await deploy(await replica(), 1, label=label)


# --- while the store is down -----------------------------------------------------------------------------


async def test_last_known_version_serves_while_the_store_is_down_at_the_start(
    replica: ReplicaStart, tmp_path: Path
) -> None:
    one = await replica("one")
    await deploy(one, await make(one))
    await one.manager.aclose()
    gone = store_address("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    again = await replica("one", address=gone)
    assert again.manager.choose(TURN, "").prompt == one.manager.choose(TURN, "").prompt
    report = again.manager.report()
    assert (report["origin"], report["stale"]) == ("file", "StoreUnavailableError")
    with capture_logs() as logs:
        other = await replica("without a file", address=gone)
    said = next(line for line in logs if line["event"] == "prompts.store_unavailable")
    assert (said["error"].endswith("at 127.0.0.1:1) cannot be reached"), "DATABASE_URL" in said["fix"]) == (
        True,
        True,
    )
    assert other.manager.choose(TURN, "").prompt is BUILTIN
    assert other.manager.report()["stale"] == "StoreUnavailableError"


@pytest.mark.parametrize("damage", [b"", b"x", b"0\n{}"])
async def test_damaged_file_is_as_none(replica: ReplicaStart, tmp_path: Path, damage: bytes) -> None:
    one = await replica("one")
    await deploy(one, await make(one))
    file = tmp_path / "one" / "prompts.json"
    file.write_bytes(file.read_bytes()[:-1] if damage == b"x" else damage)
    again = await replica("one")
    assert (again.number, again.manager.report()["origin"]) == (2, "store")


async def test_database_that_is_gone_does_not_bring_the_builtin_prompt_back(
    replica: ReplicaStart, tmp_path: Path
) -> None:
    one = await replica("one")
    number = await make(one)
    await deploy(one, number)
    again = await replica("one", address=store_address(None, tmp_path / "empty"))
    assert (again.number, again.manager.stale) == (number, "StoreError")
    with pytest.raises(StoreError, match=f"no prompt versions, and version {number} was in production"):
        await again.manager.refresh()
    await again.manager.versions.new({**BUILTIN_PARTS, "role": "You help us."}, author="jo", reason="new")
    await again.manager.refresh()  # someone works with the new database
    assert (again.number, again.manager.state.origin) == (1, "store")
