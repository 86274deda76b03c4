"""Temporal analysis."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import Facts, add_months, days_ago, trend, years_since
from tilores_plugins.sources.demo.people import AS_OF, Person

_MONTHS = ("March", "July", "August", "November", "December")
_PRODUCTS = ("savings plan", "credit card", "travel insurance", "personal loan", "investment account")


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    last_contact = max(filter(None, (known["last_call_on"], known.get("last_chat_on"))))
    return {
        **_tenure(dice, person),
        **(logins := _logins(dice, person)),
        **_contacts(dice, person, last_contact),
        **_changes(dice, person, known),
        **_upcoming(dice, known),
        **_trends(dice, known),
        **_stage(dice, person, known),
        "activity_timeline": _timeline(known, logins),
        "milestones": _milestones(person),
        "data_as_of": AS_OF.isoformat(),
    }


def _tenure(dice: Dice, person: Person) -> Facts:
    newest = dice.day(person.since, days_ago(30))
    this_year = person.since.replace(year=AS_OF.year, day=min(person.since.day, 28))
    anniversary = this_year if this_year > AS_OF else this_year.replace(year=AS_OF.year + 1)
    return {
        "customer_since": person.since.isoformat(),
        "tenure_years": years_since(person.since),
        "first_account_opened_on": person.since.isoformat(),
        "last_account_opened_on": newest.isoformat(),
        "last_product_purchased": dice.pick(_PRODUCTS),
        "last_product_purchase_on": newest.isoformat(),
        "products_opened_5y": dice.between(0, 5),
        "products_closed_5y": dice.between(0, 3),
        "anniversary_on": anniversary.isoformat(),
        "first_contact_on": person.since.isoformat(),
    }


def _logins(dice: Dice, person: Person) -> Facts:
    month = dice.between(1, 40)
    quarter = month + dice.between(0, 70)
    return {
        "last_login_on": days_ago(dice.between(0, 29)).isoformat(),
        "logins_30d": month,
        "logins_90d": quarter,
        "login_trend": trend(month * 3, quarter),
        "last_password_change_on": dice.day(person.since, AS_OF).isoformat(),
    }


def _contacts(dice: Dice, person: Person, last: str) -> Facts:
    return {
        "last_contact_on": last,
        "days_since_last_contact": (AS_OF - date.fromisoformat(last)).days,
        "average_days_between_contacts": dice.between(80, 1200) / 10,
        "last_profile_change_on": dice.day(person.since, AS_OF).isoformat(),
    }


def _changes(dice: Dice, person: Person, known: Facts) -> Facts:
    return {
        "peak_spending_month": dice.pick(_MONTHS),
        "most_active_weekday": dice.pick(("Monday", "Tuesday", "Thursday", "Friday", "Saturday")),
        "most_active_hour": dice.between(7, 22),
        "average_days_between_purchases": round(30 / known["transactions_30d"], 1),
        "longest_inactivity_days": dice.between(2, 60),
        "savings_dormant_since": days_ago(dice.between(400, 1500)).isoformat() if dice.chance(0.1) else None,
    }


def _upcoming(dice: Dice, known: Facts) -> Facts:
    card_ends = date.fromisoformat(known["credit_card_expires_on"])
    return {
        "next_review_on": (AS_OF + timedelta(days=dice.between(5, 360))).isoformat(),
        "next_appointment_on": (AS_OF + timedelta(days=dice.between(1, 45))).isoformat(),
        "next_appointment_topic": dice.pick(("mortgage review", "investment advice", "account opening")),
        "contract_renewal_on": (AS_OF + timedelta(days=dice.between(10, 700))).isoformat(),
        "card_renewal_on": max(card_ends - timedelta(days=30), AS_OF + timedelta(days=1)).isoformat(),
    }


def _trends(dice: Dice, known: Facts) -> Facts:
    balance, score = known["total_balance"], known["credit_score"]
    balances = [round(balance * dice.between(75, 115) / 100, 2) for _ in range(3)]
    scores = [max(300, min(850, score + dice.between(-25, 15))) for _ in range(3)]
    now, before = known["spending_last_month"], known["spending_month_before"]
    return {
        "balance_3m_ago": balances[0],
        "balance_6m_ago": balances[1],
        "balance_12m_ago": balances[2],
        "balance_trend": trend(balance, balances[2]),
        "credit_score_3m_ago": scores[0],
        "credit_score_6m_ago": scores[1],
        "credit_score_12m_ago": scores[2],
        "credit_score_trend": trend(score, scores[2]),
        "spending_change": round(100 * (now - before) / before, 1),
        "spending_trend": trend(now, before),
        "income_trend": dice.pick(("rising", "steady", "steady", "falling")),
    }


def _stage(dice: Dice, person: Person, known: Facts) -> Facts:
    years = years_since(person.since)
    stage = "new" if years < 1 else "growing" if years < 5 else "established"
    since = person.since if years < 1 else add_months(person.since, 12 if years < 5 else 60)
    engagement = min(100, known["transactions_30d"] + dice.between(5, 30))
    return {
        "lifecycle_stage": stage,
        "lifecycle_stage_since": since.isoformat(),
        "engagement_score": engagement,
        "engagement_trend": dice.pick(("rising", "steady", "falling")),
    }


def _timeline(known: Facts, logins: Facts) -> list[dict[str, Any]]:
    events = [
        (known["last_transaction_on"], "card payment"),
        (known["last_call_on"], "call"),
        (known["last_payment_date"], "payment"),
        (logins["last_login_on"], "log-in"),
    ]
    return [{"date": day, "event": event} for day, event in sorted(events, reverse=True)]


def _milestones(person: Person) -> list[dict[str, Any]]:
    events = [(person.since, "became a customer"), (person.moved_in, "moved to the present address")]
    return [{"date": day.isoformat(), "event": event} for day, event in sorted(events)]
