"""What the server counts, as Prometheus reads it under `/metrics`.

Counting is adding to plain numbers in the process; everything else (names, labels, text, the sum over workers)
happens when `/metrics` is read. No label ever holds a customer's id, a key or anything that a caller chose.
"""

from __future__ import annotations

from tilores_core.metrics.catalogue import FAMILIES as FAMILIES
from tilores_core.metrics.family import Family as Family, Sample as Sample
from tilores_core.metrics.meter import Metrics as Metrics
