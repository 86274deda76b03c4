"""Call centre operations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import AGENTS, Facts, days_ago, digits
from tilores_plugins.sources.demo.people import AS_OF, Person

_REASONS = {
    "card declined": ("Card was blocked after three wrong PINs; unblocked.", "resolved"),
    "address change": ("Reported a new address; documents requested.", "waiting for customer"),
    "fee question": ("Asked about a cash machine fee; explained and refunded.", "resolved"),
    "loan enquiry": ("Asked for the terms of a personal loan; offer sent.", "offer sent"),
    "online access": ("Could not log in; password reset together.", "resolved"),
    "statement copy": ("Asked for last year's statements; sent by e-mail.", "resolved"),
    "payment not received": ("A payment did not arrive; trace started.", "escalated"),
}
_SUBJECTS = ("missing payment", "wrong fee", "card replacement", "limit increase", "document upload fails")
_NOTES = (
    "Prefers short answers.",
    "Ask for the date of birth before discussing balances.",
    "Was promised a fee refund if it happens again.",
    "Interested in a savings plan; bring it up.",
    "Has trouble with the web portal on the phone.",
)
_COMMENTS = ("Friendly and quick.", "Took too long.", "Problem solved at once.", "Had to explain everything twice.")


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    return {
        **(calls := _calls(dice)),
        **(tickets := _tickets(dice)),
        **_complaints(dice, tickets),
        **_mood(dice, known),
        **_other_channels(dice),
        **_security(dice),
        "service_level_tier": {"Standard": "standard", "Silver": "standard", "Gold": "priority"}.get(
            known["customer_tier"], "premier"
        ),
        "agent_notes": dice.pick(_NOTES),
        "case_owner": dice.pick(AGENTS) if tickets["open_tickets"] else None,
        "interaction_history": _history(dice, calls),
    }


def _calls(dice: Dice) -> Facts:
    year = dice.between(1, 22)
    last = dice.between(0, 28) if (month := dice.between(0, min(4, year))) else dice.between(31, 300)
    reason = dice.pick(tuple(_REASONS))
    summary, outcome = _REASONS[reason]
    callback = outcome == "escalated" or dice.chance(0.08)
    return {
        "calls_30d": month,
        "calls_12m": year,
        "last_call_on": days_ago(last).isoformat(),
        "last_call_reason": reason,
        "last_call_agent": dice.pick(AGENTS),
        "last_call_duration_seconds": dice.between(70, 1500),
        "last_call_wait_seconds": dice.between(5, 420),
        "last_call_outcome": outcome,
        "last_call_sentiment": dice.pick(("positive", "neutral", "neutral", "negative")),
        "last_call_summary": summary,
        "average_call_duration_seconds": dice.between(150, 720),
        "average_wait_seconds": dice.between(20, 240),
        "calls_abandoned_12m": dice.between(0, min(3, year)),
        "calls_transferred_12m": dice.between(0, min(4, year)),
        "first_call_resolution_rate": float(dice.between(55, 100)),
        "callback_requested": callback,
        "callback_scheduled_on": (AS_OF + timedelta(days=dice.between(1, 5))).isoformat() if callback else None,
        "preferred_agent": dice.pick(AGENTS),
        "first_contact_on": None,
    }


def _tickets(dice: Dice) -> Facts:
    still_open = dice.pick((0, 0, 0, 1, 1, 2))
    resolved = dice.between(0, 7)
    found: Facts = {
        "open_tickets": still_open,
        "tickets_12m": still_open + resolved,
        "tickets_resolved_12m": resolved,
        "average_resolution_hours": dice.between(20, 900) / 10,
    }
    if still_open:
        found |= {
            "open_ticket_id": f"TCK-{digits(dice, 6)}",
            "open_ticket_subject": dice.pick(_SUBJECTS),
            "open_ticket_priority": dice.pick(("low", "normal", "high")),
            "open_ticket_opened_on": days_ago(dice.between(0, 25)).isoformat(),
        }
    return found


def _complaints(dice: Dice, tickets: Facts) -> Facts:
    count = min(dice.pick((0, 0, 0, 1, 1, 2)), tickets["tickets_12m"])
    escalations = dice.between(0, count)
    if not count:
        return {"complaints_12m": 0, "escalations_12m": 0}
    day = dice.between(5, 200)
    return {
        "complaints_12m": count,
        "last_complaint_on": days_ago(day).isoformat(),
        "last_complaint_subject": dice.pick(_SUBJECTS),
        "complaint_status": dice.pick(("closed", "closed", "in progress")),
        "escalations_12m": escalations,
        "last_escalation_on": days_ago(max(0, day - 3)).isoformat() if escalations else None,
    }


def _mood(dice: Dice, known: Facts) -> Facts:
    score = dice.between(18, 50) / 10
    risk = "low" if score >= 3.8 else "medium" if score >= 2.8 else "high"
    return {
        "customer_satisfaction_score": score,
        "churn_risk": risk,
        "retention_offer": "one year without account fees" if risk == "high" else None,
        "last_survey_on": days_ago(dice.between(10, 330)).isoformat(),
        "last_survey_score": max(1, min(5, int(score + 0.5))),
        "last_survey_comment": dice.pick(_COMMENTS),
    }


def _other_channels(dice: Dice) -> Facts:
    chats = dice.between(0, 9)
    return {
        "chat_sessions_12m": chats,
        "last_chat_on": days_ago(dice.between(1, 330)).isoformat() if chats else None,
        "email_contacts_12m": dice.between(0, 11),
        "ivr_self_service_rate": float(dice.between(0, 70)),
        "ivr_last_option": dice.pick(("balance", "cards", "loans", "speak to an agent")),
    }


def _security(dice: Dice) -> Facts:
    enrolled = dice.chance(0.3)
    return {
        "voice_authentication_enrolled": enrolled,
        "security_question_set": dice.chance(0.85),
        "authentication_failures_90d": dice.pick((0, 0, 0, 0, 1, 3)),
        "last_authentication_method": "voice" if enrolled else dice.pick(("security question", "PIN", "app")),
    }


def _history(dice: Dice, calls: Facts) -> list[dict[str, Any]]:
    newest = {"date": calls["last_call_on"], "channel": "phone", "reason": calls["last_call_reason"]}
    days = sorted(dice.some(range(301, 700), 3))
    older = [
        {
            "date": days_ago(day).isoformat(),
            "channel": dice.pick(("phone", "chat", "e-mail")),
            "reason": dice.pick(tuple(_REASONS)),
        }
        for day in days
    ]
    return [newest, *older]
