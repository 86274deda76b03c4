"""Transaction history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import (
    COUNTRIES,
    MERCHANTS,
    SUBSCRIPTIONS,
    Facts,
    add_months,
    days_ago,
    digits,
)
from tilores_plugins.sources.demo.people import AS_OF, Person

_SHARES = {"groceries": 18, "housing": 34, "transport": 11, "dining": 9, "travel": 8, "other": 20}
_CHANNELS = ("card", "online", "contactless", "direct debit")


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    income = known["annual_income"]
    return {
        "currency": COUNTRIES[person.place.country]["currency"],
        **_accounts(dice, income, known),
        **_latest(dice, income),
        **_due(dice, income, known),
        **_spending(dice, income),
        **_counts(dice),
        **_costs(dice),
        **_trouble(dice),
    }


def _accounts(dice: Dice, income: float, known: Facts) -> Facts:
    current = dice.amount(-150 if known["overdraft_limit"] else 5, income / 7)
    savings = dice.amount(0, income * 0.8)
    card = round(known["credit_used_total"] * dice.between(60, 100) / 100, 2)
    return {
        "account_number_last4": digits(dice, 4),
        "current_account_balance": current,
        "savings_account_balance": savings,
        "total_balance": round(current + savings, 2),
        "available_balance": round(current + known["overdraft_limit"], 2),
        "credit_card_balance": card,
        "credit_card_last4": digits(dice, 4),
        "credit_card_expires_on": add_months(AS_OF, dice.between(2, 50)).isoformat(),
        "debit_card_last4": digits(dice, 4),
    }


def _latest(dice: Dice, income: float) -> Facts:
    days = sorted(dice.some(range(24), 5))
    recent: list[dict[str, Any]] = []
    for day in days:
        category = dice.pick(tuple(MERCHANTS))
        merchant = dice.pick(MERCHANTS[category])
        amount = dice.amount(3, 240)
        recent.append(
            {"date": days_ago(day).isoformat(), "merchant": merchant, "category": category, "amount": amount}
        )
    last = recent[0]
    return {
        "recent_transactions": recent,
        "last_transaction_on": last["date"],
        "last_transaction_amount": last["amount"],
        "last_transaction_merchant": last["merchant"],
        "last_transaction_category": last["category"],
        "last_transaction_channel": dice.pick(_CHANNELS),
        "last_deposit_on": days_ago(dice.between(1, 30)).isoformat(),
        "last_deposit_amount": dice.amount(50, income / 12),
        "last_withdrawal_on": days_ago(dice.between(1, 60)).isoformat(),
        "last_withdrawal_amount": float(dice.pick((20, 40, 50, 60, 100, 200))),
        "top_merchants": dice.some([name for names in MERCHANTS.values() for name in names], 3),
    }


def _due(dice: Dice, income: float, known: Facts) -> Facts:
    paid = days_ago(dice.between(2, 27))
    due = AS_OF + timedelta(days=dice.between(1, 28))
    card = known["credit_used_total"]
    regular = known.get("mortgage_monthly_payment") or known.get("personal_loan_monthly_payment")
    payment = regular or round(max(25.0, card * 0.05), 2)
    salaried = known["employment_status"] in {"employed", "self-employed", "retired"}
    return {
        "last_payment_date": paid.isoformat(),
        "last_payment_amount": payment,
        "next_payment_due_on": due.isoformat(),
        "next_payment_amount": payment,
        "days_to_next_payment": (due - AS_OF).days,
        "minimum_payment_due": round(max(25.0, card * 0.03), 2),
        "salary_amount": round(income / 12 * 0.74, 2) if salaried else None,
        "salary_day": dice.pick((1, 15, 25, 28)) if salaried else None,
        "statement_balance": round(card * 0.95, 2),
        "statement_closing_on": days_ago(dice.between(2, 28)).isoformat(),
        "autopay_enabled": dice.chance(0.6),
        "direct_debits_active": dice.between(1, 12),
        "standing_orders_active": dice.between(0, 5),
    }


def _spending(dice: Dice, income: float) -> Facts:
    parts = {
        f"spending_{name}_monthly": round(income / 12 * 0.55 * share / 100 * dice.between(70, 130) / 100, 2)
        for name, share in _SHARES.items()
    }
    total = round(sum(parts.values()), 2)
    month_before = round(total * dice.between(82, 118) / 100, 2)
    last_month = round(total * dice.between(82, 118) / 100, 2)
    return parts | {
        "monthly_spending": total,
        "spending_last_month": last_month,
        "spending_month_before": month_before,
        "largest_transaction_amount_12m": dice.amount(total * 0.5, total * 2.5),
        "largest_transaction_merchant_12m": dice.pick((*MERCHANTS["travel"], *MERCHANTS["other"])),
        "average_transaction_amount": round(total / dice.between(25, 70), 2),
    }


def _counts(dice: Dice) -> Facts:
    month = dice.between(8, 75)
    quarter = month + dice.between(16, 150)
    online = dice.between(1, month // 2)
    return {
        "transactions_30d": month,
        "transactions_90d": quarter,
        "transactions_12m": quarter + dice.between(60, 620),
        "card_transactions_30d": month - dice.between(0, month - online),
        "online_transactions_30d": online,
        "cash_withdrawals_30d": dice.between(0, 6),
        "foreign_transactions_12m": (abroad := dice.pick((0, 0, 0, 3, 8, 14, 25))),
        "foreign_spending_12m": round(abroad * dice.amount(12, 90), 2),
        "recurring_payments": (recurring := dice.between(1, 6)),
        "subscriptions": dice.some(SUBSCRIPTIONS, recurring),
    }


def _costs(dice: Dice) -> Facts:
    atm = dice.amount(0, 30)
    return {
        "atm_fees_12m": atm,
        "fees_charged_12m": round(atm + dice.amount(0, 90), 2),
        "interest_earned_12m": dice.amount(0, 420),
        "interest_paid_12m": dice.amount(0, 950),
        "overdraft_uses_12m": dice.pick((0, 0, 0, 1, 2, 5)),
        "refunds_12m": dice.amount(0, 260),
        "cashback_earned_12m": dice.amount(0, 180),
    }


def _trouble(dice: Dice) -> Facts:
    disputes = 1 if dice.chance(0.08) else 0
    return {
        "declined_transactions_90d": dice.pick((0, 0, 0, 0, 1, 2)),
        "disputed_transactions": disputes,
        "open_dispute_id": f"DSP-{digits(dice, 6)}" if disputes else None,
        "open_dispute_amount": dice.amount(12, 480) if disputes else None,
        "fraud_alerts_12m": dice.pick((0, 0, 0, 0, 0, 1, 2)),
    }
