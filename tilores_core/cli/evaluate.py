"""`tilores evaluate`: golden questions through the engine, as a table of models and spectrums."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
import typer

from tilores_core.cli.options import Options
from tilores_core.cli.output import split_names, unwritable, write_file
from tilores_core.errors import InvalidRequestError, UnknownModelError

if TYPE_CHECKING:
    from tilores_core.quality.evaluation import Comparison, Estimate, Evaluation, EvaluationPlan
    from tilores_core.services import Services
    from tilores_core.settings import QualityTable
    from tilores_core.worker.evaluating import Evaluated

_LINE_EVERY: Final = 50  # answers, where there is no terminal
_AS_GIVEN: Final = (
    *("per_spectrum", "split", "prompt", "judge", "seed", "compare", "alerts", "max_calls", "max_dollars"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """The options of one call of the command."""

    models: str | None = None
    spectrums: str | None = None
    questions: Path | None = None
    per_spectrum: int | None = None
    split: Literal["training", "validation", "held-out"] = "validation"
    prompt: str | None = None
    compare: str | None = None
    judge: str | None = None
    seed: int = 0
    max_calls: int | None = None
    max_dollars: float | None = None
    minimum: float | None = None
    concurrent: int = 8
    fresh: bool = False
    alerts: bool = True
    dry_run: bool = False
    json: Path | None = None
    html: Path | None = None
    junit: Path | None = None


def evaluate(options: Options, wanted: EvaluateOptions) -> None:
    """Print the table; exit code 1 as the help of the command says."""
    good = options.run(lambda services: _evaluate(services, wanted))
    if not good:
        raise typer.Exit(1)


async def _evaluate(services: Services, wanted: EvaluateOptions) -> bool:
    from tilores_core.quality.evaluation.request import EvaluationRequest
    from tilores_core.quality.evaluation.shown import as_text
    from tilores_core.worker.evaluating import evaluator_of, find_run, plan_of, run_evaluation, simulated

    request = EvaluationRequest(
        models=split_names(wanted.models),
        spectrums=split_names(wanted.spectrums),
        **{name: getattr(wanted, name) for name in _AS_GIVEN},
    )
    try:
        plan = await plan_of(services, request, wanted.questions)
        if request.compare is not None:
            await find_run((await services.store.get()).evaluations, request.compare)
    except (InvalidRequestError, UnknownModelError) as error:
        raise typer.BadParameter(f"{error.message}; {error.fix}" if error.fix else error.message) from None
    resume = not wanted.fresh
    if wanted.dry_run:
        estimate = await evaluator_of(services).estimate(plan, resume=resume)
        _show_estimate(plan, estimate, simulated=simulated(services, plan))
        return True
    _check_reports(wanted)  # not after the calls have been paid for
    with _progress(plan.calls) as progress:
        done = await run_evaluation(
            services, request, plan, progress=progress, resume=resume, concurrent=wanted.concurrent
        )
    levels = services.host.config.quality
    _write(wanted, done, levels)
    typer.echo(as_text(done.run, levels, simulated=done.simulated, comparison=done.comparison))
    say_flagged(services)
    if done.alerts:
        typer.echo(f"alerts raised: {done.alerts}; see tilores alerts list", err=True)
    return _is_good(wanted, done.run, done.comparison)


def say_flagged(services: Services) -> None:
    """Say on standard error how many of the answers of this run the guard flagged."""
    counts = services.engine.statistics()["grounding"]
    if counts["flagged"]:
        typer.echo(
            f"{counts['flagged']} of {counts['checked']} answers held values that are not in the records", err=True
        )


def _is_good(wanted: EvaluateOptions, run: Evaluation, comparison: Comparison | None) -> bool:
    from tilores_core.quality.evaluation import score_table

    overall = score_table(run.results).overall.mean
    if wanted.minimum is not None and (overall is None or overall < wanted.minimum):
        typer.echo(f"the overall score is below --min {wanted.minimum:g}", err=True)
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


def _check_reports(wanted: EvaluateOptions) -> None:
    for path in (wanted.json, wanted.html, wanted.junit):
        if path is None:
            continue
        is_new = not path.exists()
        try:
            path.open("ab").close()
            if is_new:
                path.unlink()
        except OSError as error:
            raise unwritable(path, error) from error


def _write(wanted: EvaluateOptions, done: Evaluated, levels: QualityTable) -> None:
    from tilores_core.quality.evaluation.page import as_html
    from tilores_core.quality.evaluation.shown import as_json, as_junit

    run = done.run
    more: dict[str, Any] = {"simulated": done.simulated, "comparison": done.comparison}
    texts: list[tuple[Path | None, Callable[[], bytes]]] = [
        (wanted.json, lambda: _json(as_json(run, **more))),
        (wanted.html, lambda: as_html(run, levels, **more).encode()),
        (wanted.junit, lambda: as_junit(run)),
    ]
    for path, make in texts:
        if path is not None:
            write_file(path, make())


def _json(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("evaluating", total=total)
            yield lambda done, all_: bar.update(task, completed=done)
        return

    def line(done: int, all_: int) -> None:
        if done % _LINE_EVERY == 0 or done == all_:
            typer.echo(f"{done} of {all_} answers", err=True)

    yield line
