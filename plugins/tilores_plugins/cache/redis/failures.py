"""What Redis says when it refuses, as `CacheError`s that say what to do.

Only the code of a refusal (`OOM`, `READONLY`) is passed on: the rest of the sentence may quote a key or a user.
"""

from __future__ import annotations

import builtins
import re

from tilores_core import CacheError

_CODE = re.compile(r"[A-Z]{2,20}\b")
# Before Redis 7 an error inside a script stands in the middle of a message about the script.
_INNER_CODE = re.compile(r"@user_script: ?\d+: -?([A-Z]{3,20})\b")
_FORBIDDEN_IN_SCRIPT = "The user executing the script"

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
    said = str(error)
    if _FORBIDDEN_IN_SCRIPT in said:
        return "NOPERM"
    if inner := _INNER_CODE.search(said):
        return inner[1]
    found = _CODE.match(str(getattr(error, "status_code", None) or said))
    return found.group() if found else "ERR"


def reply_error(error: Exception) -> CacheError:
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
        return reply_error(error)
    if isinstance(error, (TimeoutError, builtins.TimeoutError)):
        return CacheError("Redis did not answer in time")
    cause = error.__cause__ or error.__context__ or error
    return CacheError(f"cannot reach Redis: {type(cause).__name__}")
