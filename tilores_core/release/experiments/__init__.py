"""Prompt versions compared on live traffic, and guarded roll-outs.

plan.py        what is compared, on which traffic, and what it needs
assignment.py  which arm a turn belongs to; what a web process has seen of the arms, as sums
analysis.py    what the sums say, always valid
tester.py      ProductionABTester: starts, looks, decides
"""

from tilores_core.release.experiments.analysis import Verdict as Verdict
from tilores_core.release.experiments.assignment import (
    Assignment as Assignment,
    ExperimentRecorder as ExperimentRecorder,
)
from tilores_core.release.experiments.plan import (
    ROLLOUT_STEPS as ROLLOUT_STEPS,
    ExperimentPlan as ExperimentPlan,
)
from tilores_core.release.experiments.tester import ProductionABTester as ProductionABTester
