"""`tilores experiments …`: prompt versions and models compared on live traffic, and guarded roll-outs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import JsonOption, ReasonOption, asynchronous, get_options, get_user
from tilores_core.cli.output import emit
from tilores_core.cli.prompts import open_manager
from tilores_core.errors import ConfigError
from tilores_core.files import read_bytes

if TYPE_CHECKING:
    from tilores_core.release.experiments import ExperimentPlan, ProductionABTester

app = typer.Typer(name="experiments", no_args_is_help=True, pretty_exceptions_enable=False)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The experiment's name.")]
_PLAN = ("name", "candidate", "model", "share", "min_hours", "min_per_arm")
"""The options that are fields of a plan."""
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", exists=True, dir_okay=False, help="The plan as JSON, instead of options."),
]
CandidateOption = Annotated[int | None, typer.Option("--candidate", metavar="N", help="The prompt version to try.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="The model to try, instead of the default one.")
]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="The experiment's name.")]
ShareOption = Annotated[
    float, typer.Option(min=0.0001, max=1.0, metavar="SHARE", help="Share of all traffic that takes part.")
]
RolloutOption = Annotated[
    bool, typer.Option("--rollout", help="Guarded roll-out: 1, 5, 25, 50, 100 % while the guardrails hold.")
]
HoursOption = Annotated[float, typer.Option(min=0, metavar="HOURS", help="Shortest time before a positive decision.")]
SampleOption = Annotated[
    int, typer.Option(min=20, metavar="N", help="Scored units per arm before a positive decision.")
]


@app.command()
@asynchronous
async def plan(
    ctx: typer.Context,
    name: NameOption = "experiment",
    candidate: CandidateOption = None,
    model: ModelOption = None,
    file: PlanOption = None,
    share: ShareOption = 1.0,
    rollout: RolloutOption = False,
    min_hours: HoursOption = 24.0,
    min_per_arm: SampleOption = 200,
    json: JsonOption = False,
) -> None:
    """Say what an experiment would need.

    That is scored calls per arm, and days at the traffic of the last week.
    """
    made = _plan(ctx.params)
    async with _open_tester(ctx) as tester:
        found = await tester.plan(made)
    days = "no scored traffic in the last week" if found.days is None else f"{found.days:g} days at today's traffic"
    steps = "".join(f"\n  {weight:.0%}: {count}" for weight, count in zip(made.weights, found.steps, strict=False))
    row = {"plan": made.model_dump(mode="json"), "needs": found.model_dump()}
    per_arm = f"{found.per_arm} scored calls {'of the candidate' if steps else 'per arm'}"
    emit(row, f"{made.name}: {per_arm}; {days}{steps}", as_json=json)


@app.command()
@asynchronous
async def start(
    ctx: typer.Context,
    reason: ReasonOption,
    name: NameOption = "experiment",
    candidate: CandidateOption = None,
    model: ModelOption = None,
    file: PlanOption = None,
    share: ShareOption = 1.0,
    rollout: RolloutOption = False,
    min_hours: HoursOption = 24.0,
    min_per_arm: SampleOption = 200,
    skip_evaluation: Annotated[bool, typer.Option(help="Do not ask the golden questions before.")] = False,
    json: JsonOption = False,
) -> None:
    """Split live traffic between production and a candidate.

    The candidate is a prompt version, a model, or both.
    """
    from tilores_core.release.experiments.report import as_json, versus

    made = _plan(ctx.params)
    async with _open_tester(ctx, with_services=True) as tester:
        experiment = await tester.start(made, actor=get_user(), reason=reason, skip_evaluation=skip_evaluation)
    emit(as_json(experiment), f"{experiment.name} runs: {versus(experiment)}", as_json=json)


@app.command("list")
@asynchronous
async def list_experiments(ctx: typer.Context, json: JsonOption = False) -> None:
    """List experiments, the newest first."""
    from tilores_core.release.experiments.report import as_json, has_lift

    async with _open_tester(ctx) as tester:
        found = await tester.recent()
    lines = []
    for experiment in found:
        lift = f"{experiment.verdict['lift']:+.3f}" if has_lift(experiment.verdict) else "-"
        state = experiment.outcome or experiment.state
        lines.append(f"{experiment.name:<24} {state:<12} lift {lift:<8} {experiment.started:%Y-%m-%d %H:%M}")
    text = "\n".join(lines) or "none yet: tilores experiments start"
    emit([as_json(experiment) for experiment in found], text, as_json=json)


@app.command()
@asynchronous
async def status(ctx: typer.Context, name: NameArgument, json: JsonOption = False) -> None:
    """Say what the data of an experiment say now. Nothing is decided."""
    from tilores_core.release.experiments.report import as_json, describe

    async with _open_tester(ctx) as tester:
        experiment, verdict = await tester.status(name)
    emit({**as_json(experiment), "verdict": verdict.as_row()}, describe(experiment, verdict.as_row()), as_json=json)


@app.command()
@asynchronous
async def report(ctx: typer.Context, name: NameArgument, json: JsonOption = False) -> None:
    """Print the last look with a chart of the lift's interval over time."""
    from tilores_core.release.experiments.report import as_json, chart, describe

    async with _open_tester(ctx) as tester:
        experiment = await tester.get(name)
    text = f"{describe(experiment, experiment.verdict)}\n\n{chart(experiment.looks)}"
    emit({**as_json(experiment), "looks": list(experiment.looks)}, text, as_json=json)


@app.command()
@asynchronous
async def stop(
    ctx: typer.Context,
    name: NameArgument,
    reason: ReasonOption,
    deploy: Annotated[bool, typer.Option("--deploy", help="Put the candidate into production.")] = False,
    json: JsonOption = False,
) -> None:
    """End an experiment; all traffic gets the version in production."""
    from tilores_core.release.experiments.report import as_json

    async with _open_tester(ctx, with_services=deploy) as tester:
        experiment = await tester.stop(name, actor=get_user(), reason=reason, deploy=deploy)
    emit(as_json(experiment), f"{name} has ended: {experiment.outcome}", as_json=json)


def _plan(given: Mapping[str, Any]) -> ExperimentPlan:
    """The plan in the file, or that of the command's options. Raises `ConfigError`."""
    from pydantic import ValidationError

    from tilores_core.release.experiments import ROLLOUT_STEPS, ExperimentPlan

    try:
        if given["file"] is not None:
            return ExperimentPlan.model_validate_json(read_bytes(given["file"]))
        if given["candidate"] is None and given["model"] is None:
            fix = "tilores prompts list, tilores models"
            raise ConfigError("no candidate is named", where="--candidate or --model", fix=fix)
        options = {name: given[name] for name in _PLAN if given[name] is not None}
        if given["rollout"]:
            options["weights"] = ROLLOUT_STEPS
        return ExperimentPlan(**options, max_hours=max(28 * 24.0, given["min_hours"]))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("; ".join(problems), where=str(given["file"] or "the plan"), fix="correct it") from None


@asynccontextmanager
async def _open_tester(ctx: typer.Context, *, with_services: bool = False) -> AsyncIterator[ProductionABTester]:
    """A tester with the store alone; with all services where golden questions are asked."""
    from tilores_core.release.experiments import Assignment, ProductionABTester
    from tilores_core.settings import load_config

    options = get_options(ctx)
    if with_services:
        async with options.open_services() as services:
            yield services.release.tester
        return
    holdout = load_config(options.environment().config).config.experiments.holdout
    async with open_manager(options) as (manager, store):
        yield ProductionABTester(store, manager, Assignment(), holdout=holdout)
