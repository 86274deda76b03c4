"""The environment variables of the host itself; `.env` is read, the process's own environment wins.

Variables of plugins (provider keys, REDIS_URL, …) are not here: plugins.toml or a plugin's spec refers to them.
Each name is in `.env.template`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tilores_core.errors import ConfigError
from tilores_core.settings.data_folder import default_data_folder
from tilores_core.settings.process import ENV_FILE


class Environment(BaseSettings):
    """One field per variable; the alias is the variable's name."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        env_file_encoding="utf-8",
    )

    port: int = Field(8000, alias="PORT", ge=0, le=65535, description="port to serve on")
    host: str = Field("127.0.0.1", alias="TILORES_HOST", description="address to listen on")
    workers: int = Field(1, alias="TILORES_WORKERS", ge=1, le=64, description="worker processes")
    config: Path | None = Field(
        None,
        alias="TILORES_CONFIG",
        description="plugins.toml; default ./plugins.toml, then the packaged one",
    )
    data_dir: Path = Field(
        default_factory=default_data_folder,
        alias="TILORES_DATA_DIR",
        description="where files are kept; default the platform's user data folder",
    )
    api_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        alias="TILORES_API_KEYS",
        description="chat keys: name:secret, comma-separated; default: one is generated into the data folder, "
        "except for the demo source",
    )
    admin_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        alias="TILORES_ADMIN_KEYS",
        description="admin keys: name:secret, comma-separated; default: one is generated into the data folder",
    )
    allow_anonymous: bool = Field(
        False,
        alias="TILORES_ALLOW_ANONYMOUS",
        description="true: serve chat without keys, whatever the source and the address",
    )
    secret_key: SecretStr | None = Field(
        None,
        alias="TILORES_SECRET_KEY",
        description="signs pickled entries of plugins' cache namespaces; without it nothing is pickled or unpickled",
    )
    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="durable state: postgresql://… or sqlite:///…; default a SQLite file in the data folder",
    )
    deployment: str = Field(
        "",
        alias="TILORES_DEPLOYMENT",
        max_length=200,
        description="name of this deployment, such as a tag or a commit, which tells two of one version apart; "
        "default RAILWAY_DEPLOYMENT_ID",
    )
    rate_limit: str | None = Field(
        None,
        alias="TILORES_RATE_LIMIT",
        description="requests per key, over all workers, e.g. 600/minute; default none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="TILORES_LOG_LEVEL", description="debug, info, warning or error"
    )
    log_format: Literal["console", "json"] = Field(
        "console", alias="TILORES_LOG_FORMAT", description="console or json"
    )

    @field_validator("api_keys", "admin_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        keys: dict[str, str] = {}
        for part in filter(None, (item.strip() for item in value.split(","))):
            name, colon, secret = part.partition(":")
            if not (colon and name and secret):
                raise ValueError("write each key as name:secret, separated by commas")
            if name in keys:
                raise ValueError(f"the name {name!r} is there twice")
            keys[name] = secret
        return keys

    @field_validator("rate_limit")
    @classmethod
    def _parse_rate_limit(cls, value: str | None) -> str | None:
        if value is not None:
            from limits import parse  # only a server with a limit pays for it

            try:
                parse(value)
            except ValueError:
                raise ValueError("write it like 600/minute or 10/second") from None
        return value


def load_environment(env_file: str | Path | None = ENV_FILE, **overrides: Any) -> Environment:
    """Read and validate the variables. `overrides` by field name (from the command line) take precedence;
    None overrides nothing.

    Raises `ConfigError` naming each wrong variable, never its value.
    """
    given: dict[str, Any] = {
        str(Environment.model_fields[name].alias): value for name, value in overrides.items() if value is not None
    }
    try:
        return Environment(_env_file=env_file, **given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_context=False)
        )
        raise ConfigError(
            problems, where="environment", fix="correct it; .env.template explains each variable"
        ) from None
