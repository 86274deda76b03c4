"""Evaluations: golden questions asked through the real chat engine, scored, as a table of models and spectrums.

plan        what is asked: models, questions, prompt, seed; its digest
roster      which models are compared when none are named
results     one answer's result; the table with its intervals
budget      calls and money that may be spent, and what a run is estimated to take
journal     finished calls, kept in the store before they count
request     what a person asks for, by names, as a plan
queue       what the worker process is asked for
shown, page, judge   text, JSON, JUnit; the HTML page; a second scorer
evaluator   `Evaluator`: asks, scores, keeps
compare     two runs on the same questions: paired tests and a verdict
"""

from tilores_core.quality.evaluation.budget import Budget, Estimate
from tilores_core.quality.evaluation.compare import Comparison, compare
from tilores_core.quality.evaluation.evaluator import Evaluation, Evaluator
from tilores_core.quality.evaluation.plan import EvaluationPlan
from tilores_core.quality.evaluation.results import AnswerResult, Cell, ScoreTable, score_table
from tilores_core.quality.evaluation.roster import default_models

__all__ = [
    "AnswerResult",
    "Budget",
    "Cell",
    "Comparison",
    "Estimate",
    "Evaluation",
    "EvaluationPlan",
    "Evaluator",
    "ScoreTable",
    "compare",
    "default_models",
    "score_table",
]
