"""What a prompt version must pass before it is deployed. Each check says what it found, with the figures.

    parts        every required part is there, and no unknown one
    variables    `{customer}` and `{guidance}` alone, each at most once
    length       tokens with the longest guidance
    personal     no name, address, number or date of a person
    copied       no five words in a row from the golden questions or the records of their customers
    evaluation   the golden questions, answered with this prompt

The last two need golden questions. A check that could not run refuses as one that failed, unless the operator skips
the evaluation, which the audit log keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.grounding.names import find_claimed_names
from tilores_core.chat.prompts import GUIDANCE, ORDER
from tilores_core.chat.records import render
from tilores_core.contracts import Customer, Prompt
from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.identity.names import fold
from tilores_core.settings import PromptsTable
from tilores_core.spectrums import GENERAL, current_spectrums
from tilores_core.tracing.redaction.patterns import spans

LONGEST_PART: Final = 20_000
"""Characters of one part; more are refused before anything looks at them."""

WORDS_IN_A_ROW: Final = 5
_SHORTEST_NUMBER: Final = 5  # digits: "answer in at most 120 words" is an instruction
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_.]*\}")
_WORD = re.compile(r"[^\W_]+")
_KNOWN: Final = ("{customer}", "{guidance}")
_GUIDANCE = re.compile(re.escape(GUIDANCE) + "[a-z][a-z0-9_]{0,59}")
_NO_NAMES: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check of a prompt version.

    `result`: `not run` when it could not be made, `skipped` when the operator said so. `said`: what was found,
    without any customer's data.
    """

    name: str
    result: Literal["passed", "refused", "not run", "skipped"]
    said: str
    values: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, passed: bool, said: str, **values: float) -> Check:
        """A check that was made."""
        return cls(name, "passed" if passed else "refused", said, values)

    @property
    def refuses(self) -> bool:
        return self.result in ("refused", "not run")

    def as_row(self) -> dict[str, Any]:
        return {"check": self.name, "result": self.result, "said": self.said, "values": dict(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCase:
    """A golden question, and the customer that it is about, whose words a prompt must not copy."""

    question: str
    customer: Customer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEvaluation:
    """Golden questions answered with a prompt. `score`: the mean of the overall scores, 0 to 1; `by_set`: the same of
    each set of questions (that of Edwina Hawthorne is one)."""

    score: float
    questions: int
    by_set: Mapping[str, float] = field(default_factory=dict)


class PromptEvaluator(Protocol):
    """Golden questions. Both methods may raise `TiloresError`: then the check could not be made."""

    async def cases(self) -> Sequence[PromptCase]: ...

    async def evaluate_prompt(self, prompt: Prompt, model: str | None = None) -> PromptEvaluation:
        """Ask all golden questions with `prompt` and `model`, by default that of `[use]`, none from the cache."""


class PromptChecks:
    """The checks, with the limits of `[prompts]`. `evaluator` is set where there are golden questions."""

    def __init__(self, table: PromptsTable | None = None, evaluator: PromptEvaluator | None = None) -> None:
        self._table = table or PromptsTable()
        self.evaluator = evaluator

    async def run(
        self, prompt: Prompt, *, skip_evaluation: bool = False, model: str | None = None
    ) -> tuple[Check, ...]:
        """All checks in order; the golden questions are asked only when the others pass."""
        texts = self._without_allowed(prompt.parts)
        checks = [
            check_parts(prompt.parts),
            check_variables(prompt.parts),
            self._length(prompt),
            check_personal(texts),
            await self._check_copied(texts, skip=skip_evaluation),
        ]
        refused = any(check.result == "refused" for check in checks)
        return (*checks, await self._evaluation(prompt, model, skip=skip_evaluation, refused=refused))

    def _without_allowed(self, parts: Mapping[str, str]) -> dict[str, str]:
        """The texts without `[prompts] allowed`: a company's name and hotline are not personal data."""
        texts = dict(parts)
        for allowed in self._table.allowed:
            pattern = re.compile(re.escape(allowed), re.IGNORECASE)
            texts = {name: pattern.sub(" ", text) for name, text in texts.items()}
        return texts

    def _length(self, prompt: Prompt) -> Check:
        guidance = (name.removeprefix(GUIDANCE) for name in prompt.parts if name.startswith(GUIDANCE))
        tokens = max(estimate_tokens(prompt.for_spectrum(name).template) for name in (GENERAL, *guidance))
        most = self._table.max_tokens
        said = f"{tokens} tokens with the longest guidance, of at most {most}"
        return Check.of("length", tokens <= most, said, tokens=tokens, most=most)

    async def _check_copied(self, texts: Mapping[str, str], *, skip: bool) -> Check:
        try:
            cases = () if self.evaluator is None else await self.evaluator.cases()
        except TiloresError as error:
            hint = "" if skip else "; --skip-evaluation deploys without golden questions"
            return _not_run("copied", error.message + hint, skipped=skip)
        return CopyCheck(cases).run(texts, skipped=skip)

    async def _evaluation(self, prompt: Prompt, model: str | None, *, skip: bool, refused: bool) -> Check:
        not_run = partial(_not_run, "evaluation", skipped=skip)
        if skip:
            return not_run("skipped by the operator")
        if refused:
            return not_run("other checks refuse this version")
        if self.evaluator is None:
            return not_run("there are no golden questions")
        try:
            found = await self.evaluator.evaluate_prompt(prompt, model)
        except TiloresError as error:
            return not_run(error.message)
        least = self._table.min_score
        low = {name: score for name, score in found.by_set.items() if score < least}
        said = f"{found.score:.1%} over {found.questions} golden questions, at least {least:.0%} is needed"
        if low:
            said += "; below it: " + ", ".join(f"{name} {score:.1%}" for name, score in sorted(low.items()))
        if not found.questions:
            return not_run("there are no golden questions")
        values = {"score": found.score, "questions": found.questions, "least": least, **found.by_set}
        return Check.of("evaluation", found.score >= least and not low, said, **values)


def _not_run(name: str, why: str, *, skipped: bool) -> Check:
    return Check(name, "skipped" if skipped else "not run", f"not run: {why}")


def check_texts(parts: Mapping[str, str]) -> None:
    """That these can be kept as a version at all. Raises `InvalidRequestError`."""
    for name, text in parts.items():
        if not is_part(name):
            raise InvalidRequestError(
                f"{name[:100]!r} is not a part of a prompt",
                param="parts",
                fix=f"the parts are {', '.join(ORDER)}, and {GUIDANCE}SPECTRUM for a spectrum",
            )
        if len(text) > LONGEST_PART or "\0" in text:
            raise InvalidRequestError(
                f"the part {name!r} has {len(text):,} characters (at most {LONGEST_PART:,}), or a zero byte",
                param=f"parts.{name}",
            )
    if not any(text.strip() for text in parts.values()):
        raise InvalidRequestError("there is no part with a text", param="parts")


def is_part(name: str) -> bool:
    """Whether it has the name of a part; whether there is such a spectrum is known to the server alone."""
    return name in ORDER or _GUIDANCE.fullmatch(name) is not None


def check_parts(parts: Mapping[str, str]) -> Check:
    missing = [name for name in ORDER if not parts.get(name, "").strip()]
    known = {*ORDER, *(GUIDANCE + name for name in current_spectrums().names)}
    unknown = [name for name in parts if name not in known]
    said = f"{len(ORDER) - len(missing)} of {len(ORDER)} required parts"
    said += f"; missing: {', '.join(missing)}" if missing else ""
    said += f"; unknown: {', '.join(sorted(unknown))}" if unknown else ""
    return Check.of("parts", not missing and not unknown, said, missing=len(missing))


def check_variables(parts: Mapping[str, str]) -> Check:
    problems: list[str] = []
    counts = dict.fromkeys(_KNOWN, 0)
    for name, text in sorted(parts.items()):
        for variable in _VARIABLE.findall(text):
            if variable not in counts:
                problems.append(f"{variable[:40]} in {name} is not a variable")
            elif name.startswith(GUIDANCE):
                problems.append(f"{variable} in {name}, which is put in place of {{guidance}} itself")
            else:
                counts[variable] += 1
    problems += [f"{variable} {count} times" for variable, count in counts.items() if count > 1]
    said = "; ".join(problems[:5]) or f"{' and '.join(_KNOWN)}, each once"
    return Check.of("variables", not problems, said, problems=len(problems))


def check_personal(parts: Mapping[str, str]) -> Check:
    """What looks like a person's data, by kind and part; never the value."""
    found: dict[tuple[str, str], int] = {}
    for part, text in sorted(parts.items()):
        for kind in _personal(text):
            found[kind, part] = found.get((kind, part), 0) + 1
    said = ", ".join(f"{count} {kind} in {part}" for (kind, part), count in found.items())
    fix = "; put what is not a person's, such as the company's name, into [prompts] allowed"
    said = f"it looks like personal data: {said}{fix}" if found else "nothing that looks like personal data"
    return Check.of("personal", not found, said, found=sum(found.values()))


def _personal(text: str) -> Iterator[str]:
    for span in spans(text):
        digits = sum(character.isdecimal() for character in text[span.start : span.end])
        if span.label not in ("number", "id") or digits >= _SHORTEST_NUMBER:
            yield span.label
    for _ in find_claimed_names(text, _NO_NAMES):
        yield "name"


class CopyCheck:
    """Five words in a row that stand in a golden question or in a customer's records, which are read once for many
    prompts."""

    def __init__(self, cases: Sequence[PromptCase]) -> None:
        customers = {case.customer.id: case.customer for case in cases if case.customer is not None}
        texts = [case.question for case in cases]
        texts += [value for customer in customers.values() for value in _values(customer)]
        self._cases, self._customers = len(cases), len(customers)
        self._text = "\n".join(f" {' '.join(_fold_words(text))} " for text in texts)
        self._clean: set[str] = set()

    def run(self, parts: Mapping[str, str], *, skipped: bool = False) -> Check:
        """The check of one prompt. `skipped`: the operator said that it may be left out."""
        if not self._cases:
            return _not_run("copied", "there are no golden questions to compare with", skipped=skipped)
        copied: dict[str, int] = {}
        grams = {gram: part for part, text in sorted(parts.items()) for gram in _grams(text)}
        for gram, part in grams.items():
            if gram not in self._clean and f" {gram} " in self._text:
                copied[part] = copied.get(part, 0) + 1
            else:
                self._clean.add(gram)
        places = ", ".join(f"{count} in {part}" for part, count in copied.items())
        against = f"{self._cases} golden questions and the records of {self._customers} customers"
        said = (
            f"{WORDS_IN_A_ROW} words in a row copied from {against}: {places}" if copied else f"nothing of {against}"
        )
        values = {"copied": sum(copied.values()), "questions": self._cases, "customers": self._customers}
        return Check.of("copied", not copied, said, **values)


def _values(customer: Customer) -> list[str]:
    """The values as they were read, and the records as a model gets them."""
    values = [str(value) for record in customer.records for value in record.fields.values()]
    return [customer.name or "", *values, render(customer)]


def _fold_words(text: str) -> list[str]:
    return [fold(word) for word in _WORD.findall(text)]


def _grams(text: str) -> Iterator[str]:
    words = _fold_words(text)
    for start in range(len(words) - WORDS_IN_A_ROW + 1):
        yield " ".join(words[start : start + WORDS_IN_A_ROW])
