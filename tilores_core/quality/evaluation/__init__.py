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

from tilores_core.quality.evaluation.budget import Budget as Budget, Estimate as Estimate
from tilores_core.quality.evaluation.compare import Comparison as Comparison, compare as compare
from tilores_core.quality.evaluation.evaluator import Evaluation as Evaluation, Evaluator as Evaluator
from tilores_core.quality.evaluation.plan import EvaluationPlan as EvaluationPlan
from tilores_core.quality.evaluation.request import default_models as default_models
from tilores_core.quality.evaluation.results import (
    AnswerResult as AnswerResult,
    Cell as Cell,
    ScoreTable as ScoreTable,
    score_table as score_table,
)
