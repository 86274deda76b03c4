"""An optimizer strategy: for each fault one sentence that the reflection model writes, kept where it helps."""

from collections.abc import Sequence

from tilores_core import Candidate, Change, OptimizerStrategySpec, OptimizerTask, PluginContext, hookimpl


class AcmeOptimizer:
    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        best = task.baseline
        for fault in sorted({fault for case in best.cases for fault in case.faults}):
            asked = [case.question for case in task.baseline.cases if fault in case.faults][:3]
            sentence = await task.reflect(f"Write one sentence that prevents '{fault}' answers to: {asked}")
            if not sentence.strip():
                continue
            change = Change(part="answer_style", instruction=sentence.strip(), fault=fault)
            scored = await task.score([best.candidate.with_change(change)])  # empty when a check rejects it
            if scored and scored[0].score > best.score:
                best = scored[0]
        return [best.candidate] if best.score > task.baseline.score else []


def build(context: PluginContext) -> AcmeOptimizer:
    return AcmeOptimizer()


@hookimpl
def register_optimizer_strategies() -> list[OptimizerStrategySpec]:
    return [OptimizerStrategySpec(name="acme", factory=build, reflects=True, summary="one sentence for each fault")]
