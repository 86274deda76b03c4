"""How long one message of about 200 characters is read for, by kind of message: the CPU time of the thread, so that
what else runs on the machine counts little. A median above 150 µs fails."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Final

from tilores_core.chat.customer.extraction import extract

MOST_MICROSECONDS: Final = 150.0
_TURNS: Final = {
    "plain question": (
        "could you please tell me what the current balance is and whether the last payment was received in "
        "time because the reminder that we sent out last week has not been answered by anyone in the meantime"
    ),
    "typed names": (
        "Hello, this is about Edwina Hawthorne from Portland: could you tell me when the next payment of her "
        "loan is due, and whether Julian Hawthorne has asked for another limit in the meantime? Thank you."
    ),
    "spoken names": (
        "um yes hello i have edwina hawthorne on the line and she would like to know when the next payment of"
        " her loan is due and whether it is possible to move it to the end of the month if at all"
    ),
    "numbers": (
        "Customer 4711, born 14 March 1983, phone (503) 555-0142, e-mail edwina.hawthorne@example.com, asks "
        "about invoice 88231 of 1,250.00 dollars that was due on 2025-07-15, and about claim number 30172."
    ),
    "spoken numbers": (
        "my number is five oh three five five five oh one four two and i was born on the fourteenth of march "
        "nineteen eighty three and i would like to know how much i still owe and when it is due please"
    ),
    "German": (
        "Guten Tag, hier ist Edwina Hawthorne, geboren am 14. März 1983, ich wollte wissen, wie hoch mein "
        "Saldo ist und wann die nächste Rate fällig wird, weil ich letzte Woche eine Mahnung bekommen habe."
    ),
}


def measure(text: str, rounds: int) -> float:
    """The median of the microseconds that reading `text` takes."""
    taken = []
    for _ in range(rounds):
        begun = time.thread_time_ns()
        extract(text, region="US")
        taken.append((time.thread_time_ns() - begun) / 1000)
    return statistics.median(taken)


def main(arguments: Sequence[str]) -> int:
    rounds = int(arguments[0]) if arguments else 2_000
    slow = 0
    print("| message | characters | µs, median |\n| --- | --: | --: |")
    for kind, text in _TURNS.items():
        measure(text, 50)
        median = measure(text, rounds)
        slow += median > MOST_MICROSECONDS
        print(f"| {kind} | {len(text)} | {median:.0f} |")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
