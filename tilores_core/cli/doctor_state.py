"""What the doctor finds about durable state: which database, does it open, is its schema ours, is it shared?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tilores_core.cli.finding import Finding

if TYPE_CHECKING:
    from tilores_core.settings import Environment
    from tilores_core.store.address import Address

PART: Final = "state"
_ONE_FOR_ALL: Final = "set DATABASE_URL to one PostgreSQL for all of them"
_LOCAL: Final = frozenset({"", "localhost", "127.0.0.1", "::1"})


async def state(environment: Environment, variables: Mapping[str, str]) -> list[Finding]:
    """Nothing is made and nothing migrated. Raises `ConfigError`, `StoreError`, which are problems."""
    from tilores_core.store.address import store_address
    from tilores_core.store.store import HEAD, stored_revision

    address = store_address(environment.database_url, environment.data_dir)
    revision = await stored_revision(address)
    if revision is None:
        detail = f"{address.shown}: nothing there yet, it is made when it is first needed"
    elif revision != HEAD:
        detail = f"{address.shown}: revision {revision}, it becomes {HEAD} at the next start"
    else:
        detail = f"{address.shown}: revision {revision}"
    return [Finding(part=PART, state="ok", detail=detail), *_unshared(address, variables)]


def _unshared(address: Address, variables: Mapping[str, str]) -> list[Finding]:
    """A file is one machine's. Two things tell that there are others: Railway says so, or Redis is elsewhere."""
    if address.kind != "sqlite":
        return []
    if variables.get("RAILWAY_REPLICA_ID") and not _on_volume(address.path, variables):
        detail = (
            "on Railway each replica has files of its own, and they end with the deployment; so does this database"
        )
        fix = f"{_ONE_FOR_ALL}, or keep TILORES_DATA_DIR on a volume (a service with one has one replica)"
        return [Finding(part=PART, state="warning", detail=detail, fix=fix)]
    if _is_elsewhere(variables.get("REDIS_URL", "")):
        detail = (
            "REDIS_URL is shared with other machines, and this database is not: several servers would each have one"
        )
        fix = f"{_ONE_FOR_ALL}; with one server nothing is wrong"
        return [Finding(part=PART, state="warning", detail=detail, fix=fix)]
    return []


def _on_volume(path: Path, variables: Mapping[str, str]) -> bool:
    volume = variables.get("RAILWAY_VOLUME_MOUNT_PATH")
    return bool(volume) and path.absolute().is_relative_to(str(volume))


def _is_elsewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"redis", "rediss"} and (parts.hostname or "") not in _LOCAL
    except ValueError:
        return False  # the tier's own finding says what is wrong with it
