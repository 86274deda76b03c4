"""`[plugins.otel]` in plugins.toml."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_TRACES: Final = "/v1/traces"


class Settings(BaseModel):
    """Where the collector is, and what all spans have in common. The variables are OpenTelemetry's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: str = Field(
        "http://localhost:4318",
        max_length=500,
        description="the collector's address for OTLP over HTTP; /v1/traces is added",
    )
    traces_endpoint: str = Field(
        "", max_length=500, description="the whole address for traces, used instead of endpoint and as it is"
    )
    headers: SecretStr = Field(
        SecretStr(""), description="headers of each request, `name=value,other=value`, values percent-encoded"
    )
    service_name: str = Field("tilores-core", min_length=1, max_length=200, description="service.name of all spans")
    resource_attributes: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="further attributes of the resource, by name"
    )
    compression: Literal["none", "gzip"] = Field("none", description="how requests are compressed")
    certificate: str = Field(
        "", max_length=1000, description="PEM file of the authorities to trust; default: the usual ones"
    )
    timeout_seconds: float = Field(
        8.0, gt=0, le=60, description="longest time for one batch, its retries and waiting included"
    )
    max_bytes: int = Field(
        4_000_000,
        ge=10_000,
        le=20_000_000,
        description="largest request before compression; a trace beyond it is sent without its texts",
    )

    @property
    def address(self) -> str:
        """Where traces go."""
        return self.traces_endpoint or self.endpoint.rstrip("/") + _TRACES

    @property
    def header_pairs(self) -> dict[str, str]:
        """The headers, secret values included."""
        return _pairs(self.headers.get_secret_value())

    @field_validator("endpoint", "traces_endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.strip()
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if value and (not usable or not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError("write an address that begins with http:// or https://")
        if parts.username or parts.password:
            raise ValueError("write no user or password into it; use headers")
        return value

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: SecretStr) -> SecretStr:
        for name, text in _pairs(value.get_secret_value()).items():
            if not _NAME.fullmatch(name) or not text.isascii() or not text.isprintable():
                raise ValueError("write headers as name=value,other=value, special characters percent-encoded")
        return value

    @field_validator("resource_attributes", mode="before")
    @classmethod
    def _from_variable(cls, value: Any) -> Any:
        """OTEL_RESOURCE_ATTRIBUTES is one text."""
        return _pairs(value) if isinstance(value, str) else value


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b=x%20y` as a mapping. Raises `ValueError` that quotes nothing of it."""
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("write name=value, several separated by commas")
        pairs[unquote(name.strip())] = unquote(value.strip())
    return pairs
