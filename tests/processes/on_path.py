"""A folder for PATH whose `tilores` is started by the fork server: for commands in a shell, which is not ours.

The command there is a small program. It hands its words, folder, variables and standard files to this process over a
Unix socket, passes on the signals that it gets, and ends as what was started for it ends.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.processes.forked import Process, start

_LONGEST_ORDER = 1 << 20
_PROGRAM = """#!{python} -ISE
import json, os, signal, socket, sys
try:
    for number in (0, 1, 2):
        os.fstat(number)
except OSError:  # closed, which cannot be handed over
    os.execv({script!r}, [{script!r}, *sys.argv[1:]])
here = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
here.connect({address!r})
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: here.send(str(number).encode()))
order = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(here, [order], [0, 1, 2])
code = int(here.recv(16))
sys.exit(code if code >= 0 else 128 - code)
"""


@cache
def commands_folder(script: Path) -> Path:
    """The folder; its one command does what `script`, a Python program, does."""
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    command = folder / "bin" / script.name
    command.parent.mkdir()
    command.write_text(_PROGRAM.format(python=sys.executable, script=str(script), address=str(folder / "socket")))
    command.chmod(0o755)
    threading.Thread(target=_listen, args=(listener, script), name="commands", daemon=True).start()
    return command.parent


def _listen(listener: socket.socket, script: Path) -> None:
    while True:
        asked, _ = listener.accept()
        threading.Thread(target=_serve, args=(asked, script), daemon=True).start()


def _serve(asked: socket.socket, script: Path) -> None:
    with asked:
        data, files, _, _ = socket.recv_fds(asked, _LONGEST_ORDER, 3)
        words, folder, variables = json.loads(data)
        try:
            stdin, stdout, stderr = files
            line = [str(script), *words]
            process = start(line, cwd=Path(folder), env=variables, stdin=stdin, stdout=stdout, stderr=stderr)
        finally:
            for file in files:
                os.close(file)
        ending = threading.Thread(target=_pass_on_signals, args=(asked, process), daemon=True)
        ending.start()
        code = process.wait()
        try:
            asked.send(str(code).encode())
        except OSError:  # its shell was killed
            return


def _pass_on_signals(asked: socket.socket, process: Process) -> None:
    """Until the command has ended; when it was killed, so is what it stands for."""
    while process.returncode is None:
        try:
            ready, _, _ = select.select([asked], [], [], 1.0)
            if not ready:
                continue
            told = asked.recv(16)
        except (OSError, ValueError):  # closed, as it has ended
            return
        if not told:
            process.kill()
            return
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(process.pid, int(told))
