"""How a server ends: what runs is finished, within bounds, and the exit code says that all is well."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import TILORES, RunningServer, StartGated, StartServer, clean_environment
from tests.processes.forked import run
from tilores_core.testing.waiting import wait_until

QUESTION = {"input": "How are you?"}
SCORE = {"input": "What is Edwina Hawthorne's credit score?"}


COMPLETION = {"model": "gated:slow", "stream": True, "messages": [{"role": "user", "content": "How are you?"}]}
ENDING = "the server is ending"


def read_until(lines: Iterator[str], text: str) -> None:
    for line in lines:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stream_is_finished(start_gated: StartGated, number: int) -> None:
    server, gate = start_gated()
    with httpx.stream("POST", f"{server.chat}/stream", json=QUESTION, timeout=30) as reply:
        lines = reply.iter_lines()
        read_until(lines, "first ")
        server.signal(number)
        server.wait_for_line(event="Shutting down")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health")
        gate.open()
        rest = "\n".join(lines)
    assert "last" in rest
    assert rest.rstrip().endswith("event: end")
    assert server.wait() == 0
    assert gate.events == ["start", "done", "closed"]


def test_readiness_fails_first_and_the_second_signal_ends_at_once(start_gated: StartGated) -> None:
    server, gate = start_gated(toml="[chat]\ndrain_seconds = 60\n", expects="without completing response")
    with httpx.stream("POST", f"{server.chat}/stream", json=QUESTION, timeout=30) as reply:
        lines = reply.iter_lines()
        read_until(lines, "first ")
        server.signal()
        wait_until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503, "still ready")
        # Whoever has not noticed yet is still served.
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert httpx.get(f"{server.v1}/models").status_code == 200
        server.signal()
        rest = list(lines)
    assert ENDING in rest[-2]
    assert server.wait() == 0
    assert "cancelled" in gate.events
    assert "done" not in gate.events


def test_what_is_not_finished_in_time_ends_with_an_error(start_gated: StartGated) -> None:
    server, gate = start_gated(toml="[chat]\nshutdown_seconds = 1\n", expects="timeout graceful shutdown")
    paths = {"chat/stream": QUESTION, "chat/stream_log": QUESTION, "v1/chat/completions": COMPLETION}
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        whole = pool.submit(httpx.post, f"{server.chat}/invoke", json={"input": "Who are you?"}, timeout=30)
        streams = {}
        for path, body in paths.items():
            reply = stack.enter_context(httpx.stream("POST", f"{server.url}/{path}", json=body, timeout=30))
            streams[path] = reply.iter_lines()
            read_until(streams[path], "first ")
        wait_until(lambda: gate.events.count("start") == 2, "the whole answer is not under way")
        upload = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        headers = f"Host: 127.0.0.1:{server.port}\r\nContent-Length: 9\r\nExpect: 100-continue"
        key = server.admin["Authorization"]
        upload.sendall(f"POST /admin/batch HTTP/1.1\r\n{headers}\r\nAuthorization: {key}\r\n\r\n".encode())
        assert upload.recv(1000).startswith(b"HTTP/1.1 100")  # the body is read, and does not come
        server.signal()
        refused = b"".join(iter(lambda: upload.recv(1000), b""))
        last = {path: [line for line in lines if line][-2:] for path, lines in streams.items()}
    assert last["chat/stream"][0] == last["chat/stream_log"][0] == "event: error"
    for path in ("chat/stream", "chat/stream_log"):
        told = json.loads(last[path][1].removeprefix("data: "))
        assert told["status_code"] == 503
        assert told["message"].startswith(ENDING)
    error = json.loads(last["v1/chat/completions"][-1].removeprefix("data: "))["error"]
    assert (error["code"], error["message"].startswith(ENDING)) == ("service_unavailable", True)
    assert (whole.result().status_code, whole.result().headers["Retry-After"]) == (503, "1")
    assert refused.startswith(b"HTTP/1.1 503")
    assert ENDING.encode() in refused
    assert server.wait() == 0
    gate.wait_for("cancelled")
    gate.wait_for("closed")
    assert len(server.lines(event="request.cancelled_by_shutdown")) == 5


# --- several workers ----------------------------------------------------------------------------------------


def workers_of(server: RunningServer) -> list[int]:
    """The processes that serve, in the order of their start."""
    started = re.findall(r"Started server process \[(\d+)\]", server.log_text)
    return [int(pid) for pid in started]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answering(server: RunningServer, wanted: int) -> set[str]:
    """Ask, each time on a new connection, until so many workers have answered; their marks."""
    marks: set[str] = set()

    def ask() -> bool:
        reply = httpx.post(f"{server.chat}/invoke", json=SCORE, timeout=30)
        assert "742" in reply.json()["output"]["content"]
        marks.add(reply.headers["x-request-id"].rpartition("-")[0])
        return len(marks) >= wanted

    wait_until(ask, f"not {wanted} workers answered")
    return marks


def test_workers_share_the_work_and_one_that_dies_is_replaced(start_server: StartServer) -> None:
    server = start_server(variables={"TILORES_WORKERS": "2"}, expects="died")
    wait_until(lambda: len(server.lines(event="Application startup complete.")) == 2, "two workers")
    first, second = workers_of(server)
    marks = answering(server, 2)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not alive(first) or len(workers_of(server)) > 2, "the worker goes on")
    assert "742" in httpx.post(f"{server.chat}/invoke", json=SCORE, timeout=30).json()["output"]["content"]
    wait_until(lambda: len(server.lines(event="Application startup complete.")) == 3, "a new worker")
    wait_until(lambda: answering(server, 1) - marks, "the new worker answers")
    (server.folder / ".env").write_text("TILORES_API_KEYS=desk:secret\n")
    server.signal(signal.SIGHUP)  # one after the other is replaced, and reads the keys again
    wait_until(lambda: server.log_text.count("Finished server process") == 2, "the workers before have ended")
    assert httpx.post(f"{server.chat}/invoke", json=SCORE, timeout=30).status_code == 401
    told = httpx.post(f"{server.chat}/invoke", json=SCORE, timeout=30, headers={"Authorization": "Bearer secret"})
    assert "742" in told.text
    assert server.stop() == 0
    assert [pid for pid in workers_of(server) if alive(pid)] == []
    assert second in workers_of(server)


def test_ctrl_c_with_workers(start_gated: StartGated) -> None:
    """A terminal sends SIGINT to the parent and to its workers, which the parent then tells once more."""
    server, gate = start_gated("--workers", "2")
    wait_until(lambda: len(server.lines(event="Application startup complete.")) == 2, "two workers")
    with httpx.stream("POST", f"{server.chat}/stream", json=QUESTION, timeout=30) as reply:
        lines = reply.iter_lines()
        read_until(lines, "first ")
        for worker in workers_of(server):
            os.kill(worker, signal.SIGINT)
        server.signal(signal.SIGINT)
        wait_until(lambda: len(server.lines(event="Shutting down")) == 2, "the workers were told")
        gate.open()
        rest = "\n".join(lines)
    assert rest.rstrip().endswith("event: end")
    assert server.wait() == 0


def test_a_second_signal_ends_all_workers(start_gated: StartGated) -> None:
    server, _gate = start_gated("--workers", "2")
    with httpx.stream("POST", f"{server.chat}/stream", json=QUESTION, timeout=30) as reply:
        lines = reply.iter_lines()
        read_until(lines, "first ")
        server.signal(signal.SIGINT)
        wait_until(lambda: "Shutting down" in server.log_text, "the workers were told")
        server.signal(signal.SIGINT)
        rest = list(lines)
    assert ENDING in rest[-2]
    assert server.wait() == 0
    assert [pid for pid in workers_of(server) if alive(pid)] == []


HANGS = """
import os, signal, sys, threading
from multiprocessing import current_process, parent_process
from tilores_core.settings import ChatTable
from tilores_core.web.server import run

def make():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        os.kill((parent_process() or current_process()).pid, signal.SIGTERM)
        await receive()
        threading.Event().wait()
    return app

if __name__ == "__main__":
    app = "hangs:make" if sys.argv[1] == "several" else make()
    table = ChatTable(shutdown_seconds=0.01)
    run(app, host="127.0.0.1", port=0, workers=1, table=table, closing_seconds=0.1)
"""


@pytest.mark.parametrize("processes", ["one", "several"])
def test_an_end_that_hangs_is_cut_off(tmp_path: Path, processes: str) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    environment = clean_environment(PYTHONPATH=str(tmp_path))
    done = run([tmp_path / "hangs.py", processes], cwd=tmp_path, env=environment)
    assert done.returncode == 1, done
    assert (done.stdout + done.stderr).count("serve.end_overdue") == 1, done


# --- what cannot begin --------------------------------------------------------------------------------------


def failing(folder: Path, *arguments: str, toml: str = "") -> str:
    """Serve, and fail: what it said."""
    (folder / "plugins.toml").write_text(toml)
    environment = clean_environment(TILORES_DATA_DIR=str(folder / "data"))
    done = run([TILORES, "serve", *arguments], cwd=folder, env=environment)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = failing(tmp_path, "--port", str(taken.getsockname()[1]))
    assert "is in use" in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_source_that_cannot_be_opened(tmp_path: Path, workers: str) -> None:
    toml = '[use]\nsource = "file"\n[plugins.file]\npath = "nowhere.csv"\nid_column = "customer"\n'
    assert "nowhere.csv" in failing(tmp_path, "--port", "0", "--workers", workers, toml=toml)
