"""Customer profile."""

from __future__ import annotations

from datetime import date, timedelta

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import COUNTRIES, Facts, days_ago, digits, whole_years_since
from tilores_plugins.sources.demo.people import AS_OF, Person

_JOBS = (
    ("nurse", "health care", "Riverside Clinic", 52_000),
    ("software developer", "information technology", "Brightforge Software", 94_000),
    ("teacher", "education", "Elm Hill School", 48_000),
    ("accountant", "finance", "Ledgerwise Partners", 66_000),
    ("architect", "construction", "Northlight Studio", 78_000),
    ("bus driver", "transport", "City Transit", 39_000),
    ("chef", "hospitality", "The Copper Kettle", 41_000),
    ("electrician", "construction", "Sparrow Electrics", 50_000),
    ("marketing manager", "media", "Tidewater Media", 82_000),
    ("shop assistant", "retail", "Greenleaf Market", 29_000),
    ("research scientist", "science", "Halden Institute", 88_000),
    ("lawyer", "law", "Quill & Partners", 110_000),
)
_BANDS = ((30_000, "under 30,000"), (60_000, "30,000 to 60,000"), (100_000, "60,000 to 100,000"))
_TIERS = ((45_000, "Standard"), (70_000, "Silver"), (100_000, "Gold"))


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    age = whole_years_since(person.born)
    return {
        **_identity(dice, person, age),
        **_work(dice, person, age),
        **_contact(dice, person),
        **_standing(dice),
    } | {"customer_id": person.id}


def _identity(dice: Dice, person: Person, age: int) -> Facts:
    country = COUNTRIES[person.place.country]
    marital = (
        dice.pick_weighted({"single": 40, "married": 42, "divorced": 12, "widowed": 6}) if age >= 22 else "single"
    )
    second = {"English": "Spanish"}.get(country["language"], "English")
    document_ends = AS_OF + timedelta(days=dice.between(40, 3200))
    return {
        "title": "Ms" if person.female else "Mr",
        "middle_name": person.middle_name,
        "preferred_name": person.nickname or person.first_name,
        "maiden_name": "Farrow" if person.female and marital != "single" else None,
        "date_of_birth": person.born.isoformat(),
        "age": age,
        "gender": "female" if person.female else "male",
        "pronouns": "she/her" if person.female else "he/him",
        "nationality": country["nationality"],
        "place_of_birth": dice.pick((person.place.city, person.old_place.city)),
        "preferred_language": country["language"],
        "secondary_language": second,
        "marital_status": marital,
        "dependants": int(dice.pick_weighted({"0": 55, "1": 18, "2": 19, "3": 8})) if age >= 25 else 0,
        "education_level": dice.pick(("secondary school", "apprenticeship", "bachelor", "master", "doctorate")),
        "tax_residency": country["name"],
        "identity_document_type": country["identity_document"],
        "identity_document_last4": digits(dice, 4),
        "identity_document_expires_on": document_ends.isoformat(),
        "politically_exposed": dice.chance(0.01),
    } | _vulnerability(dice, age)


def _vulnerability(dice: Dice, age: int) -> Facts:
    vulnerable = dice.chance(0.12 if age > 70 else 0.03)
    needs = dice.pick(("speak slowly", "large print", "hearing loop", "written confirmation"))
    return {"vulnerable_customer_flag": vulnerable, "accessibility_needs": needs if vulnerable else None}


def _work(dice: Dice, person: Person, age: int) -> Facts:
    occupation, industry, employer, typical = dice.pick(_JOBS)
    status = "employed"
    if age >= 67:
        status, employer, typical = "retired", "", typical // 2
    elif age < 24 and dice.chance(0.5):
        status, occupation, industry, employer, typical = "student", "student", "education", "", 9_000
    elif dice.chance(0.12):
        status, employer = "self-employed", ""
    income = float(int(typical * dice.between(80, 140) / 100 / 100) * 100)
    started = dice.day(person.born + timedelta(days=20 * 366), days_ago(60))
    return {
        "occupation": occupation,
        "employer": employer or None,
        "employment_status": status,
        "employment_since": started.isoformat() if status in {"employed", "self-employed"} else None,
        "industry": industry,
        "annual_income": income,
        "income_band": next((band for limit, band in _BANDS if income < limit), "over 100,000"),
        "customer_tier": next((tier for limit, tier in _TIERS if income < limit), "Platinum"),
        "customer_segment": "student" if status == "student" else "private" if income >= 90_000 else "retail",
    }


def _contact(dice: Dice, person: Person) -> Facts:
    local = person.email.partition("@")[0]
    return {
        "secondary_email": f"{local}.private@example.net",
        "email_verified": dice.chance(0.9),
        "mobile_phone": person.phone,
        "work_phone": None,
        "phone_verified": dice.chance(0.85),
        "preferred_contact_channel": dice.pick(("phone", "e-mail", "chat", "post")),
        "preferred_contact_time": dice.pick(("morning", "midday", "afternoon", "evening")),
        "do_not_call": dice.chance(0.2),
        "marketing_consent_email": dice.chance(0.6),
        "marketing_consent_sms": dice.chance(0.35),
        "marketing_consent_post": dice.chance(0.3),
        "online_username": f"{local.replace('.', '')}{person.born:%d}",
        "paperless_statements": dice.chance(0.7),
    }


def _standing(dice: Dice) -> Facts:
    reviewed: date = days_ago(dice.between(30, 900))
    return {
        "kyc_status": dice.pick_weighted({"verified": 92, "review due": 6, "incomplete": 2}),
        "kyc_reviewed_on": reviewed.isoformat(),
        "customer_status": dice.pick_weighted({"active": 98, "closing": 2}),
        "loyalty_points": dice.between(0, 25_000),
        "net_promoter_score": dice.between(2, 10),
    }
