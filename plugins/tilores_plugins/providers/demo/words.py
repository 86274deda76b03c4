"""The words that the demo model knows: what to pass over, and what may stand for what."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final


def set_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Said in questions without naming anything that a record could hold.
PASSED_OVER: Final = set_of(
    """
    a about actually exact afternoon all also am an and any anything are as ask asked asking asks at be been before
    being bring but by bye caller calling can check cheers client could current currently customer customers data desk
    detail details did didn't do does doesn't doing don't done each ever every everything exactly file find for
    from get give given go going good got had has hasn't have having he hello help her here hers hey hi him his
    hold holding how i i'd i'm i've if in info information into is isn't it its just kindly know knows let let's
    like line look looking may maybe me mention mine more morning most my need needs never new now of off ok
    okay on one or our out over perhaps person please pull question quick quickly read really record records
    right s said say says see she show so some still sure system t tell than thank thanks that the their theirs
    them then there these they thing things this those to today told too under up us user using value very want
    wanted wants was we well were what whats whether which whom whose will with would yes yet you your
    """
)

# Verbs that questions are built with: beside another word they name nothing.
VERBS: Final = set_of(
    "belong belongs come comes did end ended go goes happen happened live lived lives made make makes own owned owns"
    " prefer prefers take takes took visit visits"
)

# Question words hint at a kind of field but are never what is missing.
HINTS: Final = {
    "when": ("date", "time", "at", "since", "day", "on"),
    "where": ("address", "city", "location", "place", "country"),
    "who": ("name", "agent", "manager", "owner"),
    "many": ("count", "number", "total"),
    "much": ("amount", "total", "balance", "value"),
    "long": ("duration", "tenure", "since", "year", "month", "minute", "second"),
    "why": ("reason", "cause"),
    "often": ("frequency", "count", "per"),
    "number": ("number", "count"),
}

PHRASES: Final = {
    "how old": "age",
    "date of birth": "birth",
    "day of birth": "birth",
    "post code": "postcode",
    "zip code": "zip",
    "e-mail": "email",
    "e mail": "email",
    "e-mail address": "email",
    "e mail address": "email",
    "email address": "email",
    "e-mail addresses": "email",
    "email addresses": "email",
    "mailing address": "address",
    "postal address": "address",
    "get in touch": "contact",
    "reach": "contact phone",
    "be called": "name",
    "is called": "name",
    "go by": "nickname",
    "live with": "household",
    "for a living": "occupation",
    "work for": "employer",
    "works for": "employer",
    "how big": "size",
    "last time": "last",
    "logged in": "login",
    "log in": "login",
    "going up": "trend",
    "going down": "trend",
    "last name": "surname",
    "family name": "surname",
    "given name": "forename",
    "first name": "forename",
    "sign up": "signup",
    "signed up": "signup",
    "past due": "overdue",
    "time zone": "timezone",
    "opt in": "optin",
    "opted in": "optin",
    "opted out": "optout",
    "opt out": "optout",
    "most recent": "last",
}

# Word of a question -> words of a field's name that may stand for it, nearest first.
_SYNONYMS: Final = {
    "age": "age birth dob",
    "birth": "birth dob birthday birthdate",
    "birthday": "birth dob birthdate",
    "born": "birth dob birthdate",
    "email": "email mail",
    "mail": "mail email",
    "telephone": "phone tel",
    "phone": "phone telephone tel mobile",
    "cell": "mobile cell phone",
    "cellphone": "mobile cell phone",
    "mobile": "mobile cell",
    "contact": "contact phone email",
    "live": "address city residence",
    "living": "address city residence",
    "reside": "address city residence",
    "home": "home address",
    "address": "address street",
    "town": "city town",
    "postcode": "postcode postal zip",
    "zip": "zip postcode postal",
    "surname": "surname last family",
    "forename": "forename first given",
    "nickname": "nickname alias preferred",
    "citizen": "nationality citizenship",
    "earn": "income salary earning",
    "earning": "earning income salary",
    "salary": "salary income",
    "wage": "wage salary income",
    "income": "income salary",
    "work": "employer employment occupation job",
    "employer": "employer company",
    "employed": "employment employer",
    "job": "job occupation profession employment",
    "profession": "profession occupation job",
    "occupation": "occupation profession job",
    "owe": "outstanding debt balance owed",
    "debt": "debt outstanding balance",
    "outstanding": "outstanding balance",
    "spend": "spend spent spending",
    "spent": "spent spend spending",
    "buy": "purchase order",
    "bought": "purchase order",
    "purchase": "purchase order",
    "order": "order purchase",
    "pay": "payment paid pay",
    "paid": "payment paid",
    "bill": "bill invoice billing",
    "invoice": "invoice bill",
    "overdue": "overdue arrear late delinquent due",
    "late": "late overdue",
    "missed": "missed late",
    "rating": "rating score",
    "married": "marital married",
    "spouse": "spouse partner",
    "husband": "spouse partner husband",
    "wife": "spouse partner wife",
    "kid": "child children dependent",
    "child": "child children dependent",
    "children": "children child dependent",
    "family": "family household",
    "join": "since joined signup registered",
    "joined": "joined since signup registered",
    "signup": "signup since joined registered created",
    "registered": "registered signup since created",
    "cancel": "cancellation cancelled churn",
    "leave": "churn cancellation",
    "leaving": "churn cancellation",
    "complain": "complaint",
    "complained": "complaint",
    "complaint": "complaint",
    "ticket": "ticket case",
    "case": "case ticket",
    "issue": "issue ticket case problem",
    "problem": "problem issue ticket case",
    "shop": "merchant shop shopping",
    "agree": "consent agreed",
    "agreed": "consent agreed",
    "rising": "trend rising",
    "falling": "trend falling",
    "improving": "trend improving",
    "happy": "satisfaction csat nps",
    "satisfied": "satisfaction csat nps",
    "satisfaction": "satisfaction csat nps",
    "speak": "language",
    "spoke": "contact agent call",
    "called": "call contact",
    "call": "call contact",
    "rang": "call contact",
    "vip": "vip tier segment",
    "tier": "tier level",
    "level": "level tier",
    "plan": "plan tariff subscription contract",
    "tariff": "tariff plan",
    "subscription": "subscription plan",
    "contract": "contract plan agreement",
    "gender": "gender sex",
    "sex": "sex gender",
    "latest": "last latest recent",
    "last": "last latest",
    "first": "first 1",
    "recent": "recent last latest",
    "newest": "last latest",
    "upcoming": "next upcoming",
    "finance": "finance financial credit payment income",
    "financial": "financial finance credit payment income",
    "money": "balance financial payment income",
    "returned": "return refund",
    "refund": "refund return",
    "bankrupt": "bankruptcy insolvency",
    "insolvent": "insolvency bankruptcy",
    "default": "default defaulted",
    "related": "related relationship relation linked",
    "relative": "related relationship relation family",
    "linked": "linked related relationship",
    "relationship": "relationship relation related linked",
    "geography": "geographic geographical location address",
    "geographic": "geographic location address",
    "located": "location address city",
    "location": "location address city",
    "region": "region area state county",
    "state": "state region province",
    "county": "county region",
    "month": "month m",
    "day": "day d",
    "year": "year y",
    "time": "time timezone",
    "newsletter": "newsletter marketing",
    "consent": "consent optin marketing",
}
SYNONYM_WEIGHT: Final = 0.85

# Words of a name that a question may well leave out: they count for less, and "customer" for nothing.
_LIGHT: Final = set_of("amount at count date d m number of on per percent pct to total y")
_LIGHT_WEIGHT: Final = 0.4

# Asked for by one word, kept in several fields.
ADDRESS: Final = (
    "street",
    "address_line_1",
    "address_line_2",
    "city",
    "town",
    "region",
    "state",
    "county",
    "postcode",
    "postal_code",
    "zip",
    "zip_code",
    "country",
)
_FOR_ADDRESS: Final = set_of("address home live living lives reside where")

_WORDS = re.compile(r"[^\W\d_]+(?:'(?!s\b)[^\W\d_]+)?|\d+")  # "Ann's 30d" -> Ann, s, 30, d
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_PHRASE = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(PHRASES, key=len, reverse=True))) + r")\b")


def stem(word: str) -> str:
    """A plural as its singular, roughly: the same treatment for questions and names is what counts."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=4096)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a field's or a topic's name: `lastPayment_date` -> last, payment, date."""
    found = dict.fromkeys(stem(part.lower()) for part in _PARTS.findall(name))
    if len(found) > 1:
        found.pop("customer", None)
    return tuple(found)


@lru_cache(maxsize=4096)
def name_weight(words: tuple[str, ...]) -> float:
    """How much a question has to say to name a field fully."""
    return sum(_LIGHT_WEIGHT if word in _LIGHT or word.isdigit() else 1.0 for word in words) or 1.0


def asks_for_address(words: list[str]) -> bool:
    return bool(words) and _FOR_ADDRESS.issuperset(words)


def question_words(text: str) -> list[str]:
    """The words of a question in lower case, set phrases replaced by the one word that means them."""
    return _WORDS.findall(_PHRASE.sub(lambda match: PHRASES[match[0]], text))


@lru_cache(maxsize=4096)
def meanings(word: str) -> tuple[tuple[str, float], ...]:
    """A question's word as words of names, each with how well it fits (1 is the word itself)."""
    own = stem(word)
    others = _SYNONYMS.get(word) or _SYNONYMS.get(own) or ""
    return ((own, 1.0), *((other, SYNONYM_WEIGHT) for other in map(stem, others.split()) if other != own))
