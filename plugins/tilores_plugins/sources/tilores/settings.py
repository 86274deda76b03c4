"""`[plugins.tilores]` in plugins.toml."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tilores_core import ConfigError, Locale

Identifier = Literal["customer_id", "email", "phone", "name", "first_name", "last_name", "date_of_birth"]

_WHERE = {
    "api_url": "TILORES_API_URL",
    "token_url": "TILORES_TOKEN_URL",
    "client_id": "TILORES_CLIENT_ID",
    "client_secret": "TILORES_CLIENT_SECRET",
}


class Settings(BaseModel):
    """Where the instance is, what its fields mean, and how much may be asked of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_url: str = Field("", description="the instance's GraphQL address, https://…, without a path")
    token_url: str = Field("", description="where access tokens are had, https://…/oauth2/token")
    client_id: str = Field("", description="id of the client that may read the instance")
    client_secret: SecretStr = Field(SecretStr(""), description="the client's secret")
    scope: str = Field(
        "tilores/query.search tilores/query.entity",
        description="scopes to ask for, separated by spaces; empty: all that the client has",
    )
    timeout_seconds: float = Field(
        2.5, gt=0, le=30, description="longest time one look-up may take, retries and the token included"
    )
    timeout_milliseconds: float | None = Field(
        None, gt=0, le=30_000, description="the same in milliseconds, used where timeout_seconds is not set"
    )
    soft_timeout_seconds: float = Field(
        1.2, gt=0, le=30, description="after this long a look-up does without what it could do without"
    )
    background_timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="as timeout_seconds, for batches, pre-warming and evaluations"
    )
    parameters: dict[Identifier, str] = Field(
        default_factory=dict,
        description="which search parameter each identifier goes into, with dots for nested ones; "
        "default: guessed from the names",
    )
    fixed_parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="search parameters that are always sent, as one tenant's name"
    )
    date_of_birth_format: str = Field(
        "%Y-%m-%d", min_length=1, max_length=40, description="how the instance writes a date of birth, as strftime"
    )
    include_fields: tuple[str, ...] = Field(
        (), description="fields of a record to read, `*` for anything; default: all within max_fields"
    )
    exclude_fields: tuple[str, ...] = Field((), description="fields of a record never to ask for, `*` for anything")
    max_fields: int = Field(400, ge=1, le=5_000, description="fields of a record read at most, outer ones first")
    max_depth: int = Field(4, ge=1, le=8, description="how deep objects inside a record are read")
    system_field: str | None = Field(None, description="field naming the system; default: source, system, …")
    updated_field: str | None = Field(None, description="field with the date of the record; default: a Time field")
    name_fields: tuple[str, ...] | None = Field(
        None, description="fields with names, parts joined with +, as in firstName+lastName; default: guessed"
    )
    email_fields: tuple[str, ...] | None = Field(None, description="fields with e-mail addresses; default: guessed")
    phone_fields: tuple[str, ...] | None = Field(None, description="fields with phone numbers; default: guessed")
    date_of_birth_field: str | None = Field(None, description="field with the date of birth; default: guessed")
    trait_fields: tuple[str, ...] | None = Field(
        None,
        description="fields that may be said aloud to tell namesakes apart, least revealing first; "
        "default: year of birth, city, customer since, beginning of the postcode",
    )
    phone_region: str | None = Field(
        None,
        pattern="^[A-Z]{2}$",
        description="region of phone numbers without a country code, in records and in questions; default: US",
    )
    day_first: bool | None = Field(None, description="true: 4/12/1980 is in December; default: by the region")
    page_size: int = Field(
        16, ge=1, le=64, description="entities asked for at once; the power of two at or above it is used"
    )
    insights: bool = Field(True, description="ask for consistency, hit score and how well the values agree")
    insight_fields: int = Field(24, ge=0, le=100, description="fields whose agreement is asked for, at most")
    max_in_flight: int = Field(32, ge=1, le=1_000, description="calls to the instance at one time")
    max_waiting: int = Field(512, ge=1, le=100_000, description="further calls that may wait for their turn")
    background_share: float = Field(
        0.25, gt=0, le=1, description="share of max_in_flight that work in the background may take"
    )
    schema_refresh_hours: float | None = Field(
        None,
        gt=0,
        le=168,
        description="how often the instance is asked for its schema again; default: [cache.schemas] ttl_seconds",
    )

    @property
    def locale(self) -> Locale:
        """How numbers and dates of the instance's records are read."""
        return Locale.of(self.phone_region, self.day_first)

    @property
    def hard_seconds(self) -> float:
        if self.timeout_milliseconds is not None and "timeout_seconds" not in self.model_fields_set:
            return self.timeout_milliseconds / 1000
        return self.timeout_seconds

    @property
    def page(self) -> int:
        return 1 << (self.page_size - 1).bit_length()

    @field_validator("api_url", "token_url")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.strip()
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("write an address that begins with https://")
        if parts.username or parts.password:
            raise ValueError("write no user or password into it; use client_id and client_secret")
        if value and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("use https://; http:// would send the secret readable, and is for this machine alone")
        return value

    def check_complete(self) -> None:
        """Raises `ConfigError` naming what is needed to call the instance and not set."""
        missing = [key for key in _WHERE if not getattr(self, key)]
        if missing:
            variables = ", ".join(_WHERE[key] for key in missing)
            raise ConfigError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set",
                where="[plugins.tilores]",
                fix=f"set {variables} in the environment or .env, or the keys in plugins.toml",
            )
