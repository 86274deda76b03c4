"""Logging: structlog straight to standard error, as text for people or JSON for machines.

No question, answer or record is ever given to a logger; messages of foreign exceptions neither. Our own lines do not
pass through the standard library's logging (that costs five times as much a line); other libraries' lines do, and
come out in the same form.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import structlog

log = structlog.get_logger(part="logs")

# structlog's own context variables are all looked through for every line, which costs as much as the rest of it.
_request_id: ContextVar[str | None] = ContextVar("tilores_request_id", default=None)
# Loggers that follow the level of the settings. Libraries write requests at "info" already, and whole requests,
# statements and rows at "debug", so theirs start at "warning".
_OURS = ("tilores_core", "tilores_plugins", "uvicorn")
_WRITTEN = ("info", "warning", "error")
_AGAIN_SECONDS = 60.0


def configure_logging(level: str, style: Literal["console", "json"]) -> None:
    """Set logging up for this process; called by the commands, never by the library."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    steps = [_complete, _rendering(style)]
    structlog.configure(
        processors=steps,
        wrapper_class=_logger_class(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *steps],
        )
    )
    handler.addFilter(_is_no_cancellation)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(threshold)


def _logger_class(threshold: int) -> type:
    """structlog's logger of this level, with methods that do the work themselves: each request has a line, and its
    values were handed on four times, which cost as much as to write them."""
    plain: type = structlog.make_filtering_bound_logger(threshold)

    def method(level: str) -> Callable[..., None]:
        interpolate = getattr(plain, level)

        def write(self: Any, event: str, *args: Any, **values: Any) -> None:
            if args:
                interpolate(self, event, *args, **values)
                return
            line = {"timestamp": _now(), "level": level, "event": event, **self._context, **values}
            try:
                for step in self._processors:
                    line = step(self._logger, level, line)
            except structlog.DropEvent:
                return
            self._logger.msg(line)

        return write

    levels = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
    return type("Logger", (plain,), {name: method(name) for name in _WRITTEN if levels[name] >= threshold})


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """False where a library reports as its error that this process had to end at once, as a pool does that was taking
    a connection back."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def bind_request(request_id: str) -> None:
    """From here on every line of this task, and of the tasks and threads that it starts, names the request.

    An answer from memory does without: it starts nothing, and its one line names the request by itself.
    """
    _request_id.set(request_id)


def _complete(_: Any, level: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The line with its time and its level, which our own have, and with its request."""
    if "timestamp" not in event:
        event = {"timestamp": _now(), "level": level, "event": event["event"], **event}
    if "request_id" not in event and (request_id := _request_id.get()) is not None:
        event["request_id"] = request_id
    return event


def _now() -> str:
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _rendering(style: Literal["console", "json"]) -> structlog.types.Processor:
    if style == "json":
        return _to_json
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return _to_logfmt  # for no terminal: plain key=value, which is quicker to write and to search


def _to_json(logger: Any, level: str, event: structlog.types.EventDict) -> str:
    import orjson

    return orjson.dumps(structlog.processors.format_exc_info(logger, level, event), default=str).decode()


def _to_logfmt(logger: Any, level: str, event: structlog.types.EventDict) -> str:
    """As structlog's `LogfmtRenderer` writes it, which looks at each character of each key."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, level, event)
    line = _pattern(tuple(event)) % tuple(event.values())
    plain = line.count("=") == len(event) == line.count(" ") + 1 and '"' not in line and "\n" not in line
    if plain and "None" not in line and "True" not in line and "False" not in line:  # as nearly all are
        return line
    texts = ["" if value is None else "false" if value is False else _escape(str(value)) for value in event.values()]
    pairs = zip(event.items(), texts, strict=True)
    return " ".join([key if value is True else f"{key}={text}" for (key, value), text in pairs])


@lru_cache
def _pattern(keys: tuple[str, ...]) -> str:
    """Lines are of few kinds; to write one by its pattern takes half the time."""
    return " ".join([f"{key.replace('%', '%%')}=%s" for key in keys])


def _escape(text: str) -> str:
    quoted = " " in text or "=" in text or '"' in text
    text = (text.replace("\\", "\\\\") if quoted else text).replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"' if quoted else text


def sanitize_exception(error: BaseException) -> BaseException:
    """A copy that may be logged: the traceback names lines of code; the message, which may hold data, is left out."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


class LastingFault:
    """A fault that is met again and again while it lasts, such as a database that is away: each of its reasons is to
    be logged once, and its end is. One that comes and goes is logged once a minute.

    `event`: the one that it is logged as; `about`: what else its end says. `clock`: in seconds.
    """

    def __init__(self, event: str, *, clock: Callable[[], float] = time.monotonic, **about: str) -> None:
        self._event = event
        self._about = about
        self._clock = clock
        self._reasons: set[str] = set()
        self._logged: dict[str, float] = {}
        self._since: float | None = None

    def is_new(self, reason: str) -> bool:
        """Whether to log it: the reason was not logged since the fault began, nor a moment before."""
        now = self._clock()
        if self._since is None:
            self._since = now
        if reason in self._reasons or now - self._logged.get(reason, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return False
        self._reasons.add(reason)
        self._logged[reason] = now
        return True

    def end(self) -> None:
        """What failed works; logged if the fault was."""
        if self._since is None:
            return
        if self._reasons:
            log.info("fault.over", fault=self._event, **self._about, seconds=round(self._clock() - self._since, 1))
            self._reasons.clear()
        self._since = None
