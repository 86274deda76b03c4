"""What rendering, estimating and checking cost for a demo customer with some 370 fields; medians.

python -m benchmarks.context.bench_guard
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from tilores_core import Customer
from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.grounding.claims import claims
from tilores_core.chat.grounding.evidence import evidence_of
from tilores_core.chat.records import fingerprint, render, shorten
from tilores_plugins.sources.demo.source import DemoSource

ANSWER = (
    "Edwina Hawthorne's credit score is 742, rated very good by Meridian Credit Bureau. Her next payment of "
    "$1,640.25 is due on July 15, 2025. She has been a customer since 5 September 2011, for about 13 years, and "
    "she is 42 years old. You can reach her at (503) 555-0142 or edwina.hawthorne@example.com. Her open ticket "
    "TCK-318852 is about a disputed payment of 89.99 at Gadget Barn. The card ending in 9067 expires in March "
    "2027. Utilization is 18%, and total debt is roughly 309,000. Her husband is Julian Hawthorne."
)
PLAIN = (
    "Edwina Hawthorne's last call was about a fee question, and it was resolved. She asked about a foreign "
    "transaction fee from her trip to Portugal; it was explained and refunded. Her preferred agent is Nadia R., "
    "and she likes to be called Eddie. She has one open ticket with a high priority about a disputed card payment"
    " at Gadget Barn. The sentiment of the call was positive, the survey said that the problem was solved at "
    "once, and a callback on 2 July was promised to her by the agent."
)


def median_of(work: Callable[[], object], times: int) -> float:
    """Microseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return 1e6 * statistics.median(taken)


def main() -> None:
    customer: Customer | None = asyncio.run(DemoSource().get("EDW_HAWTHORNE_001"))
    if customer is None:
        raise SystemExit("the demo customer is gone")
    text = render(customer)
    evidence = evidence_of(text, [customer])
    if not all(evidence.bears_out(claim) for answer in (ANSWER, PLAIN) for claim in claims(answer, evidence.words)):
        raise SystemExit("the answers are not the customer's")

    def check(answer: str) -> Callable[[], object]:
        return lambda: [evidence.bears_out(claim) for claim in claims(answer, evidence.words)]

    rows: list[tuple[str, Callable[[], object], int]] = [
        ("fingerprint", lambda: fingerprint(customer), 500),
        (f"render, {len(text):,} characters (once per fingerprint)", lambda: render(customer), 200),
        ("estimate its tokens (once per fingerprint)", lambda: estimate_tokens(text), 500),
        (
            "shorten it to 1,000 tokens (only where it does not fit)",
            lambda: shorten(text, 1_000, measure=estimate_tokens),
            100,
        ),
        ("index its values (once per fingerprint)", lambda: evidence_of(text, [customer]), 100),
        (f"check an answer of {len(ANSWER)} characters with 14 values", check(ANSWER), 1_000),
        (f"check an answer of {len(PLAIN)} characters with one value", check(PLAIN), 1_000),
    ]
    for what, work, times in rows:
        print(f"{what:62} {median_of(work, times):8.1f} µs")


if __name__ == "__main__":
    main()
