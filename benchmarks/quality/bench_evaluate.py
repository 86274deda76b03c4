"""What an evaluation promises: seven models, seven spectrums, twenty questions each, on the simulated roster.

    python -m benchmarks.quality.bench_evaluate

Prints figures and says pass or fail: under 60 s; the same table with the same seed; the same table after a kill -9 in
the middle, with no call asked twice; a spoilt prompt is seen, in the right cells; the right spectrum for 95 %.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tilores_core.chat.prompts import BUILTIN_PARTS, build_prompt
from tilores_core.quality.evaluation import (
    Evaluation,
    EvaluationPlan,
    Evaluator,
    compare,
    default_models,
    score_table,
)
from tilores_core.quality.questions.make import make_questions
from tilores_core.services import load_host, open_services
from tilores_core.settings import load_environment
from tilores_core.spectrums import classify

TILORES = Path(sys.executable).with_name("tilores")
CALLS = 7 * 7 * 20
SLOW = '[use]\nsource = "demo"\n[plugins.demo-model]\nlatency_ms = 40\n'


def say(name: str, figure: str, good: bool) -> bool:
    print(f"{'pass' if good else 'FAIL'}  {name}: {figure}")
    return good


def evaluate(folder: Path, *words: str) -> dict[str, object]:
    target = folder / "run.json"
    line = [str(TILORES), *words, "--json", str(target)]
    subprocess.run(line, env=environment(folder), check=True, capture_output=True, cwd=folder)
    found: dict[str, object] = json.loads(target.read_text())
    return found


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TILORES_DATA_DIR": str(folder / "data"), "TILORES_LOG_LEVEL": "error"}


def finished(folder: Path) -> int:
    for path in (folder / "data").glob("*"):
        if path.suffix in (".db", ".sqlite", ".sqlite3"):
            try:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as opened:
                    return int(opened.execute("SELECT count(*) FROM tilores_evaluation_results").fetchone()[0])
            except sqlite3.Error:
                return 0
    return 0


def speed_and_repeats(folder: Path) -> tuple[bool, dict[str, object]]:
    begun, before = time.perf_counter(), children_cpu()
    first = evaluate(folder, "evaluate")
    seconds, cpu = time.perf_counter() - begun, children_cpu() - before
    second = evaluate(folder, "evaluate", "--fresh")
    good = say(
        "7 x 7 x 20 on the simulated roster",
        f"{seconds:.1f} s, of which {cpu:.1f} s of processor time, {first['calls']} calls",
        seconds < 60,
    )
    good &= first["calls"] == CALLS
    same = [first["table"], first["scores"]] == [second["table"], second["scores"]]
    return say("the same seed gives the same table, bit for bit", str(same), same) and good, first


def kill_and_resume(folder: Path, whole: dict[str, object]) -> bool:
    (folder / "slow.toml").write_text(SLOW)
    line = [str(TILORES), "--config", "slow.toml", "evaluate"]
    running = subprocess.Popen(
        line, env=environment(folder), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while finished(folder) < CALLS // 2 and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = finished(folder)
    resumed = evaluate(folder, "evaluate")
    figure = f"killed with {kept} finished, then {resumed['calls']} more calls"
    good = say("no finished call is asked twice", figure, resumed["calls"] == CALLS - kept and 0 < kept < CALLS)
    same = resumed["table"] == whole["table"]
    return say("kill -9 and resume give the same table", str(same), same) and good


async def spoilt(folder: Path) -> bool:
    environment_ = load_environment(None, data_dir=folder / "spoilt")
    host = load_host(environment_)
    async with open_services(host, environment_) as services:
        golden = await make_questions(services.source)
        questions = [*golden.training, *golden.validation, *golden.held_out()]
        right = sum(classify(question.text) == question.spectrum for question in questions) / len(questions)
        good = say("right spectrum", f"{100 * right:.1f} % of {len(questions)} golden questions", right >= 0.95)
        models = default_models(services.engine.models.listing())
        evaluator = Evaluator(engine=services.engine, source=services.source)

        async def run(parts: dict[str, str]) -> Evaluation:
            prompt = build_prompt(1, parts)
            return await evaluator.evaluate(EvaluationPlan(models=models, questions=golden.validation, prompt=prompt))

        before = await run(dict(BUILTIN_PARTS))
        no_figures = {**BUILTIN_PARTS, "answer_style": "Use short sentences and plain words, without markup."}
        after = await run({**no_figures, "guidance.transaction_history": ""})
        found = compare(before.results, after.results)
        good &= say("a prompt without the line on exact values is seen", found.sentence, found.verdict == "worse")
        fell = fallen(before, after)
        figure = ", ".join(f"{model} {spectrum}" for model, spectrum in fell[:3])
        spectrums = {"credit_analysis", "transaction_history", "entity_relationship"}
        where = {spectrum for _, spectrum in fell[:3]}
        good &= say("the cells that fell most hold figures", figure, where <= spectrums)
        empty = compare(before.results, (await run({"role": "You help."})).results)
        good &= say("an empty prompt is seen", empty.sentence, empty.verdict == "worse")
        mended = {
            **BUILTIN_PARTS,
            "answer_style": BUILTIN_PARTS["answer_style"] + " Copy every digit. Use at most two sentences."
            " Answer every part of the question. Give each figure with its unit. Give only what was asked for.",
            "hedging": BUILTIN_PARTS["hedging"] + " Compare the dates of values.",
            "refusal": BUILTIN_PARTS["refusal"] + " If no such field exists, say so.",
        }
        better = compare(before.results, (await run(mended)).results)
        return say("instructions that mend raise the score", better.sentence, better.verdict == "better") and good


def fallen(before: Evaluation, after: Evaluation) -> Sequence[tuple[str, str]]:
    first, second = score_table(before.results).cells, score_table(after.results).cells
    return sorted(first, key=lambda cell: (second[cell].mean or 0) - (first[cell].mean or 0))


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good, whole = speed_and_repeats(folder)
        other = folder / "killed"
        other.mkdir()
        good = kill_and_resume(other, whole) and good
        good = asyncio.run(spoilt(folder)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
