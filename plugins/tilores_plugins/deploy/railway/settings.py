"""`[plugins.railway]` in plugins.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tilores_core import DeployProject


class Settings(BaseModel):
    """A project token tells the project and the environment; with one service nothing more is needed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_url: str = Field(
        "https://backboard.railway.com",
        pattern=r"^https?://[^\s/?#]+$",
        max_length=500,
        description="Railway's address",
    )
    token: SecretStr | None = Field(None, description="a project token, by reference")
    account_token: bool = Field(
        False, description="true: the token is that of an account or a workspace, which may do far more than deploy"
    )
    project_id: str | None = Field(None, max_length=100, description="default: the project of the token")
    environment_id: str | None = Field(None, max_length=100, description="default: the environment of the token")
    service_id: str | None = Field(None, max_length=100, description="default: the only service of the project")
    source: Literal["connected", "upload"] = Field(
        "connected",
        description="connected: Railway builds from the repository or image that the service is connected to; "
        "upload: the files of the project are sent",
    )
    variables: dict[str, str] = Field(
        default_factory=dict,
        description="variables to set besides those that plugins need, such as Railway's references "
        "{ REDIS_URL = '${{Redis.REDIS_URL}}' }; no secrets here",
    )
    send: bool = Field(
        True, description="send the variables that plugins need and that have a value on this machine; false: none"
    )
    timeout_seconds: float = Field(30.0, gt=0, le=300, description="longest time for one call to Railway")
    deploy_seconds: float = Field(1200.0, gt=0, le=7200, description="longest time for building and starting")
    most_upload_bytes: int = Field(
        100_000_000, ge=1024, description="largest archive that is sent; more is a sign of files that do not belong"
    )

    def variables_for(self, project: DeployProject) -> dict[str, str]:
        """What this machine has for the variables that are needed, and over it `variables`.

        An address of this machine is left out.
        """
        here = {
            name: variable.value.get_secret_value()
            for name, variable in project.variables.items()
            if variable.value is not None and self.send and not variable.is_local
        }
        return here | self.variables
