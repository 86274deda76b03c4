"""INSERT … ON CONFLICT, which both databases spell alike and SQLAlchemy keeps in two dialects."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert(connection: AsyncConnection, table: Table) -> postgresql.Insert:
    if connection.dialect.name == "sqlite":
        # The methods used here have the same names and meanings in both.
        return cast(postgresql.Insert, sqlite.insert(table))
    return postgresql.insert(table)
