"""All that follows from a catalogue and the settings, worked out once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tilores_core import FieldInfo, Identifiers, SourceSchema
from tilores_core.spectrums import spectrum_of_field
from tilores_plugins.sources.tilores.catalogue import Catalogue, Leaf, leaf_paths
from tilores_plugins.sources.tilores.queries import Documents
from tilores_plugins.sources.tilores.reading import Reading
from tilores_plugins.sources.tilores.roles import Roles, decide, map_parameters
from tilores_plugins.sources.tilores.search_parameters import SearchParameters
from tilores_plugins.sources.tilores.selection import choose, render
from tilores_plugins.sources.tilores.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    catalogue: Catalogue
    documents: Documents
    asking: SearchParameters
    reading: Reading
    schema: SourceSchema

    def unread(self, who: Identifiers) -> list[set[str]]:
        """The parameters that search by an identifier, for each that no field of a record shows.

        A search by several parameters finds who has one of them, so that only a search by these alone proves it.
        """
        roles, mapping = self.reading.roles, self.asking.mapping
        kinds = (
            (who.email, roles.emails, ("email",)),
            (who.phone, roles.phones, ("phone",)),
            (who.date_of_birth, roles.born, ("date_of_birth",)),
            (who.name, roles.names, ("name", "first_name", "last_name")),
        )
        found = [
            {mapping[one] for one in ours if one in mapping} for given, shown, ours in kinds if given and not shown
        ]
        return [one for one in found if one]


def make_plan(catalogue: Catalogue, settings: Settings) -> Plan:
    """Raises `ConfigError` when the settings name what the instance does not have."""
    roles = decide(catalogue, settings)
    leaves = choose(catalogue, settings, roles)
    selection = render(leaves)
    paths = leaf_paths(leaves)
    agreeing = _agreeing(paths, roles, settings.insight_fields if settings.insights else 0)
    return Plan(
        catalogue=catalogue,
        documents=Documents(catalogue, selection, agreeing, roles.record_id),
        asking=SearchParameters.of(catalogue, map_parameters(catalogue, settings), settings),
        reading=Reading(roles.within(paths), frozenset(paths), agreeing, settings),
        schema=_schema(catalogue, paths, selection),
    )


def _agreeing(paths: dict[str, Leaf], roles: Roles, most: int) -> tuple[str, ...]:
    """Fields whose values should agree: what identifies a customer, then the rest, but no lists and no times."""
    outside = {roles.record_id, roles.system, roles.updated}
    plain = [
        path for path, leaf in paths.items() if not leaf.is_list and leaf.scalar != "Time" and leaf.type != "object"
    ]
    first = [path for path in roles.identifying() if path in plain]
    return tuple(dict.fromkeys(path for path in (*first, *plain) if path not in outside))[:most]


def _schema(catalogue: Catalogue, paths: dict[str, Leaf], selection: str) -> SourceSchema:
    fields = tuple(
        FieldInfo(
            name=path,
            type="array" if leaf.is_list else leaf.type,
            spectrum=spectrum_of_field(path),
            description=_description(leaf),
        )
        for path, leaf in paths.items()
    )
    return SourceSchema(fields=fields, hash=hashlib.sha256(f"{catalogue.hash}\n{selection}".encode()).hexdigest())


def _description(leaf: Leaf) -> str:
    choices = f"one of {', '.join(leaf.choices)}" if leaf.choices else ""
    return "; ".join(part for part in (leaf.description, choices) if part)
