"""The picture of a trace in docs/tracing.md, drawn from runs as the fake LangSmith's ingest recorded them.

`python -m tests.docs.trace_picture` asks a server whose first model is down, keeps what was recorded in
docs/images/trace.json (times in milliseconds after the beginning) and draws it as docs/images/trace.svg. A test draws
it anew from the recording, and holds the recording to what a server sends now.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from tests.tracing.langsmith_server import KEY, LangSmithServer
from tests.tracing.traced_app import traced_app

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "docs" / "images" / "trace.json"
PICTURE = ROOT / "docs" / "images" / "trace.svg"

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 900, 350, 20, 44, 78
_ROOM_FOR_A_LABEL = 210
_COLOURS = {
    "chain": "#5b6b7f",
    "retriever": "#2a7f9e",
    "prompt": "#8a6fb0",
    "llm": "#c77d2e",
    "tool": "#64803b",
    "parser": "#3f8f5f",
}
_SHOWN = {
    "chain": ("purpose", "input_tokens", "output_tokens"),
    "retriever": ("outcome", "records", "cache_tier"),
    "prompt": ("prompt_version",),
    "llm": ("attempt", "fallback", "input_tokens", "output_tokens"),
    "tool": ("run_by",),
    "parser": ("cache_tier", "finish_reason"),
}


async def record() -> list[dict[str, Any]]:
    """The runs of one request, the root first: the first model is not there, a fallback answers."""
    with LangSmithServer() as service, tempfile.TemporaryDirectory() as folder:
        plugin = {"endpoint": service.url, "api_key": {"env": "NO_KEY_HERE", "default": KEY}}
        async with traced_app(
            Path(folder),
            langsmith=plugin,
            use={"model": "ollama:llama3.2", "fallbacks": ["demo:simulated-1"]},
            plugins={"ollama": {"base_url": "http://127.0.0.1:9"}},
            routing={"backoff_seconds": 0.0},
        ) as app:
            reply = await app.invoke(session_id="session-1")
            assert reply.status_code == 200, reply.text
        root = service.runs[reply.json()["metadata"]["run_id"]]
        return _plain([root, *service.children(root)])


def _plain(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Ids as numbers, times as milliseconds after the root began."""
    began = datetime.fromisoformat(runs[0]["start_time"])
    numbers = {run["id"]: number for number, run in enumerate(runs)}

    def after(time: str) -> float:
        return round((datetime.fromisoformat(time) - began).total_seconds() * 1000, 3)

    return [
        {
            "id": numbers[run["id"]],
            "parent": numbers.get(run.get("parent_run_id", "")),
            "name": run["name"],
            "run_type": run["run_type"],
            "start_ms": after(run["start_time"]),
            "end_ms": after(run["end_time"]),
            "error": run.get("error"),
            "tags": run.get("tags", []),
            "metadata": run["extra"]["metadata"],
        }
        for run in runs
    ]


def shape(runs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What does not change from one recording to the next; scores come when there is time for them, or not."""
    return [
        (
            run["id"],
            run["parent"],
            run["name"],
            run["run_type"],
            run["error"],
            sorted(run["tags"]),
            sorted(name for name in run["metadata"] if not name.startswith("score_")),
        )
        for run in runs
    ]


def draw(runs: Sequence[Mapping[str, Any]]) -> str:
    """The runs as SVG: one row each, a bar from its start to its end."""
    whole = max(run["end_ms"] for run in runs) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / whole
    height = _TOP + _ROW * len(runs) + 16
    tags = " · ".join(tag for tag in runs[0]["tags"] if not tag.startswith("purpose"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="A trace as LangSmith gets it">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold" fill="#222">One request, {whole:.0f} ms</text>',
        f'<text x="16" y="48" fill="#666">{escape(tags)}</text>',
    ]
    for row, run in enumerate(runs):
        parts += _row(run, _TOP + _ROW * row, scale)
    return "\n".join([*parts, "</svg>", ""])


def _row(run: Mapping[str, Any], top: int, scale: float) -> list[str]:
    indent = 16 if run["parent"] is None else 36
    x = _LEFT + run["start_ms"] * scale
    width = max((run["end_ms"] - run["start_ms"]) * scale, 2.0)
    told = run["metadata"]
    detail = ", ".join(_said(name, told[name]) for name in _SHOWN[run["run_type"]] if told.get(name))
    colour = "#b8423a" if run["error"] else _COLOURS[run["run_type"]]
    took = run["end_ms"] - run["start_ms"]
    length = f"{took:.1f} ms" if took >= 0.05 else f"{took * 1000:.0f} µs"
    length += f", {run['error']}" if run["error"] else ""
    anchor, at, fill = "start", x + 8, "#ffffff"  # within the bar, where it is long enough
    if width < _ROOM_FOR_A_LABEL:
        fill = "#444"
        beside = x + width + 6
        anchor, at = ("start", beside) if beside < _WIDTH - _ROOM_FOR_A_LABEL else ("end", x - 6)
    return [
        f'<text x="{indent}" y="{top + 12}" fill="#222">{escape(run["name"])}</text>',
        f'<text x="{indent}" y="{top + 28}" font-size="11" fill="#666">{escape(detail)}</text>',
        f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="20" rx="3" fill="{colour}"/>',
        f'<text x="{at:.1f}" y="{top + 14}" font-size="11" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(length)}</text>",
    ]


def _said(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if value is True:
        return words
    return f"{value:,} {words}" if name.endswith("_tokens") else f"{words} {value}"


if __name__ == "__main__":
    recorded = asyncio.run(record())
    RECORDING.write_text(json.dumps(recorded, indent=1) + "\n")
    PICTURE.write_text(draw(recorded))
