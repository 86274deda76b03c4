"""The spectrums: what kinds of question there are, and which of them a question or a field belongs to.

The seven are data, in spectrums.toml beside this file; files of the operator's add to them.
"""

from tilores_core.spectrums.classify import GENERAL
from tilores_core.spectrums.current import (
    SpectrumSet,
    classify,
    current_spectrums,
    spectrum_of_field,
    use_spectrums,
)
from tilores_core.spectrums.model import SPECTRUMS, Spectrum, read_spectrums

__all__ = [
    "GENERAL",
    "SPECTRUMS",
    "Spectrum",
    "SpectrumSet",
    "classify",
    "current_spectrums",
    "read_spectrums",
    "spectrum_of_field",
    "use_spectrums",
]
