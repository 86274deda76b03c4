"""`tilores experiments …`: prompt versions and models compared on live traffic, and guarded roll-outs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilores_core.cli.options import Commands, Options, ReasonOption, get_user
from tilores_core.cli.output import Output
from tilores_core.cli.prompts import open_manager
from tilores_core.errors import ConfigError
from tilores_core.files import read_bytes

if TYPE_CHECKING:
    from tilores_core.release.experiments.plan import ExperimentPlan
    from tilores_core.release.experiments.tester import ProductionABTester

app = Commands("experiments", "Compare prompt versions on live traffic.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The experiment's name.")]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options that say what an experiment is."""

    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The experiment's name.")] = "experiment"
    candidate: Annotated[int | None, typer.Option("--candidate", metavar="N", help="The prompt version to try.")] = (
        None
    )
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="The model to try, instead of the default one.")
    ] = None
    file: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", exists=True, dir_okay=False, help="The plan as JSON, instead of options."
        ),
    ] = None
    share: Annotated[
        float, typer.Option(min=0.0001, max=1.0, metavar="SHARE", help="Share of all traffic that takes part.")
    ] = 1.0
    rollout: Annotated[
        bool, typer.Option("--rollout", help="Guarded roll-out: 1, 5, 25, 50, 100 % while the guardrails hold.")
    ] = False
    min_hours: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="Shortest time before a positive decision.")
    ] = 24.0
    min_per_arm: Annotated[
        int, typer.Option(min=20, metavar="N", help="Scored units per arm before a positive decision.")
    ] = 200

    def make(self) -> ExperimentPlan:
        """The plan in the file, or that of the other options. Raises `ConfigError`."""
        from pydantic import ValidationError

        from tilores_core.release.experiments.plan import ROLLOUT_STEPS, ExperimentPlan

        try:
            if self.file is not None:
                return ExperimentPlan.model_validate_json(read_bytes(self.file))
            if self.candidate is None and self.model is None:
                fix = "tilores prompts list, tilores models"
                raise ConfigError("no candidate is named", where="--candidate or --model", fix=fix)
            given = {name: value for name, value in asdict(self).items() if value is not None and name != "rollout"}
            if self.rollout:
                given["weights"] = ROLLOUT_STEPS
            return ExperimentPlan(**given, max_hours=max(28 * 24.0, self.min_hours))
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" if item["loc"] else item["msg"]
                for item in error.errors(include_url=False, include_input=False)
            ]
            raise ConfigError("; ".join(problems), where=str(self.file or "the plan"), fix="correct it") from None


@app.command()
async def plan(options: Options, given: PlanOptions) -> Output:
    """Say what an experiment would need.

    That is scored calls per arm, and days at the traffic of the last week.
    """
    made = given.make()
    async with _open_tester(options) as tester:
        found = await tester.plan(made)
    days = "no scored traffic in the last week" if found.days is None else f"{found.days:g} days at today's traffic"
    steps = "".join(f"\n  {weight:.0%}: {count}" for weight, count in zip(made.weights, found.steps, strict=False))
    row = {"plan": made.model_dump(mode="json"), "needs": found.model_dump()}
    per_arm = f"{found.per_arm} scored calls {'of the candidate' if steps else 'per arm'}"
    return Output(row, f"{made.name}: {per_arm}; {days}{steps}")


@app.command()
async def start(
    options: Options,
    reason: ReasonOption,
    given: PlanOptions,
    skip_evaluation: Annotated[bool, typer.Option(help="Do not ask the golden questions before.")] = False,
) -> Output:
    """Split live traffic between production and a candidate.

    The candidate is a prompt version, a model, or both.
    """
    from tilores_core.release.experiments.report import as_json, versus

    made = given.make()
    async with _open_tester(options, with_services=True) as tester:
        experiment = await tester.start(made, actor=get_user(), reason=reason, skip_evaluation=skip_evaluation)
    return Output(as_json(experiment), f"{experiment.name} runs: {versus(experiment)}")


@app.command("list")
async def list_experiments(options: Options) -> Output:
    """List experiments, the newest first."""
    from tilores_core.release.experiments.report import as_json, has_lift

    async with _open_tester(options) as tester:
        found = await tester.recent()
    lines = []
    for experiment in found:
        lift = f"{experiment.verdict['lift']:+.3f}" if has_lift(experiment.verdict) else "-"
        state = experiment.outcome or experiment.state
        lines.append(f"{experiment.name:<24} {state:<12} lift {lift:<8} {experiment.started:%Y-%m-%d %H:%M}")
    text = "\n".join(lines) or "none yet: tilores experiments start"
    return Output([as_json(experiment) for experiment in found], text)


@app.command()
async def status(options: Options, name: NameArgument) -> Output:
    """Say what the data of an experiment say now. Nothing is decided."""
    from tilores_core.release.experiments.report import as_json, describe

    async with _open_tester(options) as tester:
        experiment, verdict = await tester.status(name)
    return Output({**as_json(experiment), "verdict": verdict.as_row()}, describe(experiment, verdict.as_row()))


@app.command()
async def report(options: Options, name: NameArgument) -> Output:
    """Print the last look with a chart of the lift's interval over time."""
    from tilores_core.release.experiments.report import as_json, chart, describe

    async with _open_tester(options) as tester:
        experiment = await tester.get(name)
    text = f"{describe(experiment, experiment.verdict)}\n\n{chart(experiment.looks)}"
    return Output({**as_json(experiment), "looks": list(experiment.looks)}, text)


@app.command()
async def stop(
    options: Options,
    name: NameArgument,
    reason: ReasonOption,
    deploy: Annotated[bool, typer.Option("--deploy", help="Put the candidate into production.")] = False,
) -> Output:
    """End an experiment; all traffic gets the version in production."""
    from tilores_core.release.experiments.report import as_json

    async with _open_tester(options, with_services=deploy) as tester:
        experiment = await tester.stop(name, actor=get_user(), reason=reason, deploy=deploy)
    return Output(as_json(experiment), f"{name} has ended: {experiment.outcome}")


@asynccontextmanager
async def _open_tester(options: Options, *, with_services: bool = False) -> AsyncIterator[ProductionABTester]:
    """A tester with the store alone; with all services where golden questions are asked."""
    from tilores_core.release.experiments.assignment import Assignment
    from tilores_core.release.experiments.tester import ProductionABTester
    from tilores_core.settings import load_config

    if with_services:
        async with options.open_services() as services:
            yield services.release.tester
        return
    holdout = load_config(options.environment().config).config.experiments.holdout
    async with open_manager(options) as (manager, store):
        yield ProductionABTester(store, manager, Assignment(), holdout=holdout)
