"""`[plugins.docker]` in plugins.toml, for both targets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    engine: str | None = Field(
        None, max_length=500, description="the program to call; default: docker, else podman, whichever is installed"
    )
    name: str = Field(
        "tilores",
        pattern="^[a-z0-9][a-z0-9_-]{0,62}$",
        description="name of the image and of what runs",
    )
    dockerfile: str = Field("Dockerfile", max_length=500, description="within the project's folder")
    compose_file: str = Field("deploy/compose.yaml", max_length=500, description="within that folder, for `compose`")
    address: str = Field(
        "127.0.0.1", max_length=100, description="address of this machine that the port is published on"
    )
    port: int = Field(8000, ge=1, le=65535, description="port of this machine that the server answers on")
    volume: str | None = Field(
        "tilores-data",
        max_length=500,
        description="volume or folder for the data folder of the container, for `docker`; empty: none",
    )
    network: str | None = Field(None, max_length=100, description="network of the container, for `docker`")
    keep: int = Field(5, ge=2, le=100, description="images kept, to go back to")
    build_seconds: float = Field(1200.0, gt=0, le=7200, description="longest time for building")
    call_seconds: float = Field(60.0, gt=0, le=600, description="longest time for one other call of the program")
