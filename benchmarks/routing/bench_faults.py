"""What a caller gets when a model misbehaves, with the times that a server has by default.

    python -m benchmarks.routing.bench_faults [--down-seconds 60]

The tests do the same with time-outs scaled down. Here a server in a process of its own has a primary (OpenAI's
protocol) and a healthy fallback (Anthropic's), fake upstreams both, asked through the real SDKs. Each row spoils one
model of the primary, whole and streamed, and many rows run at once; those of `on_stream_failure` "buffer" and
"error" have a server each. In the last row a model is down with 503 while it is asked four times a second, and then
well again. Printed is what the caller got, the seconds until the first piece and until the end, and how often the
primary was called. It ends with an error when a row is not what docs/routing.md says. Needs the extras `openai` and
`anthropic`, and a minute and a half.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilores_core.chat.routing.fallback_chain import CONTINUE
from tilores_core.testing.fake_upstream import (
    DEFAULT_KEY,
    Asked,
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    FakeUpstream,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    NoEndMark,
    NoFinish,
    Reply,
    ReplyLike,
    Reset,
    Stall,
)

FIRST = "The primary speaks first. "
WHOLE = f"{FIRST}It has a second sentence. The third one ends it."
LONG = ", ".join(f"item {number} of the long list costs {number * 7} pounds" for number in range(20, 60))
BACKUP = "The fallback knows it all. Nothing is left out."
REST = "The fallback goes on from here. It finds an end."
JOINED = f"{FIRST}It has – {REST}"
FIRST_TOKEN, STALL = 8.0, 5.0  # the defaults
OWN = 2.0  # what the fallback, the pauses between calls and all of this machine may take besides
KINDS = ("pass", "partial", "fail")
BACK_WITHIN = 30.0
PATIENCE = 90.0
EVERY = 0.25
TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "openai:warm"
fallbacks = ["anthropic:well"]

[routing]
{routing}

[routing.context_windows]
"openai:short-0" = 1000
"openai:short-1" = 1000
"anthropic:well" = 200000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`reply`: what the model always says. `whole`, `streamed`: what the caller must get, the text or the protocol's
    error code; None: not asked. `goes_on`: streamed, the fallback must go on within the sentence. `within`: seconds;
    `calls`: the most that the primary may be called. `policy`: of the server; `broken`: the stream ends with an error
    after a part of the answer."""

    name: str
    reply: ReplyLike
    first: tuple[ReplyLike, ...] = ()
    whole: str | None = BACKUP
    streamed: str | None = BACKUP
    within: float = OWN
    calls: int = 3
    policy: str = "resume"
    broken: bool = False
    goes_on: bool = False
    model: str = ""


def spoken(fault: Any) -> Reply:
    return Reply(WHOLE, between=0.05, fault=fault)


ROWS = (
    Row(name="well", reply=Reply(WHOLE), whole=WHOLE, streamed=WHOLE, calls=1),
    Row(name="429 once", reply=WHOLE, first=(HttpError(status=429),), whole=WHOLE, streamed=WHOLE, calls=2),
    Row(
        name="429 once, Retry-After 1",
        reply=WHOLE,
        first=(HttpError(status=429, retry_after=1),),
        whole=WHOLE,
        streamed=WHOLE,
        within=1 + OWN,
        calls=2,
    ),
    Row(name="429 for ever", reply=HttpError(status=429)),
    Row(name="429 for ever, Retry-After 1", reply=HttpError(status=429, retry_after=1), within=3 + OWN),
    Row(name="429 for ever, Retry-After 30", reply=HttpError(status=429, retry_after=30), calls=1),
    Row(name="500 once", reply=WHOLE, first=(HttpError(status=500),), whole=WHOLE, streamed=WHOLE, calls=2),
    Row(name="500 for ever", reply=HttpError(status=500)),
    Row(name="503 for ever", reply=HttpError(status=503)),
    Row(name="connection reset once", reply=WHOLE, first=(Reset(),), whole=WHOLE, streamed=WHOLE, calls=2),
    Row(name="connection reset for ever", reply=Reset()),
    Row(name="key refused", reply=InvalidKey(), calls=1),
    Row(name="no response at all", reply=Hang(), within=FIRST_TOKEN + OWN, calls=1),
    Row(name="headers and nothing more", reply=Hang(headers=True), within=FIRST_TOKEN + OWN, calls=1),
    Row(name="first token after 20 s", reply=Reply(WHOLE, first_token=20), within=FIRST_TOKEN + OWN, calls=1),
    Row(name="headers after 20 s", reply=Reply(WHOLE, seconds=20), within=FIRST_TOKEN + OWN, calls=1),
    Row(name="first token after 4 s", reply=Reply(WHOLE, first_token=4), whole=WHOLE, streamed=WHOLE, within=4 + OWN),
    Row(name="cut", reply=spoken(Cut(after=7)), streamed=JOINED),
    Row(name="reset in the middle", reply=spoken(Cut(after=7, reset=True)), streamed=JOINED),
    Row(name="stalled", reply=spoken(Stall(after=7)), streamed=JOINED, within=STALL + OWN),
    Row(name="stalled in the first word", reply=spoken(Stall(after=1)), within=STALL + OWN),
    Row(name="malformed event", reply=spoken(MalformedEvent(after=7)), streamed=JOINED),
    Row(name="error event", reply=spoken(ErrorEvent(after=7)), streamed=JOINED),
    Row(
        name="no finish reason",
        reply=spoken(NoFinish()),
        streamed=f"{FIRST}It has a second sentence. The third one ends – {REST}",
    ),
    Row(name="finished, no end mark", reply=spoken(NoEndMark()), whole=WHOLE, streamed=WHOLE, calls=1),
    Row(name="context too long, larger there", reply=ContextTooLong(), calls=1, model="short"),
    Row(
        name="context too long, none larger",
        reply=ContextTooLong(),
        whole="context_length_exceeded",
        streamed="context_length_exceeded",
        calls=1,
    ),
    Row(name="content refused", reply=ContentRefused(), whole="content_filter", streamed="content_filter", calls=1),
    *(
        Row(
            name=f"{name} in a long sentence",
            reply=Reply(LONG, between=0.01, fault=fault),
            streamed="",
            within=within,
            goes_on=True,
        )
        for name, fault, within in (
            ("cut", Cut(after=70), OWN + 1),
            ("stalled", Stall(after=70), STALL + OWN + 1),
            ("error event", ErrorEvent(after=70), OWN + 1),
        )
    ),
    *(
        Row(name=f"{name}, buffer", reply=spoken(fault), whole=None, within=within, policy="buffer")
        for name, fault, within in (
            ("cut", Cut(after=7), OWN),
            ("stalled", Stall(after=7), STALL + OWN),
            ("malformed event", MalformedEvent(after=7), OWN),
            ("no finish reason", NoFinish(), OWN),
        )
    ),
    *(
        Row(
            name=f"{name}, error",
            reply=spoken(fault),
            whole=None,
            streamed="service_unavailable",
            within=within,
            calls=1,
            policy="error",
            broken=True,
        )
        for name, fault, within in (
            ("cut", Cut(after=7), OWN),
            ("stalled", Stall(after=7), STALL + OWN),
            ("malformed event", MalformedEvent(after=7), OWN),
            ("no finish reason", NoFinish(), OWN),
        )
    ),
)


@dataclass(slots=True, kw_only=True)
class Got:
    """What the caller got; times in seconds from the request's first byte."""

    text: str = ""
    error: str = ""
    model: str = ""
    first: float = 0.0
    seconds: float = 0.0
    status: int = 0
    mendable: bool = False
    wrong: list[str] = field(default_factory=list)


def healthy(asked: Asked) -> ReplyLike:
    return REST if asked.question == CONTINUE else BACKUP


def ask(port: int, model: str, *, streamed: bool) -> Got:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "What is there to say?"}],
        "stream": streamed,
        "metadata": {"no_cache": "true"},
    }
    got = Got()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    started = time.perf_counter()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        got.status = reply.status
        if reply.status != 200 or not streamed:
            _take_whole(got, json.loads(reply.read()))
        else:
            for line in reply:
                if line.startswith(b"data: {"):
                    _take_chunk(got, json.loads(line[6:]), time.perf_counter() - started)
        got.seconds = time.perf_counter() - started
        got.first = got.first or got.seconds
    finally:
        connection.close()
    return got


def _take_whole(got: Got, said: dict[str, Any]) -> None:
    if "error" in said:
        got.error = said["error"]["code"] or said["error"]["type"]
    else:
        got.text, got.model = said["choices"][0]["message"]["content"], said["model"]


def _take_chunk(got: Got, chunk: dict[str, Any], after: float) -> None:
    if "error" in chunk:
        got.error = chunk["error"]["code"] or chunk["error"]["type"]
        return
    got.model = chunk.get("tilores", {}).get("model") or chunk["model"]
    piece = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    if piece and not got.text:
        got.first = after
    got.text += piece


def run_row(port: int, primary: FakeUpstream, row: Row, name: str, *, streamed: bool) -> tuple[str, Got, int]:
    primary.always[name] = row.reply
    primary.enqueue(*row.first, model=name)
    before = primary.counts[name]
    got = ask(port, f"openai:{name}", streamed=streamed)
    calls = primary.counts[name] - before
    wanted = row.streamed if streamed else row.whole
    got.mendable = row.policy == "resume" and wanted not in (WHOLE, "context_length_exceeded", "content_filter")
    if streamed and row.goes_on:
        head = got.text.removesuffix(REST).rstrip(" –")
        if got.error or not head or not LONG.startswith(head) or not got.text.endswith(REST):
            got.wrong.append(f"{got.error or got.text!r}: not gone on with where it broke off")
    elif row.broken:
        if got.error != wanted or not got.text or not WHOLE.startswith(got.text):
            got.wrong.append("no error at the break")
    elif (got.error or got.text) != wanted:
        got.wrong.append(f"{got.text or got.error!r} instead of {wanted!r}")
    if got.seconds > row.within:
        got.wrong.append(f"later than {row.within:g} s")
    if calls > row.calls:
        got.wrong.append(f"more than {row.calls} calls")
    return f"{row.name}, {'streamed' if streamed else 'whole'}", got, calls


def down_and_back(port: int, primary: FakeUpstream, down_seconds: float) -> tuple[Got, str]:
    """A model that is down for so long, asked four times a second, and well again."""
    name = "comes-back"
    primary.always[name] = HttpError(status=503)
    slowest = Got()
    number = 0
    began = time.monotonic()
    while time.monotonic() - began < down_seconds:
        got = ask(port, f"openai:{name}", streamed=number % 2 == 0)
        number += 1
        if got.text != BACKUP or got.error:
            slowest.wrong.append(f"request {number}: {got.error or got.text!r}")
        slowest.seconds = max(slowest.seconds, got.seconds)
        time.sleep(EVERY)
    probes = primary.counts[name]
    primary.always[name] = Reply(WHOLE)
    recovered = time.monotonic()
    while (got := ask(port, f"openai:{name}", streamed=False)).text != WHOLE:
        if got.text != BACKUP:
            slowest.wrong.append(f"while it came back: {got.error or got.text!r}")
        if time.monotonic() - recovered > BACK_WITHIN + OWN:
            break
        time.sleep(EVERY)
    back = time.monotonic() - recovered
    if back > BACK_WITHIN:
        slowest.wrong.append(f"not back within {BACK_WITHIN:g} s")
    if probes > 3 + 1 + down_seconds / 15:
        slowest.wrong.append("too many probes")
    if slowest.seconds > OWN:
        slowest.wrong.append(f"a request took {slowest.seconds:.1f} s")
    return slowest, (
        f"{number} requests in {down_seconds:g} s, all by the fallback; {probes} calls of the primary; "
        f"slowest {slowest.seconds * 1000:.0f} ms; back after {back:.1f} s"
    )


@contextmanager
def server(primary: FakeUpstream, backup: FakeUpstream, policy: str) -> Iterator[int]:
    """A server with default settings but for the policy; its port."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        routing = "" if policy == "resume" else f'on_stream_failure = "{policy}"'
        (Path(folder) / "plugins.toml").write_text(TOML.format(routing=routing))
        variables = {
            **os.environ,
            "OPENAI_API_KEY": DEFAULT_KEY,
            "OPENAI_BASE_URL": primary.base_url,
            "ANTHROPIC_API_KEY": DEFAULT_KEY,
            "ANTHROPIC_BASE_URL": backup.base_url,
            "TILORES_DATA_DIR": folder,
            "TILORES_LOG_LEVEL": "error",
        }
        command = [str(Path(sys.executable).parent / "tilores"), "serve", "--port", str(port)]
        with subprocess.Popen(command, cwd=folder, env=variables) as process:
            try:
                _wait_for(port)
                yield port
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    """Until it is ready, and both SDKs are imported and connected."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if all(ask(port, model, streamed=False).status == 200 for model in ("openai:warm", "anthropic:well")):
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("a server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--down-seconds", type=float, default=60.0, help="how long the last row's model is down")
    parser.add_argument("--at-once", type=int, default=12, help="rows that run at the same time")
    given = parser.parse_args()
    wrong = 0
    sums: dict[str, Counter[str]] = {"whole": Counter(), "streamed": Counter()}
    with ExitStack() as stack:
        enter = stack.enter_context
        primary, backup = enter(FakeUpstream("openai")), enter(FakeUpstream("anthropic", otherwise=healthy))
        ports = {policy: enter(server(primary, backup, policy)) for policy in ("resume", "buffer", "error")}
        pool = enter(ThreadPoolExecutor(given.at_once + 1))
        last = pool.submit(down_and_back, ports["resume"], primary, given.down_seconds)
        # A model that is asked both ways must not be known as down from the first: each has a name of its own.
        running = [
            pool.submit(
                run_row,
                ports[row.policy],
                primary,
                row,
                f"{row.model or f'row{number}'}-{streamed:d}",
                streamed=streamed,
            )
            for number, row in enumerate(ROWS)
            for streamed in (False, True)
            if (row.streamed if streamed else row.whole) is not None
        ]
        for done in running:
            name, got, calls = done.result()
            what = got.error or {WHOLE: "whole, primary", BACKUP: "whole, fallback"}.get(got.text, "both in turn")
            part = " after a part" if got.error and got.text else ""
            print(
                f"{name:44} {what + part:34} first {got.first:6.2f} s, end {got.seconds:6.2f} s, {calls} calls"
                + "".join(f"  WRONG: {reason}" for reason in got.wrong),
                flush=True,
            )
            wrong += bool(got.wrong)
            if got.mendable:
                kind = "pass" if not got.wrong else "partial" if got.text else "fail"
                sums["streamed" if name.endswith(", streamed") else "whole"][kind] += 1
        for way, counts in sums.items():
            print(f"faults with a healthy fallback, {way}: " + ", ".join(f"{counts[k]} {k}" for k in KINDS))
        slowest, told = last.result()
        print(f"down and back: {told}" + "".join(f"\n  WRONG: {reason}" for reason in slowest.wrong[:5]))
        wrong += bool(slowest.wrong)
    if wrong:
        raise SystemExit(f"{wrong} rows are not as they should be")


if __name__ == "__main__":
    main()
