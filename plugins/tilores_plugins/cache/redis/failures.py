"""What Redis says when it refuses, as `CacheError`s that say what to do.

Only the code of a refusal (`OOM`, `READONLY`) is passed on: the rest of the sentence may quote a key or a user.
"""

from __future__ import annotations

import builtins
import re
from socket import gaierror

from tilores_core import CacheError

_CODE = re.compile(r"[A-Z]{2,20}\b")
# Before Redis 7 an error inside a script stands in the middle of a message about the script.
_INNER_CODE = re.compile(r"@user_script: ?\d+: -?([A-Z]{3,20})\b")
# What is said without a code of its own.
_SENTENCES = {
    "The user executing the script": "NOPERM",
    "max number of clients reached": "MAXCLIENTS",
    "unauthenticated": "NOAUTH",
}
_REACH = "start Redis, or correct REDIS_URL"
_SLOW = "look at the load of Redis and at the network; connect_timeout_ms and command_timeout_ms are the limits"

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
    "LOADING": "nothing: Redis reads its file, and is used when that is done",
    "MASTERDOWN": "point REDIS_URL at the primary: this server is a replica that has lost it",
    "MAXCLIENTS": "raise maxclients of Redis, or find what holds so many connections: CLIENT LIST",
}


def code_of(error: Exception) -> str:
    """The upper-case word a refusal begins with, `ERR` when there is none."""
    said = str(error)
    for sentence, code in _SENTENCES.items():
        if sentence in said:
            return code
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
    code = code_of(error)
    if isinstance(error, AuthenticationError) and code != "NOAUTH":
        return CacheError("Redis refused the log-in", fix=_FIXES["WRONGPASS"])
    if isinstance(error, ResponseError) or code in _FIXES:  # redis-py calls some refusals lost connections
        return reply_error(error)
    if isinstance(error, (TimeoutError, builtins.TimeoutError)):
        return timed_out()
    cause = error.__cause__ or error.__context__ or error
    found = "the name of its host is not known" if isinstance(cause, gaierror) else type(cause).__name__
    return CacheError(f"cannot reach Redis: {found}", fix=_REACH)


def timed_out() -> CacheError:
    return CacheError("Redis did not answer in time", fix=_SLOW)
