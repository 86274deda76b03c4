"""The example is what `tilores plugins new` writes; it is built, installed and used as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.processes.forked import TRUSTED_BEFORE
from tilores_core.cli.command import app
from tilores_core.cli.plugin_template import host_bounds, render

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "acme-cache"
GENERATED = {".venv", "__pycache__", "dist", "build", ".pytest_cache", ".hypothesis", ".ruff_cache", ".mypy_cache"}


def execute(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run it in a folder outside the repository; its output, or a failure that shows it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TILORES_", "SSL_CERT_FILE"))}
    if trusted := os.environ.get(TRUSTED_BEFORE):  # packages are loaded
        kept["SSL_CERT_FILE"] = trusted
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_example_is_what_the_template_makes() -> None:
    files = {
        path.relative_to(EXAMPLE): path.read_text()
        for path in EXAMPLE.rglob("*")
        if path.is_file() and not GENERATED & set(path.relative_to(EXAMPLE).parts)
    }
    assert files == render("acme-cache")


@pytest.mark.parametrize(
    ("version", "bounds"),
    [("0.1.0", ">=0.1,<0.2"), ("0.12.3.dev4", ">=0.12,<0.13"), ("1.4.2", ">=1.4,<2"), ("2.0.0rc1", ">=2.0,<3")],
)
def test_a_new_plugin_is_bounded_by_the_next_version_that_may_break_it(version: str, bounds: str) -> None:
    assert host_bounds(version) == bounds


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package that was generated, built as a wheel and unpacked there as an installer does."""
    folder = tmp_path_factory.mktemp("example")
    result = CliRunner().invoke(app, ["plugins", "new", "swift-box-cache", "--in", str(folder)])
    assert result.exit_code == 0, result.output
    for source in (folder / "swift-box-cache", EXAMPLE):
        execute(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "wheels", source, cwd=folder)
    (folder / "site").mkdir()
    for wheel in (folder / "wheels").glob("*.whl"):
        # a pure wheel's installation is its unpacking; it has neither scripts nor data
        assert wheel.name.endswith("-py3-none-any.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
    return folder / "site"


TOML = '[use]\ncache = ["acme"]\n[plugins.acme-cache]\nmax_entries = 2\n'
USE = """
import asyncio, sys, time
from pathlib import Path
from tilores_core import CacheEntry
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import CACHE
from tilores_core.settings import load_config

host = PluginHost.start(load_config(), variables={}, data_dir=Path("data"))
assert "acme_cache.tier" in sys.modules, "settings were validated"

async def main():
    tier = host.build_used(CACHE)["acme"]
    for key in "abc":
        await tier.set_many({f"x:{key}": CacheEntry(b"1", time.time() + 9)})
    print(sorted(await tier.get_many(["x:a", "x:b", "x:c"])))
    await host.aclose()

asyncio.run(main())
"""


@pytest.mark.slow
def test_the_example_is_found_checked_and_used(installed: Path, tmp_path: Path) -> None:
    tilores = Path(sysconfig.get_path("scripts")) / "tilores"
    listing = execute(tilores, "plugins", "list", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "acme-cache" in listing
    assert "swift-box-cache" in listing
    (tmp_path / "plugins.toml").write_text(TOML)
    assert "cache:acme" in execute(tilores, "plugins", "check", "acme-cache", cwd=tmp_path, PYTHONPATH=str(installed))
    shown = execute(tilores, "plugins", "show", "swift-box-cache", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "cache:swift-box" in shown
    assert "max_entries = 10000" in shown
    used = execute(sys.executable, "-c", USE, cwd=tmp_path, PYTHONPATH=str(installed))
    assert used == "['x:b', 'x:c']\n"


@pytest.mark.slow
def test_a_generated_package_passes_its_own_tests(installed: Path, tmp_path: Path) -> None:
    source = installed.parent / "swift-box-cache"
    output = execute(
        sys.executable,
        "-m",
        "pytest",
        source,
        "-q",
        "-p",
        "no:cacheprovider",
        cwd=tmp_path,
        PYTHONPATH=str(installed),
    )
    assert "passed" in output
    assert "failed" not in output
