"""Scores of answers in [0, 1], by rule: the same answer always gets the same scores, and no model is asked.

question    golden questions and the facts that a right answer holds
records     a customer's records, indexed once for many answers
clauses     an answer taken apart: clauses, what they negate, hedge or call outdated
numbers     figures in a clause with their units, also in words
matching    whether a clause states a fact
abstaining  whether an answer says that the records do not hold something
wording     whether an answer is fit for the phone
scores      the five scores and their weighted mean
answer      `score_answer` for golden questions
live        `score_live` for answers whose facts are not known
"""

from tilores_core.quality.scoring.answer import AnswerReport, report_answer, score_answer
from tilores_core.quality.scoring.live import score_live
from tilores_core.quality.scoring.question import Fact, FactKind, ForbiddenReason, GoldenQuestion
from tilores_core.quality.scoring.records import IndexedRecords, index_records
from tilores_core.quality.scoring.scores import DEFAULT_WEIGHTS, SCORES, Scores, Weights

__all__ = [
    "DEFAULT_WEIGHTS",
    "SCORES",
    "AnswerReport",
    "Fact",
    "FactKind",
    "ForbiddenReason",
    "GoldenQuestion",
    "IndexedRecords",
    "Scores",
    "Weights",
    "index_records",
    "report_answer",
    "score_answer",
    "score_live",
]
