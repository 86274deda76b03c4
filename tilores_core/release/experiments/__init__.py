"""Prompt versions compared on live traffic, and guarded roll-outs.

plan.py        what is compared, on which traffic, and what it needs
assignment.py  which arm a turn belongs to: pure, no I/O
recorder.py    what a web process has seen, as sums
analysis.py    what the sums say, always valid
tester.py      ProductionABTester: starts, looks, decides
"""

from tilores_core.release.experiments.analysis import Verdict
from tilores_core.release.experiments.assignment import Assignment
from tilores_core.release.experiments.plan import ROLLOUT_STEPS, ExperimentPlan, ExperimentRequirements, Guardrails
from tilores_core.release.experiments.recorder import ExperimentRecorder
from tilores_core.release.experiments.tester import ProductionABTester

__all__ = [
    "ROLLOUT_STEPS",
    "Assignment",
    "ExperimentPlan",
    "ExperimentRecorder",
    "ExperimentRequirements",
    "Guardrails",
    "ProductionABTester",
    "Verdict",
]
