"""The scores of an answer to a live question, whose right answer is not known."""

from __future__ import annotations

from typing import Final

from tilores_core.chat.grounding.names import words_of
from tilores_core.contracts import Answer, Customer, Outcome
from tilores_core.quality.scoring.abstaining import abstention
from tilores_core.quality.scoring.records import IndexedRecords, index_records
from tilores_core.quality.scoring.scores import Scores, weigh
from tilores_core.quality.scoring.wording import format_score

_LIVE_FACTS: Final = 4  # a live question may ask for several; that many words are allowed for
_HALF: Final = 0.5
_LEAST_WORDS: Final = 2  # of a field's name: one word says too little of what was asked for


def score_live(
    question: str,
    text: str,
    records: Customer | IndexedRecords | None,
) -> Scores:
    """The scores of a live answer: groundedness, abstention, format and the overall one of these three.

    `question`: the text of the turn's question. `records`: the customer that was in play, None without one.
    Correctness and completeness need known facts and are None.

    Abstention: 0 when the answer says that the records do not hold something although a field has the name that was
    asked for, or when most of the values that it states are held by no record; 1 otherwise.
    """
    index = records if isinstance(records, IndexedRecords) else index_records(records)
    stated, ungrounded = (0, 0) if index.quotes(text) else index.strange_values(text, question)
    grounded = 1.0 if stated == 0 else 1.0 - ungrounded / stated
    said = abstention(text)
    if said == "no":
        right = grounded >= _HALF
    else:
        asked = words_of(question)
        right = not any(len(name) >= _LEAST_WORDS and name <= asked for name in index.field_words)
    return weigh(
        {
            "groundedness": grounded,
            "abstention": 1.0 if right else 0.0,
            "format": format_score(text, facts=_LIVE_FACTS, asked=0, unasked=0),
        }
    )


def is_scorable(outcome: Outcome, answer: Answer) -> bool:
    """Whether it is a whole answer of a model, about one customer whose records are here, or about none."""
    if answer.finish_reason != "stop" or answer.tool_calls or not answer.text:
        return False
    return outcome.customer is not None or answer.customer.kind == "unnamed"
