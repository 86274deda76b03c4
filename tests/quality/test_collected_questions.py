"""Golden questions from live traffic with feedback: what is kept, what is made of it, and that it is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.quality.evaluated import opened
from tilores_core.contracts import Customer, Record
from tilores_core.jobs.forget import forget_everywhere
from tilores_core.quality.questions.collecting import collect_questions, find_stated_fields
from tilores_core.quality.questions.files import check_questions, read_questions, write_drafts, write_questions
from tilores_core.services import job_folder
from tilores_core.testing import TestApp

EDWINA = "EDW_HAWTHORNE_001"
LIKED = (
    "What is Edwina Hawthorne's credit score?",
    "What is Edwina Hawthorne's shoe size?",
)
DISLIKED = "What is Edwina Hawthorne's email address?"


async def test_rated_questions_become_golden_ones_and_hold_no_value_before(tmp_path: Path) -> None:
    config = {"quality": {"collect_questions": True, "live_cpu_percent": 100}}
    async with TestApp(config=config, data_dir=tmp_path) as app:
        service: Any = app.application._service
        replies = {question: (await app.invoke(question)).json() for question in (*LIKED, DISLIKED)}
        await app.invoke("What is Edwina Hawthorne's next payment?")  # without feedback: not kept
        for question, reply in replies.items():
            body = {"run_id": reply["metadata"]["run_id"], "key": "ok", "score": float(question != DISLIKED)}
            assert (await app.http.post("/chat/feedback", json=body)).status_code == 200
        await service.quality._store.get()
        await service.quality.flush()
    async with opened(tmp_path) as services:
        store = await services.store.get()
        rows = await store.questions.list_since(0)
        assert {row.question for row in rows} == {*LIKED, DISLIKED}
        assert {(row.customer_id, row.model) for row in rows} == {(EDWINA, "demo:simulated-1")}
        await store.export_json(tmp_path / "all.json")
        kept = (tmp_path / "all.json").read_text()
        for reply in replies.values():
            assert reply["output"]["content"] not in kept
        assert '"742"' not in kept
        found = await collect_questions(rows, services.source)
        assert [row.question for row in found.bad] == [DISLIKED]
        by_text = {question.text: question for question in found.good}
        (fact,) = by_text[LIKED[0]].facts
        assert (fact.value, by_text[LIKED[0]].spectrum) == ("742", "credit_analysis")
        path, drafts = tmp_path / "live.yaml", tmp_path / "drafts.jsonl"
        write_questions(path, found.good)
        assert (await check_questions(read_questions(path), services.source))[0] == []
        write_drafts(drafts, found.bad)
        assert (json.loads(drafts.read_text())["text"], path.stat().st_mode & 0o077) == (DISLIKED, 0)
        folder = job_folder(services.environment)
        removed = await forget_everywhere(services.cache, folder, services.store, services.host, EDWINA)
        assert removed["removed"]["questions"] == 3
        assert await store.questions.list_since(0) == []


def test_fields_are_those_asked_for_whose_value_is_stated() -> None:
    fields = {"credit_score": 742, "credit_limit": 5000, "cards": 2, "city": "Leeds", "calls": 2}
    customer = Customer(id="c", name=None, records=(Record(id="r", system="crm", fields=fields),))
    asked = "What is the credit limit, and how many cards are there?"
    assert find_stated_fields(asked, "The limit is 5,000, on 2 cards.", customer) == ("credit_limit", "cards")
    assert find_stated_fields(asked, "The limit is 4,000.", customer) == ()
    assert find_stated_fields("Which city?", "Leeds.", customer) == ("city",)
