"""Entity relationships."""

from __future__ import annotations

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts.common import AGENTS, Facts, days_ago, digits, stranger
from tilores_plugins.sources.demo.people import Person

_MANAGERS = ("Rosalind Achebe", "Viktor Hale", "Pauline Desrosiers", "Tobias Lenz", "Meera Anand")
_COMPANIES = ("Bluebird Joinery", "Copperfield Catering", "Saltmarsh Design", "Juniper Logistics", "Lanternworks")


def facts(dice: Dice, person: Person, known: Facts) -> Facts:
    return {
        **_household(dice, person, known),
        **_trusted_people(dice, person),
        **_business(dice),
        **_bank(dice, person),
        **_resolution(dice, person),
        "network_risk_flag": dice.chance(0.01),
        "sanctions_match": False,
    }


def _household(dice: Dice, person: Person, known: Facts) -> Facts:
    married = known["marital_status"] == "married"
    children = known["dependants"]
    spouse = stranger(dice, person.last_name) if married else None
    second_income = round(known["annual_income"] * dice.between(30, 110) / 100, -2) if married else 0.0
    joint = dice.between(0, 2) if married else 0
    kin = spouse or stranger(dice, person.last_name)
    return {
        "household_id": f"HH-{digits(dice, 6)}",
        "household_size": 1 + married + children,
        "household_role": "joint head" if married else "head",
        "household_income": known["annual_income"] + second_income,
        "spouse_name": spouse,
        "children_count": children,
        "next_of_kin_name": kin,
        "next_of_kin_relationship": "spouse" if spouse else dice.pick(("parent", "sibling", "child")),
        "emergency_contact_name": kin,
        "emergency_contact_phone": f"(202) 555-01{digits(dice, 2)}",
        "joint_accounts": joint,
        "joint_account_holder": spouse if joint else None,
        "authorised_users": [spouse] if spouse else None,
        "beneficiary_name": kin,
        "beneficiary_share": float(dice.pick((50, 100, 100))),
    }


def _trusted_people(dice: Dice, person: Person) -> Facts:
    return {
        "power_of_attorney_name": stranger(dice, person.last_name),
        "guarantor_name": stranger(dice),
        "guaranteed_loans": dice.pick((0, 0, 0, 0, 1)),
        "trust_name": f"{person.last_name} Family Trust",
        "referred_by": stranger(dice),
        "referrals_made": dice.pick((0, 0, 0, 1, 2, 4)),
    }


def _business(dice: Dice) -> Facts:
    if not dice.chance(0.2):
        return {"business_accounts": 0, "directorships": 0}
    company = dice.pick(_COMPANIES)
    share = float(dice.pick((25, 50, 60, 100)))
    return {
        "company_name": company,
        "company_role": dice.pick(("managing director", "partner", "owner")),
        "company_registration_number": f"CO-{digits(dice, 7)}",
        "company_ownership_share": share,
        "beneficial_owner_of": [company],
        "business_accounts": dice.between(1, 2),
        "directorships": 1,
    }


def _bank(dice: Dice, person: Person) -> Facts:
    related = [stranger(dice, person.last_name) for _ in range(dice.between(0, 2))]
    return {
        "relationship_manager": dice.pick(_MANAGERS),
        "relationship_manager_branch": f"{person.place.city} Central",
        "adviser_name": dice.pick(AGENTS),
        "related_customers": related,
        "related_customers_count": len(related),
        "shared_address_customers": 0,
        "shared_phone_customers": 0,
        "linked_accounts": dice.between(1, 5),
        "linked_devices": dice.between(1, 4),
    }


def _resolution(dice: Dice, person: Person) -> Facts:
    systems = [sighting.system for sighting in person.sightings]
    return {
        "linked_emails": len({sighting.email for sighting in person.sightings}),
        "linked_phones": len({sighting.phone for sighting in person.sightings}),
        "source_systems": systems,
        "source_system_count": len(systems),
        "record_count": len(systems),
        "entity_match_confidence": dice.between(880, 999) / 10,
        "entity_merged_on": days_ago(dice.between(1, 200)).isoformat(),
        "duplicate_records_found": dice.pick((0, 0, 1, 2)),
    }
