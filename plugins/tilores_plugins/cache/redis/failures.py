"""What Redis says when it refuses, as `CacheError`s that say what to do.

Only the code of a refusal (`OOM`, `READONLY`) is passed on: the rest of the sentence may quote a key or a user.
"""

from __future__ import annotations

import builtins
import re

from tilores_core import CacheError

_CODE = re.compile(r"[A-Z]{2,20}")

_FIXES = {
    "NOAUTH": "give the password in REDIS_URL: redis://:PASSWORD@host:6379",
    "WRONGPASS": "correct the user and password in REDIS_URL",
    "NOPERM": "let the Redis user run the commands and keys that docs/cache-redis.md lists",
    "OOM": "raise Redis' maxmemory or set a maxmemory-policy that evicts, e.g. allkeys-lru",
    "READONLY": "point REDIS_URL at the primary: this server is a read-only replica",
    "MISCONF": "Redis cannot write its snapshot: look at its log and disk",
    "MOVED": "this is a Redis Cluster: set cluster = true in [plugins.redis]",
    "CROSSSLOT": "this is a Redis Cluster: set cluster = true in [plugins.redis]",
    "NOREPLICAS": "Redis has too few replicas to accept writes",
}


def code_of(error: Exception) -> str:
    """The upper-case word a refusal begins with, `ERR` when there is none."""
    status = getattr(error, "status_code", None)
    found = _CODE.match(str(status or error))
    return found.group() if found else "ERR"


def refused(error: Exception) -> CacheError:
    """A reply that is an error."""
    code = code_of(error)
    return CacheError(f"Redis refused a command: {code}", fix=_FIXES.get(code))


def unreachable(error: Exception) -> CacheError:
    """What redis-py raises while connecting, without the address and the user in it."""
    from redis.exceptions import AuthenticationError, ResponseError, TimeoutError

    if isinstance(error, CacheError):
        return error
    if isinstance(error, AuthenticationError):
        return CacheError("Redis refused the log-in", fix=_FIXES["WRONGPASS"])
    if isinstance(error, ResponseError):
        return refused(error)
    if isinstance(error, (TimeoutError, builtins.TimeoutError)):
        return CacheError("Redis did not answer in time")
    cause = error.__cause__ or error.__context__ or error
    return CacheError(f"cannot reach Redis: {type(cause).__name__}")
