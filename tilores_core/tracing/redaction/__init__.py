"""Texts without what is the customer's: masks that need no records, and the values of the records in play."""

from tilores_core.tracing.redaction.masking import Redactor as Redactor
from tilores_core.tracing.redaction.values import is_trivial as is_trivial, values_of as values_of
