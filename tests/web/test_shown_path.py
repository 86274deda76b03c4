"""Paths as the log shows them."""

from __future__ import annotations

import pytest

from tilores_core.web.http_exchange import HttpExchange


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/chat/invoke", "/chat/invoke"),
        ("/v1/models/demo:simulated-1", "/v1/models/demo:simulated-1"),
        ("/chat/c/N4IgLgngDgpiBcIYCMCGAXAngGwSANCAK4BO2AdhAA/invoke", "/chat/c/…/invoke"),
        ("/chat/c/", "/chat/c/…"),
        ("/v1/\x1b[2J\n level=error", "'/v1/\\x1b[2J\\n level=error'"),
        ("/v1/ü", "/v1/ü"),
        ("/v1/" + "x" * 5000, repr("/v1/" + "x" * 76)),
    ],
)
def test_a_path_is_short_printable_and_holds_no_config(path: str, shown: str) -> None:
    async def nothing(*_: object) -> None: ...

    exchange = HttpExchange({"path": path, "headers": []}, nothing, nothing, b"")  # type: ignore[arg-type]
    assert exchange.shown_path == shown
