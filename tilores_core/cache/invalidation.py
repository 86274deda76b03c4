"""What was invalidated, its messages to other processes, and whether a value read earlier may still be stored.

A value that was read just before an invalidation must not be stored just after it. So every reader notes the log's
revision first, and asks the log before storing (and once more after a store that took time) whether anything since
then would have removed the value. The log is short; a revision older than the log counts as touched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tilores_core.cache.keys import WIRE, namespace_of, wire_origin

_MESSAGE_VERSION = 1
_PER_MESSAGE = 500
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Entries to remove: these keys, all with one of these tags, all of these namespaces, or everything."""

    keys: frozenset[str] = _NOTHING
    tags: frozenset[str] = _NOTHING
    namespaces: frozenset[str] = _NOTHING
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.everything or self.keys or self.tags or self.namespaces)

    def matches(self, key: str, tags: Iterable[str] | None) -> bool:
        """Would it remove this entry? `tags=None`: not known yet, so any tag may be one of them."""
        if self.everything or key in self.keys or namespace_of(key) in self.namespaces:
            return True
        if tags is None:
            return bool(self.tags)
        if self.tags and not self.tags.isdisjoint(tags):
            return True
        origin = wire_origin(key)
        return origin is not None and origin in self.keys


EVERYTHING = Invalidation(everything=True)


def invalidation(keys: Sequence[str] = (), tags: Sequence[str] = (), namespace: str | None = None) -> Invalidation:
    """Of all three together. The wire bytes of answers go with the answers."""
    names = {namespace} if namespace else set()
    if namespace == "answers":
        names.add(WIRE)
    return Invalidation(frozenset(keys), frozenset(tags), frozenset(names))


class InvalidationLog:
    """The latest invalidations in order, and those under way."""

    def __init__(self, size: int = 1024) -> None:
        self._done: deque[Invalidation] = deque(maxlen=size)
        self._under_way: list[Invalidation] = []
        self._count = 0

    def revision(self) -> int:
        """A number to note before reading."""
        return self._count

    def begin(self, what: Invalidation) -> None:
        """From now on nothing that `what` removes may be stored."""
        self._under_way.append(what)

    def end(self, what: Invalidation) -> None:
        """All tiers have removed it: what is read from now on may be stored."""
        self._under_way.remove(what)
        self._done.append(what)
        self._count += 1

    def has_news(self, revision: int) -> bool:
        """Whether anything was invalidated since `revision`, or is now."""
        return self._count != revision or bool(self._under_way)

    def has_invalidated(self, revision: int, key: str, tags: Iterable[str] | None) -> bool:
        """Would an invalidation since `revision` have removed this entry?"""
        if self._under_way and any(what.matches(key, tags) for what in self._under_way):
            return True
        since = self._count - revision
        if not since:
            return False
        if since > len(self._done):
            return True
        return any(self._done[-position].matches(key, tags) for position in range(1, since + 1))


def to_messages(sender: str, what: Invalidation) -> list[bytes]:
    """For the other processes; long lists in several messages."""
    if what.everything:
        return [_message(sender, everything=True)]
    messages = [_message(sender, namespaces=sorted(what.namespaces))] if what.namespaces else []
    messages += [_message(sender, keys=part) for part in _chunks(sorted(what.keys))]
    messages += [_message(sender, tags=part) for part in _chunks(sorted(what.tags))]
    return messages


def from_message(data: bytes) -> tuple[str, Invalidation]:
    """Sender and content. Raises `ValueError` when it is not one of ours, or of another version."""
    body = orjson.loads(data)
    if not isinstance(body, dict) or body.get("v") != _MESSAGE_VERSION or not isinstance(body.get("from"), str):
        raise ValueError("not an invalidation message of this version")
    what = Invalidation(
        keys=_names(body, "keys"),
        tags=_names(body, "tags"),
        namespaces=_names(body, "namespaces"),
        everything=body.get("everything") is True,
    )
    return body["from"], what


def to_announcement(sender: str, topic: str) -> bytes:
    """A message that something changed which is kept elsewhere; for older versions an invalidation of nothing."""
    return _message(sender, changed=[topic])


def announced_topics(data: bytes) -> frozenset[str]:
    """The topics of what `from_message` has read. Raises `ValueError` as that does."""
    return _names(orjson.loads(data), "changed")


def _message(sender: str, **content: Any) -> bytes:
    return orjson.dumps({"v": _MESSAGE_VERSION, "from": sender, **content})


def _names(body: dict[str, Any], field: str) -> frozenset[str]:
    names = body.get(field, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{field} of an invalidation message is not a list of names")
    return frozenset(names)


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[start : start + _PER_MESSAGE] for start in range(0, len(names), _PER_MESSAGE)]
