"""Reading request bodies into msgspec structs, with errors that name the field and say what would be right.

A struct is the one definition of a body: it decodes, names the path of what is wrong and gives the JSON Schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tilores_core.errors import InvalidRequestError
from tilores_core.llm.characters import join_halves

T = TypeVar("T")

MAX_ID_LENGTH: Final = 256
ShortText = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Identifier = Annotated[str, Meta(max_length=MAX_ID_LENGTH)] | int
"""Ids are often whole numbers, and forms send the empty string for a field that was not filled in."""

FilledText = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Dollars = Annotated[float | None, Meta(description="US dollars; 0 from the cache.")]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Types of replies that both protocols use."""


class AnswerFacts(msgspec.Struct):
    """What both protocols say of an answer."""

    cache: Annotated[str, Meta(description="The tier the answer came from (l1, l2, …), or miss.")] = ""
    age_s: Annotated[Amount, Meta(description="Seconds since the model said it.")] = 0
    stale: bool = False
    customer_id: str | None = None
    spectrum: str = ""
    prompt_version: str = ""
    latency_ms: Annotated[Amount, Meta(description="Milliseconds this request took.")] = 0
    cost: Dollars = None


_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
_MAX_AGE_DIGITS: Final = re.compile(r"[0-9]{1,10}")  # more digits are over 300 years: the same as no limit
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_LIMIT: Final = re.compile(r"(?P<length>of length )?(?P<sign>[<>])= (?P<limit>[-+.e0-9]+)")
_WORDS: Final[Mapping[str, str]] = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def read_json(kind: type[T], body: bytes, at: str = "", fixes: Mapping[str, str] | None = None) -> T:
    """Decode JSON into `kind`. `at`: path of the body in its request; `fixes`: path, or `*.` and its last step
    -> what the caller should send.

    Raises `InvalidRequestError` whose `param` is the path of the first thing that is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, at, fixes) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if (mended := without_halves(body)) is not None:
            return read_json(kind, mended, at, fixes)
        detail = str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8"
        raise InvalidRequestError(
            f"{at or 'the body'} is not valid JSON: {detail}", param=at or None, fix="send a JSON object"
        ) from None
    except RecursionError:
        raise InvalidRequestError(
            f"{at or 'the body'} is nested too deeply", param=at or None, fix="send it flatter"
        ) from None


def without_halves(body: bytes) -> bytes | None:
    """The JSON with each half of a surrogate pair replaced, None where there is none: text that JavaScript has cut
    within a character."""
    if _HALF.search(body) is None:
        return None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    mended = join_halves(text).encode()
    return None if mended == text.encode("utf-8", "surrogatepass") else mended


def convert(kind: type[T], value: object, at: str) -> T:
    """As `read_json`, for a value that was decoded already."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, at) from None
    except RecursionError:
        raise InvalidRequestError(f"{at} is nested too deeply", param=at, fix="send it flatter") from None


def _invalid(error: msgspec.ValidationError, at: str, fixes: Mapping[str, str] | None = None) -> InvalidRequestError:
    message, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").partition("[...]")[0]
    if missing := _MISSING.fullmatch(message):
        path, message = f"{path}.{missing['name']}", "is required"
    param = f"{at}{path}".removeprefix(".")
    what = re.sub(r"`([^`]+)`", _plain_types, message.removeprefix("Expected ")).replace(", got ", ", not ")
    what = _LIMIT.sub(_plain_limit, what)
    if message.startswith("Invalid"):
        what = "has a value that is not allowed"  # the message quotes it, and it may be a customer's
    elif message != "is required":
        what = f"must be {what}"
    fix = fixes and (fixes.get(param) or fixes.get(f"*.{param.rpartition('.')[2]}"))
    return InvalidRequestError(f"{param or 'the body'} {what}", param=param or None, fix=fix or None)


def _plain_limit(match: re.Match[str]) -> str:
    what = "with a length of" if match["length"] else "of"
    return f"{what} at {'most' if match['sign'] == '<' else 'least'} {match['limit'].removesuffix('.0')}"


def _plain_types(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))


def identifier(value: str | int | None, at: str) -> str | None:
    """An id as text; None when it is empty. Raises `InvalidRequestError`."""
    if value is None or value == "":
        return None
    text = str(value)
    if len(text) > MAX_ID_LENGTH or not text.isprintable():
        raise InvalidRequestError(
            f"{at} must have at most {MAX_ID_LENGTH} characters, all of them printable", param=at
        )
    return text


def seconds(value: float | str, at: str) -> float:
    """Seconds, 0 or more, also as text: the SDKs' types for `metadata` allow strings only."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = -1.0
    if not (number >= 0 and isfinite(number)):
        raise InvalidRequestError(f"{at} must be a number of seconds, 0 or more", param=at)
    return number


def flag(value: bool | int | str, at: str) -> bool:
    """True or false, also as text or as 1 or 0."""
    found = _FLAGS.get(str(value).lower())
    if found is None:
        raise InvalidRequestError(f"{at} must be true or false", param=at)
    return found


def cache_control(header: bytes) -> tuple[float | None, bool, bool]:
    """`max-age` in seconds, `no-cache`, `no-store`; unknown directives are ignored, as HTTP requires."""
    max_age, no_cache, no_store = None, False, False
    for directive in header[:200].decode("latin-1").lower().split(","):
        name, _, argument = directive.strip().partition("=")
        if name == "no-cache":
            no_cache = True
        elif name == "no-store":
            no_store = True
        elif name == "max-age" and _MAX_AGE_DIGITS.fullmatch(age := argument.strip('"')):
            max_age = float(age)
    return max_age, no_cache, no_store


def nests_deeper(value: object, limit: int) -> bool:
    """Whether a value nests deeper than `limit`: writing JSON gives up far below what reading allows.

    Works level by level, so it cannot overflow.
    """
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a struct, without references, so that it can be part of a larger document."""
    schema = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        if reference := part.get("$ref"):
            return inlined(definitions[reference.rpartition("/")[2]])
        return {key: inlined(item) for key, item in part.items() if key not in ("default", "discriminator")}

    whole: dict[str, Any] = inlined(schema)
    return whole
