"""Credit analysis."""

from __future__ import annotations

from datetime import date

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import Facts, add_months, days_ago, years_since
from tilores_plugins.sources.demo.people import AS_OF, Person

_BANDS = ((580, "poor"), (670, "fair"), (740, "good"), (800, "very good"), (851, "exceptional"))
_BUREAUS = ("Meridian Credit Bureau", "Northstar Credit Data", "Unity Score")


def band(score: int) -> str:
    return next(name for limit, name in _BANDS if score < limit)


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    income = known["annual_income"]
    score = max(400, min(845, 560 + int(income / 1000) + dice.between(-90, 190)))
    return {
        **_score(dice, score),
        **(cards := _limits(dice, income, score)),
        **(loans := _loans(dice, income, score)),
        **_totals(cards, loans, income),
        **_accounts(dice, person, loans),
        **_payments(dice, score),
        **_risk(dice, score, income, loans),
    }


def _score(dice: Dice, score: int) -> Facts:
    previous = max(300, min(850, score - dice.between(-18, 22)))
    return {
        "credit_score": score,
        "credit_score_band": band(score),
        "credit_score_model": "FICO 8",
        "credit_bureau": dice.pick(_BUREAUS),
        "credit_score_previous": previous,
        "credit_score_change": score - previous,
        "credit_score_updated_on": days_ago(dice.between(3, 40)).isoformat(),
    }


def _limits(dice: Dice, income: float, score: int) -> Facts:
    limit = float(max(500, int(income * dice.between(12, 45) / 100 / 500) * 500))
    used = round(limit * dice.between(2, 95 if score < 640 else 45) / 100, 2)
    return {
        "credit_limit_total": limit,
        "credit_used_total": used,
        "credit_available": round(limit - used, 2),
        "credit_utilization": round(100 * used / limit, 1),
        "revolving_balance": used,
    }


def _loans(dice: Dice, income: float, score: int) -> Facts:
    loans: Facts = {
        "student_loan_balance": dice.amount(2_000, 38_000) if dice.chance(0.2) else None,
        "auto_loan_balance": dice.amount(1_500, 28_000) if dice.chance(0.3) else None,
        "mortgage_term_years": None,
    }
    if score > 620 and income > 35_000 and dice.chance(0.5):
        value = float(int(income * dice.between(35, 60) / 10 / 1000) * 1000)
        balance = round(value * dice.between(30, 85) / 100, 2)
        loans |= {
            "mortgage_balance": balance,
            "mortgage_rate": dice.between(290, 620) / 100,
            "mortgage_term_years": dice.pick((15, 20, 25, 30)),
            "collateral_value": value,
            "loan_to_value_ratio": round(100 * balance / value, 1),
        }
        loans["mortgage_monthly_payment"] = _instalment(balance, loans["mortgage_rate"], 20)
    if dice.chance(0.4):
        loans["personal_loan_balance"] = dice.amount(800, 18_000)
        loans["personal_loan_rate"] = dice.between(490, 1290) / 100
        loans["personal_loan_monthly_payment"] = _instalment(
            loans["personal_loan_balance"], loans["personal_loan_rate"], 4
        )
    return loans


def _instalment(balance: float, rate: float, years: int) -> float:
    """Level repayment and the first month's interest: near enough, and without the powers that differ by platform."""
    return round(balance / (12 * years) + balance * rate / 1200, 2)


_INSTALMENT_LOANS = ("mortgage_balance", "personal_loan_balance", "auto_loan_balance", "student_loan_balance")


def _totals(cards: Facts, loans: Facts, income: float) -> Facts:
    instalments = round(sum(loans.get(name) or 0.0 for name in _INSTALMENT_LOANS), 2)
    total = round(instalments + cards["credit_used_total"], 2)
    obligations = sum(loans.get(f"{kind}_monthly_payment") or 0.0 for kind in ("mortgage", "personal_loan"))
    return {
        "installment_balance": instalments,
        "total_debt": total,
        "debt_to_income_ratio": round(100 * total / income, 1),
        "disposable_income_monthly": round(income / 12 * 0.62 - obligations, 2),
    }


def _accounts(dice: Dice, person: Person, loans: Facts) -> Facts:
    oldest = dice.day(person.since, days_ago(150))
    age = years_since(oldest)
    open_loans = sum(1 for name in _INSTALMENT_LOANS if loans.get(name))
    hard = dice.pick_weighted({"0": 50, "1": 27, "2": 15, "4": 8})
    return {
        "open_credit_accounts": open_loans + dice.between(1, 4),
        "closed_credit_accounts": dice.between(0, 6),
        "oldest_credit_account_opened_on": oldest.isoformat(),
        "average_credit_account_age_years": round(age * dice.between(40, 90) / 100, 1),
        "hard_inquiries_12m": int(hard),
        "soft_inquiries_12m": dice.between(0, 9),
        "last_hard_inquiry_on": days_ago(dice.between(10, 360)).isoformat() if hard != "0" else None,
    }


def _payments(dice: Dice, score: int) -> Facts:
    worst = 6 if score < 600 else 2 if score < 700 else 1 if dice.chance(0.3) else 0
    late30 = dice.between(0, worst)
    late60 = dice.between(0, late30) if score < 680 else 0
    late90 = dice.between(0, late60) if score < 620 else 0
    rate = round(100 - late30 * 0.9 - late60 * 0.7 - late90 * 0.8, 1)
    return {
        "late_payments_30d": late30,
        "late_payments_60d": late60,
        "late_payments_90d": late90,
        "last_late_payment_on": days_ago(dice.between(60, 1400)).isoformat() if late30 else None,
        "on_time_payment_rate": rate,
        "payment_history_rating": "excellent" if rate >= 99 else "good" if rate >= 96 else "weak",
        "delinquent_accounts": min(late90, 2),
        "accounts_in_collections": int(late90 > 2),
        "bankruptcies": int(score < 500 and dice.chance(0.3)),
        "public_records": int(score < 520 and dice.chance(0.4)),
        "charge_offs": int(late90 > 1),
    }


def _risk(dice: Dice, score: int, income: float, loans: Facts) -> Facts:
    rating = "low" if score >= 720 else "medium" if score >= 620 else "high"
    ends: date | None = None
    if term := loans["mortgage_term_years"]:
        ends = add_months(AS_OF, 12 * dice.between(2, term))
    good = rating != "high"
    return {
        "risk_rating": rating,
        "internal_risk_score": max(0, min(100, (850 - score) // 5 + dice.between(-4, 4))),
        "probability_of_default": round(max(0.2, (850 - score) / 30 + dice.between(-5, 5) / 10), 1),
        "preapproved_loan_amount": float(int(income * 0.3 / 500) * 500) if rating == "low" else None,
        "preapproved_credit_limit": float(int(income * 0.2 / 500) * 500) if good else None,
        "credit_limit_increase_eligible": rating == "low",
        "overdraft_limit": float(dice.pick((250, 500, 1000, 2000))) if good else 0.0,
        "credit_watch_flag": rating == "high" and dice.chance(0.4),
        "affordability_rating": {"low": "comfortable", "medium": "tight", "high": "stretched"}[rating],
        "mortgage_ends_on": ends.isoformat() if ends else None,
    }
