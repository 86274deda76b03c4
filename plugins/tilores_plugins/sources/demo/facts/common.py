"""What the spectrums' generators share: countries, invented people and shops, spans of time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.people import AS_OF, read_data

Facts = dict[str, Any]

COUNTRIES: dict[str, dict[str, Any]] = read_data("places.toml")["country"]

MERCHANTS = {
    "groceries": ("Greenleaf Market", "Corner Pantry", "Harvest Basket"),
    "dining": ("The Copper Kettle", "Noodle Harbour", "Café Solaire"),
    "transport": ("City Transit", "Fuel & Go", "BlueCab"),
    "housing": ("Homestead Lettings", "BrightPower Energy", "Clearwater Utilities"),
    "travel": ("Skyward Air", "Seaside Hotels", "RailBird"),
    "other": ("Paper Moon Books", "Gadget Barn", "Thread & Needle", "Corner Pharmacy"),
}
SUBSCRIPTIONS = ("StreamNest", "Tuneful", "Daily Ledger", "FitLoop", "CloudCrate", "Puzzle Club")
AGENTS = ("Nadia R.", "Marcus T.", "Ivy L.", "Owen P.", "Selma K.", "Jonas B.", "Tara W.", "Pavel S.")
_GIVEN = ("Alex", "Robin", "Sam", "Chris", "Dana", "Noel", "Toni", "Kim", "Jo", "Marlen", "Luca", "Sasha")
_FAMILY = ("Alder", "Birch", "Calloway", "Denholm", "Ellery", "Farrow", "Garland", "Hollis", "Ingram", "Marlow")


def days_ago(days: int) -> date:
    return AS_OF - timedelta(days=days)


def whole_years_since(day: date) -> int:
    """As in an age."""
    return AS_OF.year - day.year - ((AS_OF.month, AS_OF.day) < (day.month, day.day))


def years_since(day: date) -> float:
    return round((AS_OF - day).days / 365.25, 1)


def digits(dice: Dice, count: int) -> str:
    return dice.fill("#" * count)


def stranger(dice: Dice, family: str | None = None) -> str:
    """The name of a person who is not a customer."""
    return f"{dice.pick(_GIVEN)} {family or dice.pick(_FAMILY)}"


def trend(now: float, before: float) -> str:
    """rising, falling or steady: two percent either way is steady."""
    if now > before * 1.02:
        return "rising"
    return "falling" if now < before * 0.98 else "steady"


def add_months(day: date, months: int) -> date:
    """The same day of a later month, the 28th at most."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, 28))
