"""The JSON that says what is to be warmed: read, checked, and every problem named with its place and its mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tilores_core.contracts import Identifiers, Message
from tilores_core.errors import ConfigError, InvalidRequestError
from tilores_core.identity import normalise_email, normalise_phone, parse_date
from tilores_core.jobs.prewarm.duration import parse_duration
from tilores_core.jobs.prewarm.plan import CallPlan, Opening, Plan, WarmList
from tilores_core.settings.loader import config_error, field_names, table_model
from tilores_core.settings.nearest import suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a request with such messages and parameters would be decoded: what is warmed must be found by one.

    Both raise `InvalidRequestError`. `region`: of phone numbers without a country code.
    """

    messages: Callable[[Any], tuple[Message, ...]]
    parameters: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    region: str


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
Duration = Annotated[float, BeforeValidator(parse_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


class Who(_Part):
    """A customer, by id or by anything that identifies one; all that is given must fit."""

    customer_id: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    name: Text | None = None
    date_of_birth: Text | None = None

    @field_validator("phone")
    @classmethod
    def _phone(cls, value: str | None, info: ValidationInfo) -> str | None:
        number = normalise_phone(value, info.context["region"]) if value and info.context else None
        if value and number is None:
            raise ValueError("this is no phone number; write it with its country code")
        return number

    @field_validator("email")
    @classmethod
    def _email(cls, value: str | None) -> str | None:
        address = normalise_email(value) if value else None
        if value and address is None:
            raise ValueError("this is no e-mail address")
        return address

    @field_validator("date_of_birth")
    @classmethod
    def _date(cls, value: str | None) -> str | None:
        date = parse_date(value) if value else None
        if value and date is None:
            raise ValueError("this is no date; write it as YYYY-MM-DD")
        return date

    @model_validator(mode="after")
    def _somebody(self) -> Who:
        if not self.identifiers:
            raise ValueError("name somebody: customer_id, phone, email, or name and date_of_birth")
        if self.date_of_birth and not (self.name or self.customer_id or self.phone or self.email):
            raise ValueError("a date of birth alone names nobody; give the name too")
        return self

    @property
    def identifiers(self) -> Identifiers:
        return Identifiers(**self.model_dump())


class _Ask(_Part):
    """How questions are asked: whatever here differs from the application's own request makes another entry."""

    model: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=32)
    system: Annotated[str, StringConstraints(min_length=1, max_length=50_000)] | None = None
    scope: Text | None = None

    def over(self, base: _Ask) -> _Ask:
        """This one, and `base` for what it does not say."""
        return _Ask.model_construct(**{**base._said(), **self._said()})

    def _said(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class _Question(_Part):
    """`text`, or `messages` for a whole conversation."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = None
    messages: list[dict[str, Any]] | None = Field(None, max_length=100)
    named_by: Literal["customer_id", "text"] = "customer_id"
    ask: _Ask = _Ask()

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


class _List(_Part):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    customers: Annotated[list[Who], Field(min_length=1, max_length=MOST_CUSTOMERS)]
    questions: Questions = []
    priority: int = Field(0, ge=-1000, le=1000)
    refresh: Duration = 1800.0
    most_matches: int = Field(3, ge=1, le=10)
    ask: _Ask = _Ask()


class _Calls(_Part):
    questions: Questions = []
    most_matches: int = Field(3, ge=1, le=10)
    concurrency: int = Field(8, ge=1, le=64)
    queue: int = Field(1000, ge=1, le=100_000)
    joined: Duration = 10.0
    ask: _Ask = _Ask()


class _Budget(_Part):
    calls_per_hour: int | None = Field(None, ge=0)
    cost_per_hour: float | None = Field(None, ge=0)


class _File(_Part):
    schema_version: Literal[1] = Field(1, alias="schema")
    ask: _Ask = _Ask()
    lists: list[_List] = Field(default_factory=list, max_length=100)
    calls: _Calls = _Calls()
    concurrency: int = Field(4, ge=1, le=64)
    budget: _Budget = _Budget()
    memory_entries: int = Field(5000, ge=0, le=1_000_000)

    @field_validator("lists")
    @classmethod
    def _names(cls, value: list[_List]) -> list[_List]:
        names = [one.name for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two lists are named {twice[0]!r}; give each a name of its own")
        return value


def load_plan(path: Path, reading: Reading) -> Plan:
    """The plan in a JSON file. Raises `ConfigError` with file, place and mend of every problem."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), fix="check the path and its permissions"
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES} bytes", where=str(path), fix="split it into several files")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f"is not valid JSON (line {error.lineno}, column {error.colno})", where=str(path), fix="correct that line"
        ) from None
    return parse_plan(value, where=str(path), reading=reading)


def parse_plan(value: object, *, where: str, reading: Reading) -> Plan:
    """The plan that a JSON value makes. Raises `ConfigError`, which names places and never what stands there."""
    try:
        read = _File.model_validate(value, context={"region": reading.region})
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False)
        raise config_error(where, [_problem(item) for item in items[:_MOST_SHOWN]]) from None
    problems: list[tuple[str, str]] = []

    def openings(questions: Sequence[_Question], at: str, *asks: _Ask) -> tuple[Opening, ...]:
        return tuple(
            opening
            for index, question in enumerate(questions)
            if (opening := _opening(question, f"{at}.questions[{index}]", asks, reading, problems)) is not None
        )

    plan = Plan(
        lists=tuple(
            WarmList(
                name=one.name,
                customers=tuple(who.identifiers for who in one.customers),
                openings=openings(one.questions, f"lists[{index}]", read.ask, one.ask),
                priority=one.priority,
                refresh=one.refresh,
                most_matches=one.most_matches,
            )
            for index, one in enumerate(read.lists)
        ),
        calls=CallPlan(
            openings=openings(read.calls.questions, "calls", read.ask, read.calls.ask),
            most_matches=read.calls.most_matches,
            concurrency=read.calls.concurrency,
            queue=read.calls.queue,
            joined_seconds=read.calls.joined,
        ),
        concurrency=read.concurrency,
        calls_per_hour=read.budget.calls_per_hour,
        cost_per_hour=read.budget.cost_per_hour,
        memory_entries=read.memory_entries,
    )
    if problems:
        raise config_error(where, problems[:_MOST_SHOWN])
    return plan


def _opening(
    question: _Question, at: str, asks: Sequence[_Ask], reading: Reading, problems: list[tuple[str, str]]
) -> Opening | None:
    ask = question.ask
    for base in reversed(asks):
        ask = ask.over(base)
    said: list[dict[str, Any]] = question.messages or [{"role": "user", "content": question.text}]
    if ask.system is not None:
        said = [{"role": "system", "content": ask.system}, *said]
    try:
        messages = reading.messages(said)
        if messages[-1].get("role") != "user":
            raise InvalidRequestError("the last message must be the user's", param="messages")
        parameters = reading.parameters(ask.parameters)
    except InvalidRequestError as error:
        place = f"{at}.{error.param}" if (error.param or "").startswith("messages") else f"{at}: ask.parameters"
        problems.append((place, error.message))
        return None
    ignored = sorted(set(ask.parameters) - set(parameters) - {"max_completion_tokens"})
    if ignored:
        problems.append((f"{at}: ask.parameters.{ignored[0]}", "no parameter of a question; leave it out"))
        return None
    return Opening(
        messages=messages,
        parameters=parameters,
        model=ask.model,
        scope=ask.scope,
        by_text=question.named_by == "text",
    )


def _problem(item: ErrorDetails) -> tuple[str, str]:
    location = item["loc"]
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")
    if item["type"] == "extra_forbidden":
        model = table_model(_File, location[:-1])
        return key, f"unknown key; {suggest(str(location[-1]), field_names(model) if model else ())}"
    return key or "the whole", _WORDS.get(item["type"]) or item["msg"].removeprefix("Value error, ")
