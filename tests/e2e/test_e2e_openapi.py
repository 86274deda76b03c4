"""The server is what its OpenAPI description says."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer, clean_environment

SCHEMATHESIS = Path(sysconfig.get_path("scripts")) / "schemathesis"
# Not held to `positive_data_acceptance`: that one of the messages must be a user's, that parts of a kind must have
# what belongs to it, and which models there are cannot be said in JSON Schema, or not so that anybody could read it.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth"
)
ALWAYS = (
    *("--generation-deterministic", "--suppress-health-check", "all", "--no-color", "--warnings", "off"),
    *("--request-timeout", "60"),
    *("--exclude-path", "/admin/improvement/events"),  # it does not end before the client goes
)


def explore(url: str, folder: Path, *options: str, checks: str = CHECKS) -> None:
    """Let schemathesis call everything that is described; all findings are shown."""
    done = subprocess.run(
        [str(SCHEMATHESIS), "run", f"{url}/openapi.json", "--checks", checks, *ALWAYS, *options],
        cwd=folder,
        env=clean_environment(PYTHONWARNINGS="ignore", COLUMNS="150"),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: RunningServer, tmp_path: Path) -> None:
    # Three of the streaming routes take the same body; the other two have their turn below.
    alike = ("--exclude-path", "/chat/stream", "--exclude-path", "/chat/stream_log")
    key = ("-H", f"Authorization: {server.admin['Authorization']}")
    # Failed authentication is limited by address, so the keys are tried at the server below, which has no such limit.
    checks = CHECKS.removesuffix(",ignored_auth")
    options = ("--phases", "coverage,fuzzing", "--max-examples", "5", *alike, *key)
    explore(server.url, tmp_path, *options, checks=checks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "secret"), [(("langserve", "openai"), "desk-secret"), (("admin", "health"), "root-secret")]
)
def test_schemathesis_finds_no_way_past_the_keys(
    keyed: httpx.Client, tmp_path: Path, tags: tuple[str, ...], secret: str
) -> None:
    chosen = [option for tag in tags for option in ("--include-tag", tag)]
    options = ["--phases", "fuzzing", "--max-examples", "2", "-H", f"Authorization: Bearer {secret}"]
    explore(str(keyed.base_url), tmp_path, *chosen, *options)


def test_everything_is_described(http: httpx.Client, keyed: httpx.Client) -> None:
    paths: dict[str, Any] = http.get("/openapi.json").json()["paths"]
    assert {
        *("/chat/invoke", "/chat/batch", "/chat/stream", "/chat/stream_log", "/chat/stream_events"),
        *("/chat/input_schema", "/chat/output_schema", "/chat/config_schema"),
        *("/v1/chat/completions", "/v1/models", "/v1/models/{id}"),
        *(
            "/health",
            "/health/ready",
            "/health/detailed",
            "/metrics",
            "/admin/plugins",
            "/admin/cache",
            "/admin/cache/invalidate",
        ),
    } <= set(paths)
    for path in ("/chat/stream", "/chat/stream_log", "/chat/stream_events"):
        assert list(paths[path]["post"]["responses"]["200"]["content"]) == ["text/event-stream"]
    assert set(paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    assert all("x-request-id" in str(paths).lower() for operations in paths.values())

    def wanted(client: httpx.Client, path: str, method: str) -> Any:
        return client.get("/openapi.json").json()["paths"][path][method]["security"]

    assert wanted(http, "/chat/invoke", "post") == []
    assert wanted(http, "/admin/cache", "get") == [{"adminKey": []}]
    assert wanted(keyed, "/v1/chat/completions", "post") == [{"chatKey": []}]
    assert wanted(keyed, "/admin/cache/invalidate", "post") == [{"adminKey": []}]
    assert wanted(keyed, "/health", "get") == []
