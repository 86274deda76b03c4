"""The seven spectrums: what kinds of question there are, and which of them a question or a field belongs to.

The spectrums themselves are data, in spectrums.toml beside this file; they are read once, at import.
"""

from tilores_core.spectrums.classify import GENERAL, classify
from tilores_core.spectrums.fields import spectrum_of_field
from tilores_core.spectrums.model import SPECTRUMS, Spectrum

__all__ = ["GENERAL", "SPECTRUMS", "Spectrum", "classify", "spectrum_of_field"]
