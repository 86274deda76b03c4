"""What every table has in common: the metadata, the database's clock, times, and insert-or-update.

Times are whole milliseconds since 1970 in UTC, the same in every database, so that rows can be compared and carried
over as they are. Durations of leases are measured by the database's clock, never by a host's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, MetaData, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.functions import FunctionElement

from tilores_core.errors import UnstorableTextError

PREFIX: Final = "tilores_"
"""Every table's name begins with it: the database may hold other programs' tables as well."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_TYPES: Final = {bool: Boolean, int: BigInteger, float: Float, str: Text, datetime: BigInteger}


def make_table(
    name: str, kind: type, *more: SchemaItem, key: Collection[str] = ("id",), without: Collection[str] = ()
) -> Table:
    """The table of a dataclass: a column for each field, which `repository.read_row` reads back, and `more`.

    The type of a column follows from that of the field, if `Annotated` does not say it: `Annotated[str, String(64)]`.
    A field `created` with a time is a column `created_ms`; lists and mappings are JSON. `key`: the fields of the
    primary key; `without`: fields that have no column.
    """
    columns = [
        _make_column(field, hint, is_key=field in key)
        for field, hint in get_type_hints(kind, include_extras=True).items()
        if field not in without
    ]
    return Table(PREFIX + name, metadata, *columns, *more)


def _make_column(field: str, hint: Any, *, is_key: bool) -> Column[Any]:
    hint, *given = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    kinds = get_args(hint) if NoneType in get_args(hint) else (hint,)
    stored = given or [_TYPES.get(kinds[0], JSON)]
    name = f"{field}_ms" if kinds[0] is datetime else field
    return Column(name, *stored, primary_key=is_key, autoincrement=False, nullable=NoneType in kinds)


class now_ms(FunctionElement[int]):
    """The database's time in milliseconds, at the moment the row is looked at (not when the transaction began)."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(element: now_ms, compiler: Any, **_: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(element: now_ms, compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def fitting(column: Column[str], value: str) -> str:
    """Return `value`, when it fits: SQLite would take any, PostgreSQL not. Raises `UnstorableTextError`."""
    longest = getattr(column.type, "length", None)
    if "\0" in value or (longest is not None and len(value) > longest):
        name = f"{column.table.name.removeprefix(PREFIX)}.{column.name}"
        raise UnstorableTextError(
            f"{name} is longer than {longest} characters, or has a zero byte", fix="use a shorter text"
        )
    return value


def fit_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row, when all of its texts fit. Raises `UnstorableTextError` naming it."""
    for name, value in row.items():
        if isinstance(value, str):
            fitting(table.c[name], value)
    return dict(row)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def instant(value: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value)


async def upsert(
    connection: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    replace: Iterable[str] = (),
    add: Iterable[str] = (),
) -> None:
    """Insert the rows. Where the key is there, `replace` these columns, and add to the numbers of the columns `add`;
    all others stay as they are. Raises `StoreError` for a text that does not fit."""
    statement = insert(connection, table)
    new = statement.excluded
    if values := {name: new[name] for name in replace} | {name: table.c[name] + new[name] for name in add}:
        statement = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=values)
    else:
        statement = statement.on_conflict_do_nothing()
    await connection.execute(statement, [fit_row(table, row) for row in rows])


def insert(connection: AsyncConnection, table: Table) -> postgresql.Insert:
    """INSERT … ON CONFLICT, which both databases spell alike and SQLAlchemy keeps in two dialects."""
    if connection.dialect.name == "sqlite":
        # The methods used here have the same names and meanings in both.
        return cast(postgresql.Insert, sqlite.insert(table))
    return postgresql.insert(table)
