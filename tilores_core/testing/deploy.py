"""What every deploy target must do.

    import pytest_asyncio
    from tilores_core.testing.deploy import DeployTargetSuite

    class TestAcmeTarget(DeployTargetSuite):
        @pytest_asyncio.fixture
        async def make_target(self, acme_service):
            return lambda: AcmeTarget(acme_service.url, ...)      # a new one, as a new process would have

        @pytest.fixture
        def deployed(self, acme_service):
            return lambda: len(acme_service.deployments)          # how many the platform made

        @pytest.fixture
        def deploy_project(self, tmp_path): ...                   # a `DeployProject` that can be deployed

        @pytest.fixture
        def fail_after(self, acme_service):
            return acme_service.fail_after     # fail_after(n): from the n-th call on the platform cannot be reached,
                                               # fail_after(None): it works again

Tests of a fixture that is not overridden are skipped. Give the target short deadlines, so that the tests are quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tilores_core.contracts import DeployProject, DeployTarget
from tilores_core.errors import DeployError

MakeTarget = Callable[[], DeployTarget]

_STATES = {"in progress", "running", "failed", "stopped"}


class MemoryJournal:
    """A journal that keeps only what JSON keeps."""

    def __init__(self) -> None:
        self._text = "{}"

    def read(self) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(self._text)
        return entry

    def write(self, entry: Mapping[str, Any]) -> None:
        self._text = json.dumps(dict(entry))


class DeployTargetSuite:
    """Subclass it, and override the fixtures."""

    can_rollback = True
    most_calls = 40
    """So many calls to the platform make one deployment at most."""

    @pytest.fixture
    def make_target(self) -> MakeTarget:
        raise NotImplementedError("override make_target")

    @pytest.fixture
    def deploy_project(self, tmp_path: Path) -> DeployProject:
        raise NotImplementedError("override deploy_project")

    @pytest.fixture
    def deployed(self) -> Callable[[], int]:
        pytest.skip("deployed is not given")

    @pytest.fixture
    def fail_after(self) -> Callable[[int | None], None]:
        pytest.skip("fail_after is not given")

    async def test_check_changes_nothing_and_names_what_mends(
        self, make_target: MakeTarget, deploy_project: DeployProject, deployed: Callable[[], int]
    ) -> None:
        target = make_target()
        findings = await target.check(deploy_project)
        await target.aclose()
        assert findings
        assert all(one.check and one.detail and (one.state == "ok" or one.fix) for one in findings)
        assert deployed() == 0

    async def test_check_quotes_no_value_of_a_variable(
        self, make_target: MakeTarget, deploy_project: DeployProject
    ) -> None:
        target = make_target()
        text = " ".join(f"{one.detail} {one.fix}" for one in await target.check(deploy_project))
        await target.aclose()
        assert not any(secret in text for secret in _secrets(deploy_project))

    async def test_up_deploys_once_and_status_knows_it(
        self, make_target: MakeTarget, deploy_project: DeployProject, deployed: Callable[[], int]
    ) -> None:
        target, lines = make_target(), list[str]()
        made = await target.up(deploy_project, MemoryJournal(), lines.append)
        assert made.state == "running"
        assert deployed() == 1
        known = await target.status()
        assert [one.id for one in known if one.active] == [made.id]
        assert {one.state for one in known} <= _STATES
        assert not any(secret in line for secret in _secrets(deploy_project) for line in lines)
        await target.aclose()

    async def test_up_that_was_interrupted_anywhere_deploys_once(
        self,
        make_target: MakeTarget,
        deploy_project: DeployProject,
        deployed: Callable[[], int],
        fail_after: Callable[[int | None], None],
    ) -> None:
        journal = MemoryJournal()
        for calls in range(self.most_calls):
            fail_after(calls)
            target = make_target()
            try:
                made = await target.up(deploy_project, journal, lambda _: None)
            except DeployError:
                continue
            finally:
                await target.aclose()
            assert made.state == "running"
            assert deployed() == 1
            return
        pytest.fail(f"no deployment within {self.most_calls} calls")

    async def test_rollback_makes_the_earlier_one_active(
        self, make_target: MakeTarget, deploy_project: DeployProject
    ) -> None:
        if not self.can_rollback:
            pytest.skip("this target cannot go back")
        target = make_target()
        await target.up(deploy_project, MemoryJournal(), lambda _: None)
        second = await target.up(deploy_project, MemoryJournal(), lambda _: None)
        earlier = next(one for one in await target.status() if one.can_rollback and not one.active)
        active = await target.rollback(deploy_project, earlier, lambda _: None)
        assert active.state == "running"
        assert active.id != second.id
        await target.aclose()

    async def test_logs_are_lines(self, make_target: MakeTarget, deploy_project: DeployProject) -> None:
        target = make_target()
        await target.up(deploy_project, MemoryJournal(), lambda _: None)
        lines = [line async for line in target.logs(lines=10)]
        assert all("\n" not in line.text and line.part in ("build", "run") for line in lines)
        await target.aclose()


def _secrets(project: DeployProject) -> list[str]:
    return [
        one.value.get_secret_value() for one in project.variables.values() if one.secret and one.value is not None
    ]
