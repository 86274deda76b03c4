"""Golden questions in files: YAML (a list, or a table with the key `questions`) or JSONL (one question a line).

    - id: limit-edwina
      customer: EDW_HAWTHORNE_001
      spectrum: credit_analysis
      text: What is the credit limit?
      facts:
        - {field: credit_limit_total, value: 32000, kind: number, unit: USD, spellings: [thirty-two thousand]}
      forbidden:
        - {field: credit_limit_total, value: 28000, kind: number, reason: outdated}

`kind` may be left out: it follows from the value. A question without facts needs `answerable: false`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tilores_core.contracts import CustomerSource
from tilores_core.errors import ConfigError
from tilores_core.files import open_private, read_text, unwritable
from tilores_core.quality.questions.fields import facts_of
from tilores_core.quality.questions.golden import Fact, GoldenQuestion, GoldenSet
from tilores_core.quality.scoring.records import IndexedRecords
from tilores_core.spectrums import classify, current_spectrums

if TYPE_CHECKING:
    from tilores_core.store.live_quality import CollectedQuestion

_MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_QUESTIONS: Final = 50_000
_MOST_PROBLEMS: Final = 50
_QUESTION: Final = TypeAdapter(GoldenQuestion)


def read_questions(path: Path) -> GoldenSet:
    """The questions of a file. Raises `ConfigError` naming each problem with its place."""
    questions: list[GoldenQuestion] = []
    problems: list[str] = []
    seen: set[str] = set()
    for place, row in _rows(path):
        try:
            question = _QUESTION.validate_python(row)
        except ValidationError as error:
            problems += [
                f"{place}: {_describe_problem(item)}" for item in error.errors(include_input=False, include_url=False)
            ]
            continue
        if question.id in seen:
            problems.append(f"{place}: the id '{question.id}' is there already")
        seen.add(question.id)
        questions.append(question)
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:_MOST_PROBLEMS])
        more = f"\n  and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise ConfigError(f"{len(problems)} problems{shown}{more}", where=str(path), fix="correct these questions")
    if not questions:
        raise ConfigError("holds no question", where=str(path), fix="write one; docs/quality.md shows the form")
    return GoldenSet(questions)


def _describe_problem(problem: ErrorDetails) -> str:
    where = ".".join(map(str, problem["loc"])) or "question"
    if problem["type"] == "dataclass_type":
        return f"{where}: must have keys with values, as 'id: …'"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    text = read_text(path, most=_MAX_BYTES)
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            import yaml

            rows = yaml.safe_load(text)
            rows = rows.get("questions") if isinstance(rows, dict) else rows
            if not isinstance(rows, list):
                raise ConfigError(
                    "holds no list of questions", where=str(path), fix="begin each question with '- id:'"
                )
            found = [(f"question {number}", row) for number, row in enumerate(rows, 1)]
        else:
            lines = ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
            found = [(f"line {number}", json.loads(line)) for number, line in lines]
    except ValueError as error:  # of JSON
        raise ConfigError(f"not valid JSON: {error}", where=str(path), fix="write one object a line") from None
    except Exception as error:
        if isinstance(error, ConfigError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"not valid YAML: {reason}", where=str(path), fix="correct that line") from None
    if len(found) > _MAX_QUESTIONS:
        raise ConfigError(f"holds more than {_MAX_QUESTIONS} questions", where=str(path), fix="split the file")
    return iter(found)


def write_questions(path: Path, questions: Iterable[GoldenQuestion]) -> int:
    """Write questions as YAML or JSONL, by the file's name; how many. Raises `ConfigError`."""
    form: dict[str, Any] = {"mode": "json", "by_alias": True, "exclude_defaults": True}
    return _write(path, [_QUESTION.dump_python(question, **form) for question in questions])


def write_drafts(path: Path, rows: Iterable[CollectedQuestion]) -> int:
    """Write badly rated questions in the same form, without facts: a person has to add them before `check` passes.

    Raises `ConfigError`.
    """
    drafts = [
        {
            "id": f"live.{row.run_id}",
            "customer": row.customer_id,
            "spectrum": row.spectrum,
            "text": row.question,
            "facts": [],
            "origin": "feedback",
        }
        for row in rows
    ]
    return _write(path, drafts)


def _write(path: Path, rows: list[dict[str, Any]]) -> int:
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        text = yaml.safe_dump({"questions": rows}, allow_unicode=True, sort_keys=False, width=110)
    else:
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    try:
        with open(path, "w", encoding="utf-8", opener=open_private) as out:
            out.write(text)
    except OSError as error:
        raise unwritable(path, error) from error
    return len(rows)


async def check_questions(golden: GoldenSet, source: CustomerSource) -> tuple[list[str], list[str]]:
    """Problems and warnings of questions against the records, each with the question's id and without values.

    Problems: a customer that is not there, a fact that the newest record does not state, a forbidden fact that it
    does state, an unknown spectrum. Warnings: the engine would assign another spectrum. Raises `SourceError`.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for question in (*golden.training, *golden.validation, *golden.held_out()):
        if question.spectrum not in current_spectrums().names:
            problems.append(f"{question.id}: there is no spectrum '{question.spectrum}'")
        elif (assigned := classify(question.text)) != question.spectrum:
            warnings.append(f"{question.id}: the engine assigns it to {assigned}, not to {question.spectrum}")
        customer = await source.get(question.customer_id)
        if customer is None:
            problems.append(f"{question.id}: the source has no such customer")
            continue
        index = IndexedRecords(customer)
        for fact in question.facts:
            known = facts_of(customer, fact.field)
            if known is not None and fact.kind == known.facts[0].kind:
                if not any(_same(fact, held) for held in known.facts):
                    problems.append(f"{question.id}: the newest record does not have this value of {fact.field}")
            elif index.strange_values(fact.value, "")[1] or (fact.kind == "text" and fact.value not in index.text):
                problems.append(f"{question.id}: no record holds this value of {fact.field}")
        asked = {fact.field for fact in question.facts}
        for fact in question.forbidden:  # a field of its own may hold the former value
            known = facts_of(customer, fact.field) if fact.field in asked else None
            if known is not None and any(_same(fact, held) for held in known.facts):
                problems.append(f"{question.id}: forbids what the newest record says of {fact.field}")
    return problems, warnings


def _same(one: Fact, other: Fact) -> bool:
    if one.kind == other.kind == "number":
        return abs(float(one.value) - float(other.value)) <= max(one.tolerance, other.tolerance)
    return one.value.casefold() == other.value.casefold()
