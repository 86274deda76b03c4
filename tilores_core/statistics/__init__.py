"""Statistics in pure Python: no I/O, no dependency, nothing here knows of models or prompts.

For a planned number of values: `paired_t`, `welch_t`, `mcnemar_exact`, `two_proportions`, `wilson`, `newcombe`,
`sample_size`, `power`, `cohens_kappa`, `slope`, `change_point`, `probability_better`, `expected_loss`.
For looking again and again: `MeanSPRT`, `ConfidenceSequence`, `EmpiricalBernstein`, `FloorTest`, `RatioMismatchTest`.
Their work per value or look is constant, and `to_state` gives plain JSON from which `from_state` goes on. `Moments`
and `Cuped` hold what a stream has shown so far. Wrong arguments raise `ValueError`.
"""

from tilores_core.statistics.assignment import Cuped, RatioMismatchTest, adjust_arms
from tilores_core.statistics.bayes import expected_loss, probability_better
from tilores_core.statistics.comparisons import (
    Comparison,
    cohens_kappa,
    mcnemar_exact,
    newcombe,
    paired_t,
    power,
    sample_size,
    two_proportions,
    welch_t,
    wilson,
)
from tilores_core.statistics.floor import FloorTest
from tilores_core.statistics.moments import Moments
from tilores_core.statistics.sequential import ConfidenceSequence, EmpiricalBernstein, Look, MeanSPRT
from tilores_core.statistics.series import ChangePoint, Slope, change_point, slope

__all__ = [
    "ChangePoint",
    "Comparison",
    "ConfidenceSequence",
    "Cuped",
    "EmpiricalBernstein",
    "FloorTest",
    "Look",
    "MeanSPRT",
    "Moments",
    "RatioMismatchTest",
    "Slope",
    "adjust_arms",
    "change_point",
    "cohens_kappa",
    "expected_loss",
    "mcnemar_exact",
    "newcombe",
    "paired_t",
    "power",
    "probability_better",
    "sample_size",
    "slope",
    "two_proportions",
    "welch_t",
    "wilson",
]
