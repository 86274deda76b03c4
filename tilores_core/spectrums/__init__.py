"""The spectrums: what kinds of question there are, and which of them a question or a field belongs to.

The seven are data, in spectrums.toml beside this file; files of the operator's add to them.
"""

from tilores_core.spectrums.current import (
    GENERAL as GENERAL,
    SpectrumSet as SpectrumSet,
    classify as classify,
    current_spectrums as current_spectrums,
    spectrum_of_field as spectrum_of_field,
    use_spectrums as use_spectrums,
)
from tilores_core.spectrums.model import (
    SPECTRUMS as SPECTRUMS,
    Spectrum as Spectrum,
    read_spectrums as read_spectrums,
)
