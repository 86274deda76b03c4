"""What the records say in another notation passes the guard, also in words and in other languages; what they do not
say is stopped."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from structlog.testing import capture_logs

from tilores_core.chat.grounding.guard import Guard
from tilores_core.contracts import Customer, Prompt, Record

CASES = Path(__file__).parents[1] / "data" / "grounding.txt"


def passes(value: object, answer: str) -> bool:
    """Whether `grounding = "block"` lets the answer pass about a customer with this value."""
    customer = Customer(id="C-1", name="Ada Quill", records=(Record(id="r1", system="crm", fields={"value": value}),))
    guard = Guard("block", today=lambda: date(2026, 3, 1))
    watch = guard.watch([{"role": "user", "content": "Tell me."}], Prompt(version="v", template="{customer}"))
    assert watch is not None
    watch.about(customer)
    return watch.finish(answer, "stop")[1] == "stop"


def test_times_are_general_knowledge_where_the_records_have_none() -> None:
    assert passes(742, "We are open from 08:30 to 5pm.")
    assert not passes("2025-06-30 14:30", "Her appointment is at 08:30.")


def test_values_in_other_notations_pass_and_false_ones_are_stopped() -> None:
    wrong = []
    with capture_logs():
        for line in CASES.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                continue
            value, answer, wanted = line.split(" | ")
            if passes(json.loads(value), answer) != (wanted == "passes"):
                wrong.append(line)
    assert wrong == []
