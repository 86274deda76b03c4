"""`tilores evaluate`: golden questions through the engine, as a table of models and spectrums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from tilores_core.cli.options import DryRunOption, MaxCallsOption, Options, SpectrumsOption
from tilores_core.cli.output import show_progress, split_names
from tilores_core.errors import InvalidRequestError, UnknownModelError
from tilores_core.files import unwritable, write_file

if TYPE_CHECKING:
    from tilores_core.quality.evaluation import Comparison, Estimate, Evaluation, EvaluationPlan
    from tilores_core.services import Services
    from tilores_core.settings import QualityTable
    from tilores_core.worker.evaluating import Evaluated

_LINE_EVERY: Final = 50  # answers, where there is no terminal


async def evaluate(
    options: Options,
    models: Annotated[
        str | None,
        typer.Option(metavar="M,M,…", help="Full names; default: one per provider with a key, else seven simulated."),
    ] = None,
    spectrums: SpectrumsOption = None,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Default: made of the customer source."),
    ] = None,
    per_spectrum: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=500, help="Questions of each spectrum; default 20.")
    ] = None,
    split: Annotated[
        Literal["training", "validation", "held-out"], typer.Option(metavar="SPLIT", help="Which customers.")
    ] = "validation",
    prompt: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Number or label of a prompt version; default: the one in use."),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="RUN", help="Compare with this run, or with the last one: last.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A model that grades the answers as well.")
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", min=-(2**31), max=2**31 - 1, help="Runs of one seed are paired.")
    ] = 0,
    max_calls: MaxCallsOption = None,
    max_dollars: Annotated[float | None, typer.Option(metavar="USD", min=0, help="Most money.")] = None,
    minimum: Annotated[
        float | None,
        typer.Option("--min", metavar="SCORE", min=0, max=1, help="Exit code 1 below this overall score."),
    ] = None,
    concurrent: Annotated[int, typer.Option(metavar="N", min=1, max=128, help="Calls at once.")] = 8,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an interrupted run.")] = False,
    alerts: Annotated[
        bool, typer.Option("--alerts/--no-alerts", help="Raise alerts for what is below its level, or fell.")
    ] = True,
    dry_run: DryRunOption = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all results as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with a heat map.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
) -> None:
    """Score the answers to golden questions, by model and spectrum.

    Every finished call is kept: the same command after a kill, or with a larger budget, goes on and asks nothing
    twice. Exit code 1: a call failed, the budget ended, --min is missed, or the comparison says worse.
    """
    from tilores_core.quality.evaluation.plan import EvaluationRequest
    from tilores_core.worker.evaluating import evaluator_of, find_run, plan_of, run_evaluation, simulated

    request = EvaluationRequest(
        models=split_names(models),
        spectrums=split_names(spectrums),
        per_spectrum=per_spectrum,
        split=split,
        prompt=prompt,
        judge=judge,
        seed=seed,
        compare=compare,
        alerts=alerts,
        max_calls=max_calls,
        max_dollars=max_dollars,
    )
    reports = _Reports(json, html, junit)

    async with options.open_services() as services:
        try:
            plan = await plan_of(services, request, questions)
            if compare is not None:
                await find_run((await services.store.get()).evaluations, compare)
        except (InvalidRequestError, UnknownModelError) as error:
            raise typer.BadParameter(f"{error.message}; {error.fix}" if error.fix else error.message) from None
        if dry_run:
            estimate = await evaluator_of(services).estimate(plan, resume=not fresh)
            _show_estimate(plan, estimate, simulated=simulated(services, plan))
            return
        reports.check()  # not after the calls have been paid for

        def say(done: int, _: str) -> None:
            if done % _LINE_EVERY == 0 or done == plan.calls:
                typer.echo(f"{done} of {plan.calls} answers", err=True)

        with show_progress(plan.calls, say) as show:
            done = await run_evaluation(
                services,
                request,
                plan,
                progress=lambda done, _: show(done, "evaluating"),
                resume=not fresh,
                concurrent=concurrent,
            )
        _show(done, services, reports)
    if not _is_good(minimum, done.run, done.comparison):
        raise typer.Exit(1)


def _show(done: Evaluated, services: Services, reports: _Reports) -> None:
    from tilores_core.quality.evaluation.report import as_text

    levels = services.host.config.quality
    reports.write(done, levels)
    typer.echo(as_text(done.run, levels, simulated=done.simulated, comparison=done.comparison))
    say_flagged(services)
    if done.alerts:
        typer.echo(f"alerts raised: {done.alerts}; see tilores alerts list", err=True)


def say_flagged(services: Services) -> None:
    """Say on standard error how many of the answers of this run the guard flagged."""
    counts = services.engine.statistics()["grounding"]
    if counts["flagged"]:
        typer.echo(
            f"{counts['flagged']} of {counts['checked']} answers held values that are not in the records", err=True
        )


def _is_good(minimum: float | None, run: Evaluation, comparison: Comparison | None) -> bool:
    from tilores_core.quality.evaluation import score_table

    overall = score_table(run.results).overall.mean
    if minimum is not None and (overall is None or overall < minimum):
        typer.echo(f"the overall score is below --min {minimum:g}", err=True)
        return False
    if run.state == "stopped":
        typer.echo("the budget ended before all was asked; the same command goes on from here", err=True)
    return run.state == "done" and not run.errors and (comparison is None or comparison.verdict != "worse")


def _show_estimate(plan: EvaluationPlan, estimate: Estimate, *, simulated: bool) -> None:
    typer.echo(f"models ({len(plan.models)}{', simulated' if simulated else ''}): {', '.join(plan.models)}")
    spectrums = len({question.spectrum for question in plan.questions})
    typer.echo(f"questions: {len(plan.questions)} of {spectrums} spectrums")
    before = f", {estimate.finished} finished by an interrupted run" if estimate.finished else ""
    typer.echo(f"calls: {estimate.calls}{before}")
    typer.echo(f"tokens, about: {estimate.input_tokens:,} in, {estimate.output_tokens:,} out")
    if estimate.dollars is None:
        typer.echo(f"cost: not known, as these have no price: {', '.join(estimate.unpriced)}")
    else:
        typer.echo(f"cost, about: {estimate.dollars:.2f} USD")


@dataclass(frozen=True, slots=True)
class _Reports:
    """The files to write."""

    json: Path | None
    html: Path | None
    junit: Path | None

    def check(self) -> None:
        """Raises `ConfigError` for one that cannot be written."""
        for path in (self.json, self.html, self.junit):
            if path is None:
                continue
            is_new = not path.exists()
            try:
                path.open("ab").close()
                if is_new:
                    path.unlink()
            except OSError as error:
                raise unwritable(path, error) from error

    def write(self, done: Evaluated, levels: QualityTable) -> None:
        import orjson  # not for help

        from tilores_core.quality.evaluation.report import as_html, as_json, as_junit

        more: dict[str, Any] = {"simulated": done.simulated, "comparison": done.comparison}
        if self.json is not None:
            option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
            write_file(self.json, orjson.dumps(as_json(done.run, **more), option=option))
        if self.html is not None:
            write_file(self.html, as_html(done.run, levels, **more).encode())
        if self.junit is not None:
            write_file(self.junit, as_junit(done.run))
