"""Golden questions from a source's own records, in wordings from written.toml or made of the names of fields."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

from tilores_core.chat.grounding.amounts import Claim
from tilores_core.contracts import Customer, CustomerSource, SourceSchema, SupportsListing
from tilores_core.errors import ConfigError
from tilores_core.quality.questions.fields import FieldFacts, facts_of
from tilores_core.quality.questions.golden import SPLITS, Fact, GoldenQuestion, GoldenSet, Split, split_of
from tilores_core.quality.scoring.clauses import plain_words
from tilores_core.quality.scoring.records import IndexedRecords
from tilores_core.spectrums import current_spectrums, spectrum_of_field

NAME: Final = "{name}"
_MOST_LISTED: Final = 10_000
_MOST_FORBIDDEN: Final = 2
_LEAST_DIGITS: Final = 3
_LEAST_LETTERS: Final = 4
_OUTDATED_SHARE: Final = 0.15
_SEVERAL_SHARE: Final = 0.3
_ABSENT_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOptions:
    """How many golden questions are made.

    `customers`: how many, over all splits; `per_spectrum`: questions of each split and spectrum.
    """

    customers: int = 60
    per_spectrum: int = 20
    seed: int = 1


async def make_questions(
    source: CustomerSource,
    options: MakeOptions | None = None,
    *,
    ids: Sequence[str] | None = None,
) -> GoldenSet:
    """Golden questions about customers of `source`, the same for the same records and seed.

    `ids`: which customers; without them the source must be able to list its own. Raises `ConfigError` when it cannot,
    or when no question can be made; `SourceError`.
    """
    options = options or MakeOptions()
    if ids is None:
        if not isinstance(source, SupportsListing):
            raise ConfigError(
                "this customer source cannot list its customers",
                where="[use] source",
                fix="give their ids, one a line: tilores questions make --ids FILE",
            )
        ids = await source.customer_ids(limit=_MOST_LISTED)
    schema = await source.schema()
    by_split: dict[Split, list[_Subject]] = {split: [] for split in SPLITS}
    wanted = -(-options.customers // len(SPLITS))
    for customer_id in sorted(dict.fromkeys(ids), key=lambda customer_id: _rank(options.seed, customer_id)):
        subjects = by_split[split_of(customer_id)]
        if len(subjects) < wanted and (customer := await source.get(customer_id)) is not None:
            subjects.append(_Subject(customer))
        if all(len(found) >= wanted for found in by_split.values()):
            break
    questions: list[GoldenQuestion] = []
    for subjects in by_split.values():
        questions += _Maker(subjects, schema, options).questions()
    if not questions:
        raise ConfigError(
            "no question can be made of these customers",
            where="questions make",
            fix="check the ids, and that the records have fields with values",
        )
    return GoldenSet(questions)


@dataclass(frozen=True, slots=True)
class Wording:
    """A question without its customer: the text with `{name}`, and the fields that a right answer states.

    `absent`: the one field is what the records do not hold.
    """

    spectrum: str
    text: str
    fields: tuple[str, ...]
    origin: Literal["template", "written"] = "written"
    absent: bool = False


class _Subject:
    """A customer with the facts of the fields that were looked at."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.fields = frozenset(field for record in customer.records for field in record.fields)
        self._facts: dict[str, FieldFacts | None] = {}

    @cached_property
    def _index(self) -> IndexedRecords:
        return IndexedRecords(self.customer)

    @cached_property
    def _words(self) -> str:
        return f" {plain_words(self._index.text)} "

    def facts(self, field: str) -> FieldFacts | None:
        if field not in self._facts:
            self._facts[field] = facts_of(self.customer, field)
        return self._facts[field]

    def suits(self, wording: Wording, has_outdated: bool) -> bool:
        """Whether the wording can be asked about the customer. `has_outdated`: only where a value was another one."""
        if wording.absent:
            return self.fields.isdisjoint(wording.fields)
        found = self.list_facts(wording.fields)
        return len(found) == len(wording.fields) and (not has_outdated or any(one.outdated for one in found))

    def list_facts(self, fields: Sequence[str]) -> list[FieldFacts]:
        """The facts of those fields that have any."""
        return [found for field in fields if (found := self.facts(field)) is not None]

    def holds(self, fact: Fact) -> bool:
        """Whether any record holds the value, under whatever name."""
        if fact.kind == "number":
            return self._index.evidence.bears_out(Claim("number", "number", fact.value, abs(float(fact.value)), 0.0))
        return fact.value in self._index.text or f" {plain_words(fact.value)} " in self._words


class _Maker:
    """Makes the questions of one split: forbidden facts are of other customers of the same split."""

    def __init__(self, subjects: Sequence[_Subject], schema: SourceSchema, options: MakeOptions) -> None:
        self._subjects = subjects
        self._options = options
        self._known = frozenset(field.name for field in schema.fields).union(
            *(subject.fields for subject in subjects)
        )
        self._fields: dict[str, list[str]] = {spectrum.name: [] for spectrum in current_spectrums().spectrums}
        declared = {field.name: field.spectrum for field in schema.fields}
        for field in sorted(self._known):
            spectrum = declared.get(field) or spectrum_of_field(field)
            if spectrum in self._fields:
                self._fields[spectrum].append(field)
        self._made: set[tuple[str, str]] = set()

    def questions(self) -> Iterator[GoldenQuestion]:
        for spectrum in self._fields:
            yield from self._of_spectrum(spectrum)

    def _of_spectrum(self, spectrum: str) -> list[GoldenQuestion]:
        count = self._options.per_spectrum
        own = [wording for wording in load_written() if wording.spectrum == spectrum]
        one = self._rank_wordings([wording for wording in own if len(wording.fields) == 1 and not wording.absent])
        several = self._rank_wordings([wording for wording in own if len(wording.fields) > 1])
        absent = self._rank_wordings([w for w in own if w.absent and self._known.isdisjoint(w.fields)])
        singles, pairs, missing = self._templates(spectrum)
        made = self._take(one + singles, round(_OUTDATED_SHARE * count), has_outdated=True)
        made += self._take(several + pairs, round(_SEVERAL_SHARE * count))
        made += self._take(absent + missing, round(_ABSENT_SHARE * count))
        made += self._take(one + singles, count - len(made))
        return made + self._take(pairs, count - len(made))

    def _templates(self, spectrum: str) -> tuple[list[Wording], list[Wording], list[Wording]]:
        kinds: dict[str, str] = {}
        for field in self._fields[spectrum]:
            for subject in self._subjects:
                if (found := subject.facts(field)) is not None:
                    kinds[field] = found.facts[0].kind
                    break
        ranked = sorted(kinds, key=lambda field: _rank(self._options.seed, spectrum, field))
        singles = [from_fields(spectrum, field, kind=kinds[field]) for field in ranked]
        plain = [field for field in ranked if kinds[field] != "boolean"]
        pairs = [from_fields(spectrum, *pair) for pair in zip(plain[::2], plain[1::2], strict=False)]
        return singles, pairs, [from_fields(spectrum, field, absent=True) for field in ranked]

    def _rank_wordings(self, wordings: list[Wording]) -> list[Wording]:
        return sorted(wordings, key=lambda wording: _rank(self._options.seed, wording.text))

    def _take(self, wordings: Sequence[Wording], count: int, *, has_outdated: bool = False) -> list[GoldenQuestion]:
        """At most `count` questions, each wording once before any comes again, over the customers in turns."""
        made: list[GoldenQuestion] = []
        for turn in range(len(self._subjects)):
            for place, wording in enumerate(wordings):
                if len(made) >= count:
                    return made
                start = turn + place + len(self._made)
                subject = self._first(wording, start, has_outdated)
                if subject is not None:
                    made.append(self._question(wording, subject, start))
                    self._made.add((wording.text, subject.customer.id))
        return made

    def _first(self, wording: Wording, start: int, has_outdated: bool) -> _Subject | None:
        """The next customer from place `start` on that the wording can be asked about."""
        for step in range(len(self._subjects)):
            subject = self._subjects[(start + step) % len(self._subjects)]
            if (wording.text, subject.customer.id) not in self._made and subject.suits(wording, has_outdated):
                return subject
        return None

    def _question(self, wording: Wording, subject: _Subject, start: int) -> GoldenQuestion:
        customer = subject.customer
        text = wording.text.replace(NAME, customer.name or "the customer")
        known = [] if wording.absent else subject.list_facts(wording.fields)
        facts = [fact for one in known for fact in one.facts]
        expected = {fact.value for fact in facts}
        outdated = [fact for one in known for fact in one.outdated[:_MOST_FORBIDDEN]]
        forbidden = [fact for fact in outdated if fact.value not in expected]
        forbidden += self._of_others(wording.fields, subject, start)
        digest = hashlib.sha256(f"{customer.id}\n{text}".encode()).hexdigest()[:10]
        return GoldenQuestion(
            id=f"{wording.spectrum}.{digest}",
            customer_id=customer.id,
            spectrum=wording.spectrum,
            text=text,
            facts=tuple(facts),
            forbidden=tuple(forbidden),
            answerable=not wording.absent,
            origin=wording.origin,
        )

    def _of_others(self, fields: Sequence[str], subject: _Subject, start: int) -> list[Fact]:
        """Values of the same fields that the next customers have, and that no record of this one holds."""
        for step in range(1, len(self._subjects)):
            other = self._subjects[(start + step) % len(self._subjects)]
            if other is subject:
                continue
            found = [
                replace(fact, reason="other_customer", disputed=False)
                for theirs in other.list_facts(fields)
                for fact in theirs.facts
                if _is_telling(fact) and not subject.holds(fact)
            ]
            if found:
                return found[:_MOST_FORBIDDEN]
        return []


def _is_telling(fact: Fact) -> bool:
    """Whether a value points to one customer: small counts, yes and no, and common words do not."""
    if fact.kind in ("number", "code"):
        return sum(c.isdigit() for c in fact.value) >= _LEAST_DIGITS
    if fact.kind == "text":
        return len(fact.value) >= _LEAST_LETTERS and fact.value[:1].isupper() and " " in fact.value
    return fact.kind in ("date", "phone", "email")


def _rank(*what: object) -> str:
    return hashlib.sha256("|".join(map(str, what)).encode()).hexdigest()


@lru_cache(maxsize=1)
def load_written() -> tuple[Wording, ...]:
    """The wordings of written.toml."""
    data: dict[str, Any] = tomllib.loads(files(__package__).joinpath("written.toml").read_text(encoding="utf-8"))
    found = []
    for spectrum, tables in data.items():
        for key in ("questions", "absent"):
            found += [Wording(spectrum, text, tuple(fields), absent=key == "absent") for text, *fields in tables[key]]
    return tuple(found)


def from_fields(spectrum: str, *fields: str, kind: str = "", absent: bool = False) -> Wording:
    """A wording for one or two fields of which nothing but the names are known, and the kind of a single one."""
    first, *more = map(speak_name, fields)
    text = {"boolean": f"Is it so for {NAME}: {first}", "date": f"What is the date of {NAME}'s {first}"}.get(
        kind, f"What is {NAME}'s {first}"
    )
    text += "".join(f", and what is the {label}" for label in more)
    return Wording(spectrum, f"{text}?", fields, origin="template", absent=absent)


def speak_name(field: str) -> str:
    """A field's name as it is said: `LastPayment_date` is "last payment date"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field.rpartition(".")[2])
    label = " ".join(re.sub(r"[\W_]+", " ", words).lower().split())
    return re.sub(r" (?:on|at)$", "", label)
