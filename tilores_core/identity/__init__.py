"""What identifies a customer, in one spelling: e-mail addresses, phone numbers, dates, names.

Pure functions, used where customers are indexed and where identifiers are read from a question, so that both
agree on what is equal. phonenumbers and idna are imported by the first text that needs them.
"""

from tilores_core.identity.contact import normalise_email, normalise_phone
from tilores_core.identity.dates import MONTH_FIRST, Locale, parse_date
from tilores_core.identity.mentions import find_mentions
from tilores_core.identity.names import best_name, name_fits, name_keys, name_words, normalise_name, query_keys

__all__ = [
    "MONTH_FIRST",
    "Locale",
    "best_name",
    "find_mentions",
    "name_fits",
    "name_keys",
    "name_words",
    "normalise_email",
    "normalise_name",
    "normalise_phone",
    "parse_date",
    "query_keys",
]
