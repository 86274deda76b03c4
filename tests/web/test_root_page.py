"""`GET /`: what it shows, that its examples work when copied, and that a browser shows it without complaint."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer, clean_environment
from tests.processes import forked
from tilores_core.host.host import PluginHost
from tilores_core.settings import Config
from tilores_core.settings.loader import LoadedConfig
from tilores_core.testing.waiting import wait_until
from tilores_core.web.root_page import root_page

FILE_SOURCE = '[use]\ncache = ["memory"]\nsource = "file"\n[plugins.file]\npath = "customers.csv"\n'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "customers.csv").write_text("customer_id,name,phone\nC-1,Jane Doe,+1 202 555 0143\n")
    with RunningServer(folder, toml=FILE_SOURCE) as server:
        yield server


def examples(page: str) -> list[str]:
    """curl, OpenAI's SDK, LangServe's client."""
    return [html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)][-3:]


def run(command: list[str], folder: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_examples(page: str, folder: Path, shows: str, **variables: str) -> None:
    curl, openai, langserve = examples(page)
    assert shows in run(["bash", "-c", curl], folder, **variables)
    for name, program in (("with_openai.py", openai), ("with_langserve.py", langserve)):
        (folder / name).write_text(program)
        done = forked.run([folder / name], cwd=folder, env=clean_environment(**variables))
        assert done.returncode == 0, done.stderr
        assert shows in done.stdout


def test_page_of_the_defaults_names_the_simulated_parts(demo: RunningServer) -> None:
    def is_well() -> httpx.Response | None:  # a busy machine is not, for a moment
        reply = httpx.get(f"{demo.url}/", timeout=30)
        return reply if '<dd class="ok">ok</dd>' in reply.text else None

    reply = wait_until(is_well)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "demo:simulated-1 (simulated: it calls no model)" in reply.text
    assert "demo (simulated: synthetic customers)" in reply.text
    assert httpx.head(f"{demo.url}/", timeout=30).status_code == 200


def test_page_has_no_scripts_and_nothing_from_elsewhere(demo: RunningServer) -> None:
    reply = httpx.get(f"{demo.url}/", timeout=30)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "<script" not in reply.text
    assert not re.search(r'(src|href)="(?!/|data:,)', reply.text)
    for link in re.findall(r'href="(/[^"]*)"', reply.text):
        assert httpx.get(demo.url + link, timeout=30).status_code == 200, link


def test_examples_of_an_open_server_work_when_copied(demo: RunningServer, tmp_path: Path) -> None:
    run_examples(httpx.get(f"{demo.url}/", timeout=30).text, tmp_path, "742")


def test_examples_of_a_server_with_keys_work_with_the_key_in_the_environment(
    keyed: RunningServer, tmp_path: Path
) -> None:
    page = httpx.get(f"{keyed.url}/", headers={"Host": f"localhost:{keyed.port}"}, timeout=30).text
    key = (keyed.folder / "data" / "chat.key").read_text().strip()
    assert "Authorization: Bearer" in page
    assert key not in page
    assert keyed.admin["Authorization"].removeprefix("Bearer ") not in page
    run_examples(page, tmp_path, "555 0143", TILORES_KEY=key)


@pytest.mark.parametrize("given", [b'"><script>', b"a b", b"", b"x" * 400, b"$(id)", b"`id`", b"\xff"])
def test_host_that_is_not_one_is_not_shown(given: bytes, tmp_path: Path) -> None:
    scope = {"headers": [(b"host", given)], "server": ("127.0.0.1", 8123), "scheme": "http"}
    config = Config.model_validate({"use": {"model": "openai:<b>", "source": "file"}})
    loaded = LoadedConfig(config, tmp_path / "plugins.toml", packaged=False)
    host = PluginHost(loaded, [], variables={}, data_dir=tmp_path)
    page = root_page(scope, status="ok", host=host, needs_key=True)
    assert "http://127.0.0.1:8123/chat/invoke" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "openai:&lt;b&gt;" in page


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_browser_shows_the_page_with_its_style_and_without_complaint(demo: RunningServer, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    picture = tmp_path / "page.png"
    common = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*common, "--enable-logging=stderr", "--v=0", f"--screenshot={picture}", f"{demo.url}/"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert picture.stat().st_size > 10_000, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr  # a refused style or resource would be said there
