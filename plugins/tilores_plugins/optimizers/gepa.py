"""The strategy `gepa`: the package of that name rewrites parts of the prompt, with the task as its adapter.

After Agrawal et al., arXiv 2507.19457: a part is rewritten after reflection on a few failed questions, is kept where
that helped, and parents are drawn from the Pareto front over questions. The package writes no file and no log here;
what it asks is counted by the task, and comes from the cycle's journal when a cycle is gone on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import Field

from tilores_core import Candidate, OptimizerTask, ScoredCase
from tilores_plugins.optimizers.instructions import MEANINGS, StrategySettings, count_faults, describe_case, register

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch
    from gepa.core.state import GEPAState

T = TypeVar("T")
_SHOWN: Final = 10
_ASKED: Final = """\
You improve the part "{part}" of the instructions of an assistant that answers questions about a customer from
records. The part:
```
<curr_param>
```
Questions that it answered badly, by what was wrong:
<side_info>
Write the part as it should be: what is good in it stays, short general sentences prevent these faults, and no
customer and no value is mentioned. Put it between ``` and ```, alone."""


class GepaSettings(StrategySettings):
    """Settings of the `gepa` strategy."""

    rounds: int = Field(15, ge=1, le=500, description="rewritings that are tried")
    minibatch: int = Field(6, ge=1, le=50, description="questions that a rewriting is tried on first")
    parts: list[str] = Field(
        ["answer_style", "refusal", "hedging"], min_length=1, description="parts of the prompt that are rewritten"
    )


class GepaOptimizer:
    """An `OptimizerStrategy`. It ends early when every answer is good."""

    def __init__(self, settings: GepaSettings) -> None:
        self._settings = settings

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        names = [name for name in self._settings.parts if name in task.parts]
        if not names or not count_faults(task.baseline.cases):
            return []
        adapter = _Adapter(task, names, asyncio.get_running_loop())
        try:
            await asyncio.to_thread(_optimize, adapter, self._settings)
        except asyncio.CancelledError:
            adapter.stop()
            raise
        if adapter.failure is not None:
            raise adapter.failure
        found = await task.score(adapter.accepted, keep=2) if adapter.accepted else []
        return [one.candidate for one in found if one.score > task.baseline.score]


class _Adapter:
    """GEPA's adapter (`gepa.core.adapter.GEPAAdapter`): in GEPA's thread it waits for the task's loop.

    GEPA goes on after errors of the reflection model: `failure` keeps the first one, and then nothing more is asked.
    """

    propose_new_texts = None

    def __init__(self, task: OptimizerTask, names: Sequence[str], loop: asyncio.AbstractEventLoop) -> None:
        self.names = names
        self.seed = task.seed
        self.questions = list(dict.fromkeys(case.id for case in task.baseline.cases))
        self.parts = {name: task.parts[name] for name in names}
        self.accepted: list[Candidate] = []
        self.failure: BaseException | None = None
        self._task = task
        self._loop = loop
        self._known = {self._key(self.parts): task.baseline.candidate}

    def stop(self) -> None:
        """Nothing more is asked; when the cycle is cancelled, GEPA's thread ends at its next call."""
        self.failure = self.failure or asyncio.CancelledError()

    def has_ended(self, gepa_state: GEPAState[Any, Any]) -> bool:
        return self.failure is not None

    def reflect(self, prompt: str | list[dict[str, Any]]) -> str:
        return self._wait(self._task.reflect(str(prompt)))

    def evaluate(
        self, batch: list[str], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[list[ScoredCase], None]:
        from gepa.core.adapter import EvaluationBatch

        cases = self._wait(self._task.evaluate(self._find(candidate), batch))
        by_id: dict[str, list[ScoredCase]] = {name: [] for name in batch}
        for case in cases:
            by_id[case.id].append(case)
        found = [by_id[name] for name in batch]
        scores = [sum(case.score for case in one) / len(one) if one else 0.0 for one in found]
        if len(batch) == len(self.questions) and cases:  # GEPA has accepted it
            self.accepted += [one for one in [self._find(candidate)] if one.changes and one not in self.accepted]
        return EvaluationBatch(outputs=[None] * len(batch), scores=scores, trajectories=found)

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[list[ScoredCase], None],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        cases = [case for one in eval_batch.trajectories or () for case in one]
        self._parent = self._find(candidate)
        rows = [
            {f"{fault}: {MEANINGS[fault]}": [describe_case(case) for case in cases if fault in case.faults][:_SHOWN]}
            for fault in count_faults(cases)
        ]
        return dict.fromkeys(components_to_update, rows)

    def _find(self, parts: Mapping[str, str]) -> Candidate:
        """The candidate with these texts; a new one differs from the one that was reflected on by one part."""
        key = self._key(parts)
        if key not in self._known:
            before = self._parent.parts
            changed = next(name for name in self.names if parts[name] != before[name])
            self._known[key] = self._parent.with_text(changed, parts[changed])
        return self._known[key]

    def _key(self, parts: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(parts[name].strip() for name in self.names)

    def _wait(self, asking: Coroutine[Any, Any, T]) -> T:
        if self.failure is not None:
            asking.close()
            raise self.failure
        try:
            return asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        except BaseException as error:
            self.failure = self.failure or error
            raise


class _Silent:
    """GEPA's logger: what it says holds texts of candidates."""

    def log(self, message: str) -> None:
        """Nothing."""


def _optimize(adapter: _Adapter, settings: GepaSettings) -> None:
    from gepa.api import optimize
    from gepa.utils import MaxCandidateProposalsStopper

    optimize(
        adapter.parts,
        adapter.questions,
        adapter=cast("Any", adapter),
        reflection_lm=adapter.reflect,
        reflection_minibatch_size=settings.minibatch,
        reflection_prompt_template={name: _ASKED.replace("{part}", name) for name in adapter.names},
        stop_callbacks=[MaxCandidateProposalsStopper(settings.rounds), adapter.has_ended],
        logger=_Silent(),
        seed=adapter.seed,
    )


register_optimizer_strategies = register(
    GepaOptimizer,
    name="gepa",
    settings=GepaSettings,
    requires={"gepa": "tilores-core[gepa]"},
    reflects=True,
    summary="The package gepa rewrites parts of the prompt after reflection on failed answers",
)
