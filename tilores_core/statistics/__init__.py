"""Statistics in pure Python: no I/O, no dependency, nothing here knows of models or prompts.

For a planned number of values: `paired_t`, `mcnemar_exact`, `sample_size`, `cohens_kappa`, `slope`, `change_point`.
For looking again and again: `MeanSPRT`, `FloorTest`, `ratio_mismatch_p`.
Their work per value or look is constant. `Moments` hold what a stream has shown so far. Wrong arguments
raise `ValueError`.
"""

from tilores_core.statistics.comparisons import (
    ChangePoint as ChangePoint,
    Difference as Difference,
    Slope as Slope,
    change_point as change_point,
    cohens_kappa as cohens_kappa,
    mcnemar_exact as mcnemar_exact,
    paired_t as paired_t,
    sample_size as sample_size,
    slope as slope,
)
from tilores_core.statistics.moments import (
    Moments as Moments,
    adjust_arms as adjust_arms,
    average as average,
)
from tilores_core.statistics.sequential import (
    FloorTest as FloorTest,
    MeanSPRT as MeanSPRT,
    ratio_mismatch_p as ratio_mismatch_p,
)
