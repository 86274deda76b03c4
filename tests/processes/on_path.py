"""Programs that stand for commands and are run by a fork server: `tilores` for a shell, which is not ours, and Python
itself for what a process of ours starts.

Such a program hands its words, folder, variables and open files to the fork server, passes on the signals that it
gets, and ends as what was started for it ends; when it is killed, so is that. What a fork server cannot do for it, it
becomes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.processes.forked import SERVERS, connection, select_of_python

_KNOWN = {name: value for name, value in os.environ.items() if name == "PYTHONPATH"} | select_of_python(os.environ)
"""Before any test has changed the environment: the first that asks for a program may have done so."""

_PROGRAM = """#!{python} -ISE
import json, os, signal, socket, sys
python, words, flags, known = {python!r}, {words!r}, {flags!r}, {known!r}
given = sys.argv[1:]
forked = words + given
while not words and forked and forked[0] in flags:
    forked = forked[1:]
of_python = {{
    name: value for name, value in os.environ.items()
    if name.startswith(("PYTHON", "LC_")) or name in ("LANG", "LANGUAGE")
}}
if not words:  # what a forked process has on its path, what that starts may have too
    of_python.pop("PYTHONPATH", None)
    known.pop("PYTHONPATH", None)
try:
    files = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    files = [file for file in files if os.path.exists(f"/proc/self/fd/{{file}}")]
    here = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if of_python != known or len(forked) < 1 or files[:3] != [0, 1, 2] or not (words or forked[0] in ("-m", "-c")):
        raise OSError
    here.connect({sockets!r}[os.getpid() % {servers}])
except (OSError, IndexError):
    os.execv((words or [python])[0], [*(words or [python]), *given])
order = {{
    "words": forked, "cwd": os.getcwd(), "env": dict(os.environ), "python": {itself!r}, "tied": True,
    "descriptors": files,
}}
ended, told = os.pipe()
waiting = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: waiting.append(number))
socket.send_fds(here, [json.dumps(order).encode()], [told, *files])
for file in (told, *files):
    os.close(file)
pid = int(here.recv(16))
process = os.pidfd_open(pid)
def pass_on(number, _):
    try:
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        pass
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, pass_on)
for number in waiting:
    pass_on(number, None)
code = int(os.read(ended, 16) or 125)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@cache
def commands_folder(script: Path) -> Path:
    """The folder; its one command does what `script`, a Python program, does."""
    return _program(script.name, (str(script),)).parent


@cache
def python() -> Path:
    """It does what this Python does, with modules that are imported already."""
    return _program("python", ())


def _program(name: str, words: tuple[str, ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = folder / name
    itself = command if not words else python()
    command.write_text(
        _PROGRAM.format(
            python=sys.executable,
            words=list(words),
            flags=subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
            known=dict(_KNOWN),
            sockets=_sockets(),
            servers=SERVERS,
            itself=str(itself),
        )
    )
    command.chmod(0o755)
    return command


def _sockets() -> list[str]:
    """Of the fork servers, which live as long as this process; none where the system cannot do it."""
    if not hasattr(os, "pidfd_open"):
        return []
    return [connection(number).getpeername() for number in range(SERVERS)]
