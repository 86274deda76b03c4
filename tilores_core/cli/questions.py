"""`tilores questions …`: golden questions made, checked and listed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilores_core.cli.options import Commands, JsonOption, Options
from tilores_core.cli.output import Output
from tilores_core.files import read_text

if TYPE_CHECKING:
    from tilores_core.quality.questions.golden import GoldenSet

app = Commands("questions", "Make, check and list golden questions.")


@app.command()
async def make(
    options: Options,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The .yaml or .jsonl file to write.")
    ],
    customers: Annotated[int, typer.Option(metavar="N", min=3, max=3000, help="Customers to ask about.")] = 60,
    per_spectrum: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=500, help="Questions of each spectrum, in each of the three splits."),
    ] = 20,
    ids: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Ids of customers, one a line.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Chooses customers and questions.")] = 1,
) -> None:
    """Make golden questions from the records of the source.

    What is asked goes by the types of its fields. FILE then holds values of customers: keep it as you keep the
    records.
    """
    from tilores_core.quality.questions.files import write_questions
    from tilores_core.quality.questions.make import MakeOptions, make_questions

    chosen_ids = None if ids is None else [line.strip() for line in read_text(ids).splitlines() if line.strip()]
    async with options.open_services() as services:
        chosen = MakeOptions(customers=customers, per_spectrum=per_spectrum, seed=seed)
        golden = await make_questions(services.source, chosen, ids=chosen_ids)
        count = write_questions(output, _all_questions(golden))
    typer.echo(f"{output}: {count} questions ({_display_sizes(golden)})")


@app.command()
async def collect(
    options: Options,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    days: Annotated[float, typer.Option(metavar="N", min=0.001, max=90, help="Of the last N days.")] = 90,
    disliked: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write those with bad feedback here, to be given facts by hand."),
    ] = None,
    json: JsonOption = False,
) -> Output:
    """Make golden questions of live ones with good feedback.

    They are kept where [quality] collect_questions is on. Their facts are read from the records as they are now. The
    files hold values of customers.
    """
    from tilores_core.quality.questions.collecting import collect_questions
    from tilores_core.quality.questions.files import write_drafts, write_questions

    async with options.open_services() as services:
        since = round((time.time() - days * 86_400) * 1000)
        rows = await (await services.store.get()).questions.list_since(since)
        found = await collect_questions(rows, services.source)
        if found.good:
            write_questions(output, found.good)
        if disliked is not None and found.bad:
            write_drafts(disliked, found.bad)
    counts = {"rated": len(rows), "good": len(found.good), "bad": len(found.bad), "unusable": found.unusable}
    wrote = f"{output}: {counts['good']} questions" if counts["good"] else "there is no question to write yet"
    rest = f"{counts['bad']} got bad feedback and {counts['unusable']} could not be used"
    if not counts["rated"] and not json:
        typer.echo("  fix:  set collect_questions = true in [quality], and send feedback", err=True)
    return Output(counts, f"{wrote}; of {counts['rated']} rated ones {rest}")


@app.command()
async def check(
    options: Options,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A .yaml or .jsonl file.")
    ],
) -> Output:
    """Check a file of golden questions against the records.

    Exit code 1 when there is a problem. Shown are ids of questions and names of fields, never values.
    """
    from tilores_core.quality.questions.files import check_questions, read_questions

    async with options.open_services() as services:
        golden = read_questions(file)
        problems, warnings = await check_questions(golden, services.source)
    lines = [*(f"problem: {text}" for text in problems), *(f"warning: {text}" for text in warnings)]
    total = sum(golden.sizes.values())
    lines.append(f"{file}: {total} questions ({_display_sizes(golden)}), {len(problems)} problems")
    found = {"questions": golden.sizes, "problems": problems, "warnings": warnings}
    return Output(found, *lines, failed=bool(problems))


@app.command("list")
async def list_questions(
    options: Options,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Default: those made of the source."),
    ] = None,
    spectrum: Annotated[str | None, typer.Option(metavar="NAME", help="Of this spectrum alone.")] = None,
) -> Output:
    """List golden questions with split, spectrum and number of facts."""
    from tilores_core.quality.questions.files import read_questions
    from tilores_core.quality.questions.make import make_questions

    async with options.open_services() as services:
        rows = _rows(await make_questions(services.source) if file is None else read_questions(file))
    known = {row["spectrum"] for row in rows}
    if spectrum is not None and spectrum not in known:
        raise typer.BadParameter(f"no question has the spectrum '{spectrum}'; known: {', '.join(sorted(known))}")
    rows = [row for row in rows if spectrum in (None, row["spectrum"])]
    lines = []
    for row in rows:
        kind = f"facts: {row['facts']}" if row["answerable"] else "not answerable"
        lines.append(f"{row['split']:<10}  {row['spectrum']:<22}  {row['id']:<34}  {kind:<14}  {row['text']}")
    return Output(rows, *lines, f"{len(rows)} questions")


def _rows(golden: GoldenSet) -> list[dict[str, Any]]:
    from tilores_core.quality.questions.golden import split_of

    return [
        {
            "id": question.id,
            "split": split_of(question.customer_id),
            "spectrum": question.spectrum,
            "customer": question.customer_id,
            "text": question.text,
            "facts": len(question.facts),
            "forbidden": len(question.forbidden),
            "answerable": question.answerable,
            "origin": question.origin,
        }
        for question in _all_questions(golden)
    ]


def _display_sizes(golden: GoldenSet) -> str:
    return ", ".join(f"{split} {size}" for split, size in golden.sizes.items())


def _all_questions(golden: GoldenSet) -> list[Any]:
    return [*golden.training, *golden.validation, *golden.held_out()]
