"""Evaluations: golden questions asked through the real chat engine, scored, as a table of models and spectrums.

plan        what is asked: models, questions, prompt, seed; what may be spent; what a person asks for by names
results     one answer's result; the table with its intervals; two runs on the same questions compared
asking      one question to one model; a second scorer
evaluator   `Evaluator`: asks, scores, keeps each finished call before it counts
queue       what the worker process is asked for
report      text, JSON, JUnit; the HTML page
"""

from tilores_core.quality.evaluation.evaluator import Evaluation as Evaluation, Evaluator as Evaluator
from tilores_core.quality.evaluation.plan import (
    Budget as Budget,
    Estimate as Estimate,
    EvaluationPlan as EvaluationPlan,
    default_models as default_models,
)
from tilores_core.quality.evaluation.results import (
    AnswerResult as AnswerResult,
    Comparison as Comparison,
    compare as compare,
    score_table as score_table,
)
