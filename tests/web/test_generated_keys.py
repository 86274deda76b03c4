"""Keys that a server generates on its first start: once, shown once, private, and used by the command line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import TILORES, RunningServer, clean_environment
from tests.processes.forked import Done, run
from tilores_core.cli.remote import Server
from tilores_core.errors import ConfigError
from tilores_core.settings import load_environment
from tilores_core.settings.data_folder import generate_key, read_key
from tilores_core.testing.waiting import wait_until

CUSTOMERS = "customer_id,name,credit_score\nC-1,Odalys Marchetti,688\n"
FILE_SOURCE = '[use]\ncache = ["memory"]\nsource = "file"\n[plugins.file]\npath = "customers.csv"\n'
QUESTION = {"input": "What is the credit score of Odalys Marchetti?"}
ADMIN_KEY = re.compile(r"tilores-admin-[\w-]{43}")


class ConsoleServer:
    """`tilores serve` as on a terminal: what it prints goes to a file."""

    def __init__(self, folder: Path, data: Path, *words: str) -> None:
        self.output = folder / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(TILORES), "serve", "--port", "0", *words],
                cwd=folder,
                env=clean_environment(TILORES_DATA_DIR=str(data), COLUMNS="200"),
                stdout=output,
                stderr=output,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_until_ready(self) -> str:
        """The server's address."""
        found = wait_until(lambda: re.search(r"running on (http://[^ ]*?:\d+) ", self.text), "no port in the output")
        url: str = found[1]

        def is_ready() -> bool:
            try:
                return httpx.get(f"{url}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_ready, "not ready")
        return url

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(servers: ExitStack, folder: Path, data: Path, *words: str) -> ConsoleServer:
    folder.mkdir(parents=True, exist_ok=True)
    server = ConsoleServer(folder, data, *words)
    servers.callback(server.stop)
    return server


# --- the file -------------------------------------------------------------------------------------------------


def test_key_of_several_processes_at_once_is_generated_by_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        made = list(processes.map(generate_key, [data] * 16, ["admin"] * 16))
    assert len({key for key, _ in made}) == 1
    assert [is_new for _, is_new in made].count(True) == 1
    assert ADMIN_KEY.fullmatch(made[0][0])


def test_key_file_is_private_in_a_private_folder(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    generate_key(data, "chat")
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "chat.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(data) == ["chat.key"]


@pytest.mark.parametrize("left", ["", "tilores-admin-half", "\n"])
def test_key_file_left_incomplete_by_a_kill_is_written_again(tmp_path: Path, left: str) -> None:
    (tmp_path / "admin.key").write_text(left)
    key, is_new = generate_key(tmp_path, "admin")
    assert is_new
    assert ADMIN_KEY.fullmatch(key)
    assert generate_key(tmp_path, "admin") == (key, False)
    assert read_key(tmp_path, "admin") == key


def test_key_that_cannot_be_kept_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="admin key cannot be kept") as raised:
        generate_key(tmp_path / "file" / "data", "admin")
    assert raised.value.where == "TILORES_ADMIN_KEYS"
    assert "TILORES_DATA_DIR" in (raised.value.fix or "")


# --- the server -----------------------------------------------------------------------------------------------


def test_admin_key_of_servers_started_at_once_is_printed_by_one_of_them(tmp_path: Path, servers: ExitStack) -> None:
    data = tmp_path / "data"
    both = [start(servers, tmp_path / name, data) for name in ("one", "two")]
    addresses = [server.wait_until_ready() for server in both]
    shown = [set(ADMIN_KEY.findall(server.text)) for server in both]
    assert sorted(map(len, shown)) == [0, 1]
    (key,) = shown[0] | shown[1]
    printed = both[0 if shown[0] else 1].text
    assert f'curl -H "Authorization: Bearer {key}"' in printed
    assert "TILORES_ADMIN_KEYS=name:secret" in printed
    for url in addresses:
        assert httpx.get(f"{url}/admin/cache").status_code == 401
        assert httpx.get(f"{url}/admin/cache", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_later_start_says_where_the_admin_key_is_and_does_not_show_it(tmp_path: Path, servers: ExitStack) -> None:
    data = tmp_path / "data"
    key, _ = generate_key(data, "admin")
    server = start(servers, tmp_path / "here", data, "--workers", "2")
    url = server.wait_until_ready()
    assert key not in server.text
    assert str(data / "admin.key") in server.text
    assert httpx.get(f"{url}/admin/cache", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_generated_key_is_not_in_a_structured_log(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server", "--workers", "2") as server:
        key = (server.folder / "data" / "admin.key").read_text().strip()
        assert [line["file"] for line in server.lines(event="keys.generated")] == [
            str(server.folder / "data" / "admin.key")
        ]
    assert key not in server.log_text


def test_chat_of_the_users_own_customers_takes_a_generated_key(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "customers.csv").write_text(CUSTOMERS)
    with RunningServer(tmp_path / "server", toml=FILE_SOURCE) as server:
        key = {"Authorization": f"Bearer {(server.folder / 'data' / 'chat.key').read_text().strip()}"}
        for headers in ({}, server.admin, {"Authorization": "Bearer wrong"}):
            assert httpx.post(f"{server.chat}/invoke", json=QUESTION, headers=headers).status_code == 401
            assert (
                httpx.post(f"{server.url}/events/call", json={"customer_id": "C-1"}, headers=headers).status_code
                == 401
            )
        reply = httpx.post(f"{server.chat}/invoke", json=QUESTION, headers=key)
        assert "688" in reply.json()["output"]["content"]
        assert httpx.get(f"{server.url}/admin/cache", headers=key).status_code == 401
        # With a key the name and the way of a request do not matter.
        named = {"Host": "chat.example", "X-Forwarded-For": "203.0.113.9"}
        assert httpx.post(f"{server.chat}/invoke", json=QUESTION, headers={**key, **named}).status_code == 200


def test_chat_of_the_users_own_customers_is_open_where_anonymous_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "customers.csv").write_text(CUSTOMERS)
    variables = {"TILORES_ALLOW_ANONYMOUS": "true"}
    with RunningServer(tmp_path / "server", toml=FILE_SOURCE, variables=variables) as server:
        assert "688" in httpx.post(f"{server.chat}/invoke", json=QUESTION).text
        assert httpx.get(f"{server.url}/admin/cache").status_code == 401
        assert not (server.folder / "data" / "chat.key").exists()


# --- the command line -----------------------------------------------------------------------------------------


def test_command_line_uses_the_generated_key_by_itself(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server") as server:
        words = [str(TILORES), "cache", "stats", "--json", "--url", server.url]

        def asked(data: Path) -> Done:
            return run(words, cwd=tmp_path, env=clean_environment(TILORES_DATA_DIR=str(data)))

        done = asked(server.folder / "data")
        assert (done.returncode, '"tiers"' in done.stdout) == (0, True), done.stderr
        done = asked(tmp_path / "another")
        assert done.returncode == 1
        assert "it wants an admin key" in done.stderr
        assert "TILORES_DATA_DIR" in done.stderr


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://tilores.example", False),
        ("https://127.0.0.1.example", False),
    ],
)
def test_generated_key_is_sent_to_this_machine_alone(tmp_path: Path, url: str, is_sent: bool) -> None:
    key, _ = generate_key(tmp_path, "admin")
    environment = load_environment(None, data_dir=tmp_path)
    assert Server.of(environment, url, None).key == (key if is_sent else None)
    assert Server.of(environment, url, "given").key == "given"
