"""The plan of pre-warming, as its JSON has it: read, checked, and every problem named with its place and its fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tilores_core.contracts import Identifiers, Message
from tilores_core.errors import InvalidRequestError
from tilores_core.files import read_json
from tilores_core.identity import Locale, normalise_email, normalise_phone, parse_date
from tilores_core.settings.loader import config_error, describe_problem, field_names, table_model

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST: Final = 7 * 86_400.0

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([smhd]?)", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds: `90`, `"90s"`, `"30m"`, `"2h"`, `"1d"`; from one second to a week. Raises `ValueError`."""
    text = str(value) if type(value) in (int, float) else value
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1.0 <= seconds <= LONGEST:
        raise ValueError('this must be a duration from a second to a week, such as "90s", "30m" or "2h"')
    return seconds


MAX_BYTES: Final = 16 * 1024 * 1024
MOST_CUSTOMERS: Final = 100_000
MOST_QUESTIONS: Final = 50
_MOST_SHOWN: Final = 10

_WORDS: Final = {
    "dict_type": "this must be an object",
    "model_type": "this must be an object",
    "model_attributes_type": "this must be an object",
    "list_type": "this must be a list",
    "string_type": "this must be a string",
    "int_type": "this must be a whole number",
    "float_type": "this must be a number",
    "missing": "this is needed and not there",
}


PLACEHOLDERS = ("customer_id", "phone", "email", "name", "date_of_birth")
"""What a question may leave open, written `{phone}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningQuestion:
    """A question as the application will ask it; all of it is part of the cached answer's key.

    `messages` and `parameters` are as a request with them would be decoded. `scope`: None for that of the key that
    reported the call, else "default". `by_text`: the application names the customer in the question, not by id.
    """

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    scope: str | None = None
    by_text: bool = False

    def fill(self, known: Mapping[str, str | None]) -> OpeningQuestion | None:
        """With the placeholders filled in; None when one of them is not known."""
        messages: list[Message] = []
        for message in self.messages:
            content = message.get("content")
            if not isinstance(content, str):
                messages.append(message)
                continue
            for name in PLACEHOLDERS:
                mark = f"{{{name}}}"
                if mark in content:
                    value = known.get(name)
                    if not value:
                        return None
                    content = content.replace(mark, value)
            messages.append({**message, "content": content})
        return replace(self, messages=tuple(messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDecoders:
    """How a request with such messages and parameters would be decoded: what is warmed must be found by one.

    Both raise `InvalidRequestError`. `locale`: how phone numbers and dates are read.
    """

    messages: Callable[[Any], tuple[Message, ...]]
    parameters: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    locale: Locale


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
Duration = Annotated[float, BeforeValidator(parse_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


class CustomerReference(_Part):
    """A customer, by id or by anything that identifies one; all that is given must fit."""

    customer_id: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    name: Text | None = None
    date_of_birth: Text | None = None

    @field_validator("phone")
    @classmethod
    def _phone(cls, value: str | None, info: ValidationInfo) -> str | None:
        number = normalise_phone(value, info.context["locale"].region) if value and info.context else None
        if value and number is None:
            raise ValueError("this is not a phone number; write it with its country code")
        return number

    @field_validator("email")
    @classmethod
    def _email(cls, value: str | None) -> str | None:
        address = normalise_email(value) if value else None
        if value and address is None:
            raise ValueError("this is not an e-mail address")
        return address

    @field_validator("date_of_birth")
    @classmethod
    def _date(cls, value: str | None, info: ValidationInfo) -> str | None:
        day_first = info.context["locale"].day_first if info.context else False
        date = parse_date(value, day_first=day_first, birth=True) if value else None
        if value and date is None:
            raise ValueError("this is not a date; write it as YYYY-MM-DD")
        return date

    @model_validator(mode="after")
    def _identifies(self) -> CustomerReference:
        if not self.identifiers:
            raise ValueError("name a customer: customer_id, phone, email, or name and date_of_birth")
        if self.date_of_birth and not (self.name or self.customer_id or self.phone or self.email):
            raise ValueError("a date of birth alone identifies no customer; give the name too")
        return self

    @property
    def identifiers(self) -> Identifiers:
        return Identifiers(**self.model_dump())


class _RequestOptions(_Part):
    """How questions are asked: whatever here differs from the application's own request makes another entry."""

    model: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=32)
    system: Annotated[str, StringConstraints(min_length=1, max_length=50_000)] | None = None
    scope: Text | None = None

    def merge_over(self, base: _RequestOptions) -> _RequestOptions:
        """This one, and `base` for what it does not say."""
        return _RequestOptions.model_construct(**{**base._set_values(), **self._set_values()})

    def _set_values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class _Question(_Part):
    """`text`, or `messages` for a whole conversation."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = None
    messages: list[dict[str, Any]] | None = Field(None, max_length=100)
    named_by: Literal["customer_id", "text"] = "customer_id"
    ask: _RequestOptions = _RequestOptions()

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> _Question:
        if (self.text is None) == (self.messages is None):
            raise ValueError("give either text or messages")
        return self


Questions = Annotated[list[_Question], Field(max_length=MOST_QUESTIONS)]


class _QuestionGroup(_Part):
    """What has questions and says how they are asked."""

    questions: Questions = []
    most_matches: int = Field(3, ge=1, le=10)
    ask: _RequestOptions = _RequestOptions()
    _opening_questions: tuple[OpeningQuestion, ...] = PrivateAttr(())

    @property
    def opening_questions(self) -> tuple[OpeningQuestion, ...]:
        """The questions as the application will ask them."""
        return self._opening_questions

    def decode(self, at: str, base: _RequestOptions, decoders: RequestDecoders) -> Iterator[tuple[str, str]]:
        """Fill `opening_questions`; yields the place and the problem of those that cannot be asked."""
        decoded = []
        for index, question in enumerate(self.questions):
            place = f"{at}.questions[{index}]"
            try:
                decoded.append(
                    _opening_question(question, question.ask.merge_over(self.ask.merge_over(base)), decoders)
                )
            except InvalidRequestError as error:
                in_messages = (error.param or "").startswith("messages")
                yield (f"{place}.{error.param}" if in_messages else f"{place}: ask.parameters"), error.message
            except KeyError as unknown:
                yield f"{place}: ask.parameters.{unknown.args[0]}", "no parameter of a question; leave it out"
        self._opening_questions = tuple(decoded)


class WarmList(_QuestionGroup):
    """Customers that are kept warm. `priority`: higher goes first. `refresh` in seconds.

    `most_matches`: identifiers that fit more customers than that warm none of them.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    customers: Annotated[list[CustomerReference], Field(min_length=1, max_length=MOST_CUSTOMERS)]
    priority: int = Field(0, ge=-1000, le=1000)
    refresh: Duration = 1800.0


class CallPlan(_QuestionGroup):
    """What is warmed for a caller.

    `queue`: callers that may wait; beyond it the one that has waited longest is dropped. `joined`: the same caller
    reported again within so many seconds is one call.
    """

    LATE_SECONDS: ClassVar[float] = 30.0
    """A caller that waited longer is not warmed any more."""

    concurrency: int = Field(8, ge=1, le=64)
    queue: int = Field(1000, ge=1, le=100_000)
    joined: Duration = 10.0


class _Budget(_Part):
    calls_per_hour: int | None = Field(None, ge=0)
    cost_per_hour: float | None = Field(None, ge=0)


class WarmPlan(_Part):
    """All lists and limits of pre-warming.

    `concurrency`: customers of the lists at one time. `budget`: None for no limit.

    `memory_entries`: how many warmed entries a web process keeps in memory past that tier's own time.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    ask: _RequestOptions = _RequestOptions()
    lists: list[WarmList] = Field(default_factory=list, max_length=100)
    calls: CallPlan = CallPlan()
    concurrency: int = Field(4, ge=1, le=64)
    budget: _Budget = _Budget()
    memory_entries: int = Field(5000, ge=0, le=1_000_000)

    @field_validator("lists")
    @classmethod
    def _names(cls, value: list[WarmList]) -> list[WarmList]:
        names = [one.name for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two lists are named {twice[0]!r}; give each a name of its own")
        return value

    def models(self) -> set[str]:
        asking = (self.calls, *self.lists)
        return {one.model for part in asking for one in part.opening_questions if one.model is not None}

    def decode(self, decoders: RequestDecoders) -> Iterator[tuple[str, str]]:
        """Fill the opening questions of all parts; see `_QuestionGroup.decode`."""
        for index, one in enumerate(self.lists):
            yield from one.decode(f"lists[{index}]", self.ask, decoders)
        yield from self.calls.decode("calls", self.ask, decoders)


def load_plan(path: Path, decoders: RequestDecoders) -> WarmPlan:
    """The plan in a JSON file. Raises `ConfigError` with file, place and fix of every problem."""
    return parse_plan(read_json(path, most=MAX_BYTES), where=str(path), decoders=decoders)


def parse_plan(value: object, *, where: str, decoders: RequestDecoders) -> WarmPlan:
    """The plan that a JSON value makes. Raises `ConfigError`, which names places and never what stands there."""
    try:
        plan = WarmPlan.model_validate(value, context={"locale": decoders.locale})
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False)
        raise config_error(where, [_problem(item) for item in items[:_MOST_SHOWN]]) from None
    if problems := list(plan.decode(decoders)):
        raise config_error(where, problems[:_MOST_SHOWN])
    return plan


def _opening_question(question: _Question, ask: _RequestOptions, decoders: RequestDecoders) -> OpeningQuestion:
    """Raises `InvalidRequestError`, and `KeyError` with the name of an unknown parameter."""
    said: list[dict[str, Any]] = question.messages or [{"role": "user", "content": question.text}]
    if ask.system is not None:
        said = [{"role": "system", "content": ask.system}, *said]
    messages = decoders.messages(said)
    if messages[-1].get("role") != "user":
        raise InvalidRequestError("the last message must be the user's", param="messages")
    parameters = decoders.parameters(ask.parameters)
    for name in sorted(set(ask.parameters) - set(parameters) - {"max_completion_tokens"}):
        raise KeyError(name)
    return OpeningQuestion(
        messages=messages,
        parameters=parameters,
        model=ask.model,
        scope=ask.scope,
        by_text=question.named_by == "text",
    )


def _problem(item: ErrorDetails) -> tuple[str, str]:
    location = item["loc"]
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")
    model = table_model(WarmPlan, location[:-1])
    return key or "the whole", describe_problem(item, field_names(model) if model else (), _WORDS)
