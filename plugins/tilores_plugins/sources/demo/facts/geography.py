"""Geographic analysis."""

from __future__ import annotations

from datetime import timedelta

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import COUNTRIES, Facts, days_ago, years_since
from tilores_plugins.sources.demo.people import AS_OF, Person

_TRAVEL = ("Portugal", "Italy", "Japan", "Mexico", "Iceland", "Greece", "Morocco")


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    country = COUNTRIES[person.place.country]["name"]
    return {
        **_home(dice, person, country, known),
        **_before(person, country),
        **_branches(dice, person),
        **_travel(dice, person, country, known),
        **_area(dice, person),
    }


def _home(dice: Dice, person: Person, country: str, known: Facts) -> Facts:
    owner = known.get("collateral_value") is not None
    kind = dice.pick(("flat", "terraced house", "detached house"))
    return {
        "address_line_2": f"Floor {dice.between(1, 6)}" if kind == "flat" else None,
        "region": person.place.region,
        "country": country,
        "country_code": person.place.country,
        "latitude": person.place.lat,
        "longitude": person.place.lon,
        "timezone": person.place.timezone,
        "address_since": person.moved_in.isoformat(),
        "address_years": years_since(person.moved_in),
        "address_verified": dice.chance(0.85),
        "address_type": "flat" if kind == "flat" else "house",
        "residence_status": "owner" if owner else dice.pick(("tenant", "tenant", "with family")),
        "property_type": kind,
        "home_value_estimate": known.get("collateral_value"),
        "last_address_change_on": person.moved_in.isoformat(),
        "mailing_address_line_1": f"PO Box {dice.between(100, 9000)}",
        "mailing_city": person.place.city,
        "mailing_postcode": person.postcode,
    }


def _before(person: Person, country: str) -> Facts:
    recent = person.moved_in > AS_OF - timedelta(days=5 * 365)
    return {
        "previous_address_line_1": person.old_address,
        "previous_city": person.old_place.city,
        "previous_postcode": person.old_postcode,
        "previous_country": country,
        "previous_address_until": (person.moved_in - timedelta(days=1)).isoformat(),
        "moves_5y": int(recent),
    }


def _branches(dice: Dice, person: Person) -> Facts:
    branch = f"{person.place.city} {dice.pick(('Central', 'North', 'Harbour', 'Old Town'))}"
    visits = dice.between(0, 6)
    return {
        "home_branch": branch,
        "home_branch_distance_km": dice.between(3, 180) / 10,
        "nearest_atm_distance_km": dice.between(1, 60) / 10,
        "branch_visits_12m": visits,
        "last_branch_visit_on": days_ago(dice.between(3, 350)).isoformat() if visits else None,
        "last_branch_visited": branch if visits else None,
    }


def _travel(dice: Dice, person: Person, country: str, known: Facts) -> Facts:
    visited = dice.some(_TRAVEL, dice.between(1, 3)) if known["foreign_transactions_12m"] else []
    active = bool(visited) and dice.chance(0.2)
    abroad = dice.chance(0.04)
    return {
        "countries_visited_12m": visited,
        "travel_notice_active": active,
        "travel_notice_country": visited[0] if active else None,
        "travel_notice_until": (AS_OF + timedelta(days=dice.between(2, 30))).isoformat() if active else None,
        "last_transaction_city": person.place.city,
        "last_transaction_country": country,
        "top_spending_city": person.place.city,
        "last_login_city": "Lisbon" if abroad else person.place.city,
        "last_login_country": "Portugal" if abroad else country,
        "login_country_mismatch": abroad,
    }


def _area(dice: Dice, person: Person) -> Facts:
    return {
        "work_city": person.place.city,
        "work_postcode": dice.fill(person.place.postcode),
        "commute_km": dice.between(5, 420) / 10,
        "urbanicity": dice.pick(("urban", "urban", "suburban", "rural")),
        "area_median_income": float(dice.between(28, 96) * 1000),
        "flood_zone": dice.pick(("none", "low", "medium")),
        "sales_territory": f"{person.place.country}-{person.place.region}",
        "service_region": {"US": "Americas", "CA": "Americas", "AU": "Asia-Pacific"}.get(
            person.place.country, "Europe"
        ),
        "dialling_region": person.place.region,
    }
