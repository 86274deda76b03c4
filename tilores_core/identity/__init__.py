"""What identifies a customer, in one spelling: e-mail addresses, phone numbers, dates, names.

Pure functions, used where customers are indexed and where identifiers are read from a question, so that both
agree on what is equal. phonenumbers and idna are imported by the first text that needs them.
"""

from tilores_core.identity.contact import normalise_email as normalise_email, normalise_phone as normalise_phone
from tilores_core.identity.dates import (
    DateOrder as DateOrder,
    Locale as Locale,
    NumericDate as NumericDate,
    parse_date as parse_date,
    read_date as read_date,
)
from tilores_core.identity.mentions import find_mentions as find_mentions
from tilores_core.identity.names import (
    best_name as best_name,
    name_fits as name_fits,
    name_keys as name_keys,
    name_words as name_words,
    normalise_name as normalise_name,
    query_keys as query_keys,
)
