"""Keeps an embedded redis-server running for as long as a process uses it. Run as a script of its own, with nothing
imported from the project: it stays in memory as long as the server does.

    python guard.py USERS SERVER SOCKET redis-server …

Every process that uses the server holds a shared lock on the file USERS; the operating system takes it back
however the process ends. When this script gets that lock for itself, no user is left, and it ends the server.
While the server runs, SERVER is locked and holds the process ids of this script and of the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time

_LOOK_EVERY = 0.2
_PR_SET_PDEATHSIG = 1
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


def _prepare_server() -> None:
    """On Linux the server also ends when this script is killed, and has long turns at the processor (from 6.12 on,
    sched_setattr(2)), which a process that a request wakes interrupts: it need not wait until much is stored."""
    if sys.platform == "linux":
        import ctypes
        import struct

        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if number := _SCHED_SETATTR.get(os.uname().machine):
            # struct sched_attr: size, policy, flags, nice, priority, turn in ns, deadline, period
            attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, os.nice(0), 0, 100_000_000, 0, 0)
            libc.syscall(number, 0, attributes, 0)


def _alone(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(users_path: str, server_path: str, socket_path: str, *command: str) -> int:
    users = os.open(users_path, os.O_RDWR | os.O_CREAT, 0o600)
    server = os.open(server_path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(server, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 1
    if os.fork():
        os._exit(0)  # the process that started this one need not wait for its end
    os.setsid()  # Ctrl-C in the terminal is for the program, which still has something to write
    os.umask(0o077)  # the append-only file holds customers' data
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_prepare_server)  # noqa: S603
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    os.ftruncate(server, 0)
    os.pwrite(server, f"{os.getpid()} {child.pid}".encode(), 0)
    while child.poll() is None and not _alone(users):
        time.sleep(_LOOK_EVERY)
    child.terminate()
    child.wait()
    os.ftruncate(server, 0)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(socket_path))  # only ever empty when it was made for the socket alone
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
