"""Cache keys: short ASCII names for everything an entry depends on.

A key is a namespace, a colon and a SHA-256. What is hashed is canonical JSON, so that the order of a JSON object's
keys and the Unicode form a text arrived in make no difference, while any change of meaning does. The same parts
give the same key on every machine and Python version.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any

import orjson

from tilores_core.contracts import Message

FORMAT = 1
"""Part of every key; raise it when the meaning of a stored value changes, and the old ones are never read again."""

WIRE = "wire"

_DIGEST_BYTES = 32
_EXACT = frozenset((str, int, bool, type(None)))
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def canonical(value: object) -> bytes:
    """The one way to write `value` as JSON: sorted keys, no spaces, text in Unicode's NFC.

    Takes dict, list, tuple (as a list), str, int within 64 bits, finite float, bool and None. Raises `TypeError` for
    any other type and for keys that are not text, `ValueError` for NaN and infinity, and when two keys of
    one object are the same text.
    """
    data = orjson.dumps(value, option=_OPTIONS)  # first: it refuses cycles, which the walk would not end on
    refuse_inexact(value)
    return data if data.isascii() else _normalise(value, data)


def conversation_digest(messages: Sequence[Message]) -> bytes:
    """SHA-256 of the canonical messages, 32 bytes. Raises what `canonical` raises."""
    plain = messages if type(messages) is list or type(messages) is tuple else list(messages)
    data = orjson.dumps(plain, option=_OPTIONS)
    for message in plain:
        for part in message.values():
            if type(part) is not str:  # nearly all parts are text; only the others need the walk
                refuse_inexact(part)
    if not data.isascii():
        data = _normalise(plain, data)
    return sha256(data).digest()


def answer_key(
    *,
    conversation: bytes,
    model: str,
    parameters: Mapping[str, Any],
    prompt_version: str,
    fingerprint: str,
    scope: str,
    schema_hash: str,
) -> str:
    """`answers:…`. `conversation`: a `conversation_digest`; `scope`: the caller's; `fingerprint`: the customer's."""
    _check_digest(conversation)
    # A JSON list, and not the texts joined: no two different sets of parts give the same bytes.
    data = conversation + orjson.dumps(("answers", FORMAT, model, prompt_version, fingerprint, scope, schema_hash))
    if parameters:
        data += canonical(dict(parameters))
    return "answers:" + sha256(data).hexdigest()


def mention_key(*, conversation: bytes, source: str, region: str, schema_hash: str) -> str:
    """`mentions:…`: what a conversation names, as this source and this phone region understand it."""
    _check_digest(conversation)
    return _key("mentions", source, region, schema_hash, digest=conversation)


def customer_key(source: str, customer_id: str) -> str:
    """`customers:…`: one customer's records."""
    return _key("customers", source, customer_id)


@lru_cache(maxsize=4096)
def fingerprint_key(source: str, customer_id: str) -> str:
    """`fingerprints:…`: the fingerprint of one customer's records and their stable ids."""
    return _key("fingerprints", source, customer_id)


def wire_key(answer_key: str, protocol: str) -> str:
    """`wire:PROTOCOL:ANSWER KEY`: an answer as the bytes one protocol sends. `protocol` has no colon."""
    return f"{WIRE}:{protocol}:{answer_key}"


def wire_origin(key: str) -> str | None:
    """The key of what a wire entry was made from; None when `key` is not a wire key."""
    if not key.startswith("wire:"):
        return None
    origin = key.partition(":")[2].partition(":")[2]
    return origin or None


def customer_tags(customer_id: str | None, record_ids: Iterable[str]) -> tuple[str, ...]:
    """The tags of what was made from a customer's records. Record ids survive merges and splits of customers."""
    if customer_id is None:
        return ()
    return (f"customer:{customer_id}", *(f"record:{record_id}" for record_id in record_ids))


def namespace_of(key: str) -> str:
    """The part before the first colon."""
    return key.partition(":")[0]


def _key(namespace: str, *parts: str, digest: bytes = b"") -> str:
    return f"{namespace}:{sha256(digest + orjson.dumps((namespace, FORMAT, *parts))).hexdigest()}"


def _check_digest(digest: bytes) -> None:
    if len(digest) != _DIGEST_BYTES:
        raise ValueError(f"conversation must be a digest of {_DIGEST_BYTES} bytes, not {len(digest)}")


def refuse_inexact(value: object, *, tuples: bool = True) -> None:
    """Raise `TypeError` or `ValueError` for what JSON holds as something else: orjson writes NaN as null, and
    enumerations and UUIDs as text. `tuples`: take them, as lists."""
    items = [value]
    for item in items:  # which grows
        kind = type(item)
        if kind in _EXACT:
            continue
        if isinstance(item, dict):
            items.extend(item.values())
        elif isinstance(item, list) or (tuples and isinstance(item, tuple)):
            items.extend(item)
        elif isinstance(item, float):
            if not isfinite(item):
                raise ValueError(f"{item} has no exact form in JSON; leave it out or use a finite number")
        else:
            raise TypeError(
                f"{kind.__qualname__} has no exact form in JSON; use str, int, float, bool, None, list or dict"
            )


def _normalise(value: object, data: bytes) -> bytes:
    # Normalising the whole text at once cannot join characters over the end of a string: nothing composes with a
    # quotation mark. Keys are another matter: their order was decided before they were normalised.
    if _has_wide_keys(value):
        data = orjson.dumps(_with_normal_keys(value), option=_OPTIONS)
    return unicodedata.normalize("NFC", data.decode()).encode()


def _has_wide_keys(value: object) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            for key, part in item.items():
                if not key.isascii():
                    return True
                if type(part) is not str:
                    stack.append(part)
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return False


def _with_normal_keys(value: object) -> object:
    if isinstance(value, dict):
        renamed = {unicodedata.normalize("NFC", key): _with_normal_keys(part) for key, part in value.items()}
        if len(renamed) != len(value):
            raise ValueError("two keys of one object are the same text in different Unicode forms; keep one")
        return renamed
    if isinstance(value, list | tuple):
        return [_with_normal_keys(part) for part in value]
    return value
