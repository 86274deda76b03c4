"""Writes dumps/REVISION.* for the schema that is in the program now, from real databases with rows in every table.

    python -m tests.store.make_dumps

Run once for each new revision, when its tables are as they will be released. A dump that is there is never made anew:
it is what people have.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from tests.store.postgres_server import PostgresServer
from tilores_core.store.address import Address, store_address
from tilores_core.store.experiments import SUMS
from tilores_core.store.migrate import HEAD
from tilores_core.store.store import Store, metadata
from tilores_core.store.windows import COUNTS, MEASURES

DUMPS = Path(__file__).parent / "dumps"

# Add rows of each new table here: texts beyond ASCII, numbers beyond 32 bits, and everything that may be absent.
ROWS: dict[str, list[dict[str, Any]]] = {
    "tilores_alerts": [
        {
            "fingerprint": "0f" * 16,
            "kind": "model.down",
            "severity": "CRITICAL",
            "title": "ü 'quoted' ☎",
            "detail": "two\nlines",
            "source": "models",
            "model": "demo:simulated-1",
            "spectrum": "billing",
            "prompt_version": "builtin-0",
            "labels": {"tier": "l2"},
            "figures": {"rate": 0.25},
            "expires_after_ms": 300_000,
            "state": "acknowledged",
            "episode": 2,
            "raised": 5_000_000_000,
            "first_ms": 1_790_000_000_000,
            "last_ms": 1_790_000_000_001,
            "acknowledged_ms": 1_790_000_000_002,
            "acknowledged_by": "desk",
            "resolved_ms": None,
            "settled": False,
            "noticed_episode": 2,
            "noticed_ms": 1_790_000_000_003,
            "noticed_severity": "HIGH",
            "noticed_raised": 1,
            "escalation": 1,
            "escalated_ms": 1_790_000_000_004,
        }
    ],
    "tilores_alert_deliveries": [
        {
            "id": "d1",
            "channel": "slack",
            "fingerprint": "0f" * 16,
            "reason": "raised",
            "escalation": 0,
            "state": "sent",
            "message": "m1",
            "created_ms": 1_790_000_000_000,
            "due_ms": 1_790_000_000_001,
            "attempts": 2,
            "next_ms": 1_790_000_000_002,
            "ended_ms": 1_790_000_000_003,
            "error": "ü",
        }
    ],
    "tilores_alert_silences": [
        {
            "id": "s1",
            "fingerprint": None,
            "kind": "quality.*",
            "severity": None,
            "source": None,
            "model": None,
            "spectrum": None,
            "starts_ms": 0,
            "ends_ms": 1_790_000_000_000,
            "until_clear": True,
            "created_ms": 0,
            "owner": "desk",
            "comment": "ü",
        }
    ],
    "tilores_changes": [{"topic": "batch", "counter": 5_000_000_000}, {"topic": "prompts", "counter": 1}],
    "tilores_leases": [
        {"name": "batch:äß", "holder": "replica-1", "fence": 5_000_000_001, "expires_ms": 1_790_000_000_123},
        {"name": "prewarm", "holder": "", "fence": 7, "expires_ms": 0},
    ],
    "tilores_batch_jobs": [
        {
            "id": "whole",
            "state": "done",
            "owner": "desk",
            "fence": 3,
            "created_ms": 1_790_000_000_000,
            "started_ms": 1_790_000_000_001,
            "ended_ms": 1_790_000_009_999,
            "lines": 3_000_000_000,
            "totals": {"done": 2, "cost": 0.25},
            "options": {"model": "demo:simulated-1", "nested": {"list": [1, None, "ü'\"\\"]}},
            "error": "line 1: 'quoted'; \"twice\"\nand on, ☎",
            "kind": "prewarm",
        },
        {
            "id": "bare",
            "state": "queued",
            "owner": "",
            "fence": 0,
            "created_ms": 1_790_000_000_002,
            "started_ms": None,
            "ended_ms": None,
            "lines": None,
            "totals": {},
            "options": {},
            "error": None,
            "kind": "batch",
        },
    ],
    "tilores_evaluation_runs": [
        {
            "id": "20260101-000000-abcdef",
            "digest": "0f" * 16,
            "state": "done",
            "created_ms": 1_790_000_000_000,
            "ended_ms": 1_790_000_000_001,
            "prompt_version": "builtin-0",
            "options": {"models": ["demo:simulated-1"], "seed": 0},
            "summary": {"scores": {"overall": 0.875, "completeness": None}},
        },
        {
            "id": "bare",
            "digest": "",
            "state": "running",
            "created_ms": 0,
            "ended_ms": None,
            "prompt_version": "",
            "options": {},
            "summary": {},
        },
    ],
    "tilores_evaluation_results": [
        {
            "run_id": "20260101-000000-abcdef",
            "model": "demo:simulated-1",
            "question_id": "credit_analysis.0123456789",
            "spectrum": "credit_analysis",
            "scores": {"overall": 0.875, "completeness": None},
            "judged": 0.9,
            "error": None,
            "input_tokens": 5_000_000_000,
            "output_tokens": 80,
            "cost": 0.0125,
            "seconds": 1.5,
        },
        {
            "run_id": "20260101-000000-abcdef",
            "model": "demo:ü",
            "question_id": "q",
            "spectrum": "general",
            "scores": {},
            "judged": None,
            "error": "provider_unavailable",
            "input_tokens": 0,
            "output_tokens": 0,
            "cost": None,
            "seconds": 0.0,
        },
    ],
    "tilores_prompt_versions": [
        {
            "number": 5_000_000_001,
            "parts": {"role": 'Du hilfst: ä\n"ß" {customer}', "guidance.credit_analysis": ""},
            "author": "jo",
            "reason": "kürzer\n☎",
            "parent": 1,
            "scores": {"evaluation": {"score": 0.875}},
            "created_ms": 1_790_000_000_006,
        },
        {
            "number": 1,
            "parts": {},
            "author": "",
            "reason": "",
            "parent": None,
            "scores": {},
            "created_ms": 0,
        },
    ],
    "tilores_prompt_labels": [
        {"name": "candidate", "number": 1, "previous": [], "changed_ms": 0},
        {"name": "production", "number": 5_000_000_001, "previous": [1, 2, 1], "changed_ms": 1_790_000_000_007},
    ],
    "tilores_audit": [
        {
            "id": "1790000000000000000-0123456789ab",
            "at_ms": 1_790_000_000_008,
            "actor": "jo",
            "action": "prompts.deploy",
            "subject": "prompts/production",
            "reason": "weil ☎",
            "detail": {"from": None, "to": 2, "checks": [{"check": "length", "values": {"tokens": 3.5}}]},
        },
        {"id": "0", "at_ms": 0, "actor": "", "action": "x", "subject": "", "reason": "", "detail": {}},
    ],
    "tilores_quality_states": [
        {
            "model": "demo:simulated-1",
            "spectrum": "billing",
            "prompt_version": "builtin-0",
            "state": {"floors": {"target": {"floor": 0.95, "count": 3}}, "ü": None},
            "changed_ms": 1_790_000_000_005,
        }
    ],
    "tilores_score_log": [
        {
            "id": 1_790_000_000_006_123_456,
            "at_ms": 1_790_000_000_006,
            "model": "demo:simulated-1",
            "spectrum": "billing",
            "prompt_version": "builtin-0",
            "scores": [0.5, 1, 0.987654321],
        }
    ],
    "tilores_experiments": [
        {
            "id": "kinder-1",
            "name": "kinder",
            "state": "ended",
            "plan": {"name": "kinder", "candidate": 2},
            "control": 2**40,
            "slice_first": 0,
            "slice_end": 10_000,
            "weights": [0.01, 0.5],
            "step_ms": 1_780_000_000_000,
            "started_ms": 1_780_000_000_000,
            "ended_ms": 1_780_000_100_000,
            "outcome": "kept",
            "reason": "ü ☎",
            "verdict": {"lift": 0.01},
            "looks": [{"lift": 0.01}],
        },
        {
            "id": "kinder-2",
            "name": "kinder",
            "state": "running",
            "plan": {"name": "kinder", "candidate": 3},
            "control": 1,
            "slice_first": 0,
            "slice_end": 5_000,
            "weights": [0.5],
            "step_ms": 1_780_000_000_000,
            "started_ms": 1_780_000_000_000,
            "ended_ms": None,
            "outcome": None,
            "reason": None,
            "verdict": {},
            "looks": [],
        },
    ],
    "tilores_experiment_sums": [
        {"experiment_id": "kinder-2", "step": 0, "arm": "control", **dict.fromkeys(SUMS, 1.5)},
    ],
    "tilores_collected_questions": [
        {
            "run_id": "0f" * 16,
            "at_ms": 1_790_000_000_000,
            "customer_id": "ü-1",
            "question": "How much?\n☎",
            "spectrum": "general",
            "model": "demo:simulated-1",
            "prompt_version": "1-0f",
            "fields": ["größe"],
            "abstained": False,
            "score": 0.5,
        }
    ],
    "tilores_healing_episodes": [
        {
            "id": "episode-1",
            "state": "healed",
            "diagnosis": "model down",
            "subject": "demo:simulated-1",
            "created_ms": 1_790_000_000_000,
            "ended_ms": 1_790_000_000_001,
            "body": {"done": "ü"},
        },
        {
            "id": "episode-2",
            "state": "verifying",
            "diagnosis": "data drift",
            "subject": "☎",
            "created_ms": 1_790_000_000_002,
            "ended_ms": None,
            "body": {},
        },
    ],
    "tilores_health_signals": [
        {
            "kind": "field",
            "subject": "demo",
            "value": "größe",
            "start_ms": 1_790_000_000_000,
            "count": 5_000_000_000,
            "first_ms": 1_790_000_000_001,
            "last_ms": 1_790_000_000_002,
        }
    ],
    "tilores_improve_cycles": [
        {
            "id": "cycle-1",
            "state": "done",
            "created_ms": 1_790_000_000_000,
            "ended_ms": 1_790_000_000_001,
            "options": {"strategy": "ü"},
            "phases": {"baseline": {"overall": 0.5}},
        },
        {
            "id": "cycle-2",
            "state": "running",
            "created_ms": 1_790_000_000_002,
            "ended_ms": None,
            "options": {},
            "phases": {},
        },
    ],
    "tilores_improve_calls": [
        {"cycle_id": "cycle-2", "subject": "reflection", "call": "0f-1", "body": {"text": "☎"}}
    ],
    "tilores_improve_lessons": [{"id": "cycle-1-0", "at_ms": 1_790_000_000_003, "body": {"gain": 0.25}}],
    "tilores_score_windows": [
        {
            "width_ms": 300_000,
            "start_ms": 1_790_000_100_000,
            "model": "demo:simulated-1",
            "spectrum": "general",
            "prompt_version": "ü-1",
            **dict.fromkeys(COUNTS, 5_000_000_000),
            **{
                f"{measure}_{part}": value
                for measure in MEASURES
                for part, value in (("count", 3.0), ("sum", 2.75), ("squares", 2.5625))
            },
        }
    ],
    "tilores_waiting_feedback": [
        {"id": 1_790_000_000_007_000_001, "run_id": "0f" * 16, "score": -1.5, "at_ms": 1_790_000_000_007}
    ],
    "tilores_warmed_entries": [{"key": "answers:0f", "changed_ms": 1_790_000_000_003}],
    "tilores_worker_reports": [{"name": "prewarm", "value": {"ü": [1, None]}, "changed_ms": 1_790_000_000_004}],
}


async def fill(store: Store, rows: Mapping[str, list[dict[str, Any]]] = ROWS) -> None:
    assert set(rows) == set(metadata.tables), "rows for every table, and for no other"
    async with store.database.write() as connection:
        for name, values in rows.items():
            await connection.execute(insert(metadata.tables[name]), values)


async def _made(address: Address) -> None:
    store = await Store.open(address)
    await fill(store)
    await store.aclose()


def main() -> None:
    DUMPS.mkdir(exist_ok=True)
    if list(DUMPS.glob(f"{HEAD}.*")):
        raise SystemExit(f"there are dumps of {HEAD}; what is released stays as it is")
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        lite = store_address(None, Path(folder))
        asyncio.run(_made(lite))
        with closing(sqlite3.connect(lite.path)) as opened, opened:
            (DUMPS / f"{HEAD}.sqlite.sql").write_text("\n".join(opened.iterdump()) + "\n")
        url = server.new_database()
        asyncio.run(_made(store_address(url, Path(folder))))
        command = [str(server.binaries / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
        dump = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"})
        (DUMPS / f"{HEAD}.postgresql.sql").write_text(dump.stdout)
    (DUMPS / f"{HEAD}.rows.json").write_text(json.dumps(ROWS, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
