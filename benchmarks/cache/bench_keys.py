"""Making the key of an answer: a prompt of 2 KB and four messages, against orjson and SHA-256 of the same.

python -m benchmarks.cache.bench_keys
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.cache.rounds import compare, report
from tilores_core.cache.keys import answer_key, conversation_digest, fingerprint_key, mention_key, wire_key

TIMES = 5_000


def conversation(word: str) -> list[Any]:
    return [
        {"role": "system", "content": (word + " answers from the records. ") * (2048 // (len(word) + 27))},
        {"role": "user", "content": "Edwina Hawthorne is on the phone. What is her address?"},
        {
            "role": "assistant",
            "content": "She lives in Harrogate; billing still has the old address in Leeds.",
        },
        {"role": "user", "content": "And when did she move, according to the newest record that we have of her?"},
        {"role": "user", "content": "Please be brief."},
    ]


def repeated(work: Callable[[], Any]) -> Callable[[], int]:
    def run() -> int:
        for _ in range(TIMES):
            work()
        return TIMES

    return run


def candidates(messages: list[Any]) -> dict[str, Callable[[], int]]:
    everything = {
        "model": "demo:simulated-1",
        "messages": messages,
        "prompt": "builtin-0123456789ab",
        "fingerprint": "f" * 64,
        "scope": "default",
        "schema": "s" * 16,
    }

    def ours(parameters: dict[str, Any]) -> str:
        return answer_key(
            conversation=conversation_digest(messages),
            model="demo:simulated-1",
            parameters=parameters,
            prompt_version="builtin-0123456789ab",
            fingerprint="f" * 64,
            scope="default",
            schema_hash="s" * 16,
        )

    digest = conversation_digest(messages)
    key = ours({})
    return {
        "orjson + sha256": repeated(
            lambda: hashlib.sha256(orjson.dumps(everything, option=orjson.OPT_SORT_KEYS)).hexdigest()
        ),
        "conversation_digest + answer_key": repeated(lambda: ours({})),
        "the same with two parameters": repeated(lambda: ours({"temperature": 0.2, "max_tokens": 300})),
        "conversation_digest": repeated(lambda: conversation_digest(messages)),
        "mention_key": repeated(
            lambda: mention_key(conversation=digest, source="demo", region="US", schema_hash="s" * 16)
        ),
        "fingerprint_key": repeated(lambda: fingerprint_key("demo", "EDW_HAWTHORNE_001")),
        "wire_key": repeated(lambda: wire_key(key, "openai")),
    }


def main() -> None:
    base = "orjson + sha256"
    limit = ("conversation_digest + answer_key", 2.0)
    report("A key, ASCII", compare(candidates(conversation("Service"))), base, limit)
    report("A key, text beyond ASCII", compare(candidates(conversation("Zoë"))), base)


if __name__ == "__main__":
    main()
