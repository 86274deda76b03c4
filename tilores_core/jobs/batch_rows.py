"""Lines of the output: an answer, a customer's records, or why there is neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from tilores_core.contracts import Answer, Customer, CustomerOutcome
from tilores_core.errors import TiloresError, error_code
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_output import Row

REPEATED: Final = "batch"
"""What stands for the cache tier where an earlier line of the same batch had asked the same."""


def answer_row(line_id: str, answer: Answer, *, attempts: int, seconds: float) -> dict[str, Any]:
    """Make the row of an answer. `cost` in US dollars, None when no price is known."""
    return {
        "id": line_id,
        "answer": answer.text,
        "model": answer.model,
        "customer": answer.customer.kind,
        "customer_id": answer.customer.customer_id,
        "spectrum": answer.spectrum,
        "finish_reason": answer.finish_reason,
        "cost": answer.cost,
        **_end(answer.cache_tier, attempts, seconds),
    }


def records_row(
    line_id: str, outcome: CustomerOutcome, customer: Customer | None, *, attempts: int, seconds: float
) -> dict[str, Any]:
    """For a line without a question: the records of the customer that it names. It tells of no cache tier."""
    records = customer.records if customer is not None else ()
    return {
        "id": line_id,
        "customer": outcome.kind,
        "customer_id": outcome.customer_id,
        "records": [
            {"id": record.id, "system": record.system, "updated_at": record.updated_at, "fields": dict(record.fields)}
            for record in records
        ],
        **_end(None, attempts, seconds),
    }


def error_row(line_id: str, error: Exception, *, attempts: int, seconds: float) -> dict[str, Any]:
    """Only what our own errors say: the words of others may quote anything."""
    if isinstance(error, TiloresError):
        shown = {"code": error_code(error), "message": error.message, "fix": error.fix}
    else:
        shown = {"code": "internal", "message": f"unforeseen: {type(error).__name__}", "fix": None}
    return {"id": line_id, "error": shown, **_end(None, attempts, seconds)}


def problem_row(line: BatchLine) -> dict[str, Any]:
    """A line that cannot be understood."""
    shown = {"code": "invalid_request", "message": line.problem, "fix": "correct the line and run it again"}
    return {"id": line.id, "error": shown, **_end(None, 0, 0.0)}


def repeat_row(line_id: str, first: Row) -> dict[str, Any]:
    """What an earlier line that asked the same was given. It was paid there."""
    row = {**first, "id": line_id, **_end(REPEATED, 0, 0.0)}
    return {**row, "cost": 0.0} if "cost" in row else row


def input_row(line: BatchLine) -> Mapping[str, Any]:
    """The line as an input has it, so that it can be run again."""
    row = {"id": line.id, "question": line.question, **asdict(line.identifiers), "model": line.model}
    row["problem"] = line.problem  # not a column that is read: it is for correcting the line
    return {name: value for name, value in row.items() if value is not None}


def _end(cache: str | None, attempts: int, seconds: float) -> dict[str, Any]:
    """What every row ends in."""
    return {"cache": cache, "attempts": attempts, "latency_ms": round(seconds * 1000, 3)}
