"""Keys of a body that OpenAI's protocol does not have: read as what they are there, passed on, refused or ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import Raw

from tilores_core.errors import InvalidRequestError
from tilores_core.llm.parameters import SAMPLER_PARAMETERS
from tilores_core.web.bodies import read_json
from tilores_core.web.openai.body import NULL, CompletionBody, ParametersBody
from tilores_core.web.openai.messages import invalid, open_json

_NOTHING: Final = frozenset({b"null", b'""', b"[]", b"{}"})
_CAPITAL: Final = re.compile(r"(?<=[a-z])[A-Z]")
# What other protocols call a parameter.
_NAMES: Final = {
    **dict.fromkeys(("max_new_tokens", "max_output_tokens", "n_predict", "num_predict"), "max_tokens"),
    **dict.fromkeys(("typ_p", "typical"), "typical_p"),
    "repeat_penalty": "repetition_penalty",
    "random_seed": "seed",
    **dict.fromkeys(("stop_sequences", "stop_sequence"), "stop"),
}
_GROUPS: Final = ("options", "generation_config")  # Ollama's and Gemini's, of parameters
_SYSTEM: Final = "send it as the first message, with the role system"
_FORMAT: Final = "send response_format"
_INSTEAD: Final = {
    **dict.fromkeys(("system", "system_prompt", "system_instruction", "instructions"), _SYSTEM),
    **dict.fromkeys(("format", "response_schema", "response_mime_type", "output_format"), _FORMAT),
    "previous_response_id": "send the conversation so far in messages",
    "tool_config": "send tool_choice",
    **dict.fromkeys(("customer_id", "max_age", "no_cache"), "send it in metadata"),
    "cache": "send the header Cache-Control",  # LiteLLM's
}
_LIKENESS: Final = 0.88  # "max_token", "temprature"; not the keys that chat applications send of their own
_MOST: Final = 256  # keys
_KEYS: Final = frozenset(CompletionBody.__struct_fields__)


class _PlainBody(CompletionBody, forbid_unknown_fields=True, kw_only=True):
    """The body of most clients: it has no other keys."""


def read_body(body: bytes, fixes: Mapping[str, str]) -> tuple[CompletionBody, Mapping[str, Any]]:
    """The body, and parameters that are passed on as they are.

    Raises `InvalidRequestError` for what is wrong, and for a key that would shape the answer and is not known. Other
    keys are ignored: chat applications send many of their own.
    """
    try:
        return msgspec.json.decode(body, type=_PlainBody), {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # what is wrong, or keys that others have
        data = read_json(CompletionBody, body, fixes=fixes)
    given = read_json(dict[str, Raw], body)
    renamed: dict[str, Raw] = {}
    passed: dict[str, Any] = {}
    for key, value in _flatten(given).items():
        if (key in _KEYS and key in given) or bytes(value) in _NOTHING:
            continue
        name = _snake_case(key)
        if name in _NAMES or name in _KEYS:
            renamed[_NAMES.get(name, name)] = value
        elif name in SAMPLER_PARAMETERS:
            one = open_json(value, key)
            if one not in SAMPLER_PARAMETERS[name]:
                passed[name] = one
        elif name in _INSTEAD and bytes(value) != b"false":
            raise invalid(key, "is not taken by this protocol", _INSTEAD[name])
        elif near := get_close_matches(name, ParametersBody.__struct_fields__, n=1, cutoff=_LIKENESS):
            raise invalid(key[:100], "is not known here", f"did you mean {near[0]}?")
    if renamed:
        said = {key: value for key, value in given.items() if value != NULL}
        data = read_json(CompletionBody, msgspec.json.encode(renamed | said), fixes=fixes)
    return data, passed


def _flatten(given: Mapping[str, Raw]) -> Mapping[str, Raw]:
    flat = dict(given)
    for key, value in given.items():
        if _snake_case(key) in _GROUPS and bytes(value)[:1] == b"{":
            flat = read_json(dict[str, Raw], bytes(value), key) | flat
    if len(flat) > _MOST:
        raise InvalidRequestError(f"the body has more than {_MOST} keys", fix="leave out those that are not OpenAI's")
    return flat


def _snake_case(key: str) -> str:
    return _CAPITAL.sub(lambda capital: f"_{capital.group().lower()}", key[:100]).replace("-", "_")
