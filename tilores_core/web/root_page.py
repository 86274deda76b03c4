"""`GET /`: one page for someone who opens the printed address. No scripts, nothing from elsewhere, never a key."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

from tilores_core import __version__
from tilores_core.host.host import PluginHost

_HOST: Final = re.compile(rb"[A-Za-z0-9.\-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")
_TEMPLATE: Final = (Path(__file__).resolve().parent.parent / "data" / "root_page.html").read_text(encoding="utf-8")
_STYLE: Final = _TEMPLATE.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def root_page(scope: Mapping[str, Any], *, status: str, host: PluginHost, needs_key: bool) -> str:
    """The page as HTML. `scope`: of the request, to whose address the examples go. `status`: of `/health/detailed`,
    or `not ready`. `needs_key`: whether chat needs a key."""
    use, customers = host.config.use, host.customers
    example = customers.example if customers is not None else ""
    hint = "" if example else "<p>Put the name of one of your customers in place of Jane Doe.</p>"
    if needs_key:
        hint += (
            "<p>Chat needs a key, sent as <code>Authorization: Bearer KEY</code>. The examples take it from the "
            "environment; it is one of <code>TILORES_API_KEYS</code>, or in <code>chat.key</code> in the data "
            "folder of the server:</p><pre>export TILORES_KEY=…</pre>"
        )
    who = "needs a key" if needs_key else "is open to this machine"
    return Template(_TEMPLATE).substitute(
        version=escape(__version__),
        status=escape(status),
        model=escape(use.model),
        simulated=" (simulated: it calls no model)" if host.is_simulated(use.model) else "",
        source=escape(use.source),
        synthetic=" (simulated: synthetic customers)" if host.has_synthetic_customers else "",
        keys=f"chat {who}; administration needs an admin key",
        hint=hint,
        models="" if needs_key else '<a href="/v1/models">models</a> · ',
        url=escape(_address(scope)),
        question=escape(example or "What is the phone number of Jane Doe?"),
        header=' \\\n  -H "Authorization: Bearer $TILORES_KEY"' if needs_key else "",
        imports="import os\n\n" if needs_key else "",
        key='key = os.environ["TILORES_KEY"]\n' if needs_key else "",
        api_key="key" if needs_key else '"not needed"',
        headers=', headers={"Authorization": f"Bearer {key}"}' if needs_key else "",
    )


def _address(scope: Mapping[str, Any]) -> str:
    """The address that the request was made to; the server's own where `Host` is not one."""
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"")
    if not _HOST.fullmatch(host):
        server = scope.get("server") or ("127.0.0.1", 8000)
        host = f"{server[0]}:{server[1]}".encode()
    is_https = headers.get(b"x-forwarded-proto") == b"https" or scope.get("scheme") == "https"
    return f"{'https' if is_https else 'http'}://{host.decode()}"
