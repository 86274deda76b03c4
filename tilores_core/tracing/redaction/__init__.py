"""Texts without what is the customer's: masks that need no records, and the values of the records in play."""

from tilores_core.tracing.redaction.masking import Redactor
from tilores_core.tracing.redaction.values import Values, is_trivial, values_of

__all__ = ["Redactor", "Values", "is_trivial", "values_of"]
