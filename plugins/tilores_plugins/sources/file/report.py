"""Describes how the file was read: columns, counts and problems, without any of its values."""

from __future__ import annotations

from tilores_core import SourceReport
from tilores_plugins.sources.file.columns import Columns
from tilores_plugins.sources.file.customers import IdentifierCounts
from tilores_plugins.sources.file.index import Index
from tilores_plugins.sources.file.problems import Problems
from tilores_plugins.sources.file.profile import Column, Profile
from tilores_plugins.sources.file.settings import Settings


def describe(
    settings: Settings,
    columns: Columns,
    profile: Profile,
    index: Index,
    counts: IdentifierCounts,
    problems: Problems,
    warnings: list[str],
) -> SourceReport:
    """The report of the file as it was last read."""
    customers, crowded = index.customers(settings.max_records_per_customer)
    facts = _columns(columns, settings)
    facts += [f"{kind}: {read} read, {counts.unread.get(kind, 0)} not" for kind, read in counts.read.items()]
    warnings = [*warnings]
    for kind, number in counts.unread.items():
        lines = ", ".join(map(str, counts.first_unread[kind]))
        warnings.append(f"{number} {kind} could not be read ({settings.path}, lines {lines})")
    warnings += _describe_unused(profile, settings)
    if columns.updated and (updated := profile.dates[columns.updated]).unread:
        lines = ", ".join(map(str, updated.first_unread))
        warnings.append(
            f"{'.'.join(columns.updated)}: {updated.unread} time stamps could not be read (lines {lines}); "
            "those rows count as the oldest"
        )
    if crowded:
        warnings.append(
            f"{crowded} customers have more than {settings.max_records_per_customer} rows; their newest are used: "
            "raise max_records_per_customer in [plugins.file], or check that id_column names a customer"
        )
    if not customers:
        fix = "correct the rows above, or set the columns" if problems.count else "the file has none yet"
        warnings.append(f"no row is served, so no customer can be found: {fix}")
    return SourceReport(
        customers=customers,
        records=len(index),
        left_out=problems.count,
        problems=tuple(problems.first),
        facts=tuple(facts),
        warnings=tuple(warnings),
    )


def _columns(columns: Columns, settings: Settings) -> list[str]:
    name_of = ".".join
    roles = (
        ("customer id", [name_of(columns.id)]),
        ("record id", [name_of(columns.record_id)] if columns.record_id else []),
        ("name", ["+".join(map(name_of, name.parts)) for name in columns.names]),
        ("e-mail", [*map(name_of, columns.emails)]),
        ("phone", [*map(name_of, columns.phones)]),
        ("date of birth", [_describe_dates(columns, columns.born)] if columns.born else []),
        ("updated", [_describe_dates(columns, columns.updated)] if columns.updated else []),
        ("system", [name_of(columns.system)] if columns.system else []),
    )
    facts = [f"{role}: {', '.join(found)}" for role, found in roles if found]
    missing = [role for role, found in roles[2:6] if not found]
    if missing:
        facts.append(f"no column for: {', '.join(missing)}")
    facts.append(f"phone numbers without a country code are read as {settings.phone_region or 'US'}")
    return facts


def _describe_dates(columns: Columns, column: Column) -> str:
    order = {"day": "day before month", "month": "month before day", "unknown": "day and month mixed"}
    return f"{'.'.join(column)} ({order[columns.orders[column]]})"


def _describe_unused(profile: Profile, settings: Settings) -> list[str]:
    emails, phones = profile.find_unused_contacts()
    found = (("e-mail addresses", "email_columns", emails), ("phone numbers", "phone_columns", phones))
    return [
        f"the column {name!r} looks like {kind} and is not used as such: name it in {setting}, or leave it"
        for kind, setting, names in found
        if getattr(settings, setting) is None
        for name in names
    ]
