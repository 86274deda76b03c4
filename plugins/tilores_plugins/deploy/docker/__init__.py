"""Docker or Podman on this machine: one container (`docker`), or a stack of a compose file (`compose`)."""

from __future__ import annotations

from tilores_core import DeployTargetSpec, hookimpl

_SETTINGS = "tilores_plugins.deploy.docker.settings:Settings"


@hookimpl
def register_deploy_targets() -> list[DeployTargetSpec]:
    return [
        DeployTargetSpec(
            name="docker",
            factory="tilores_plugins.deploy.docker.container:build",
            settings=_SETTINGS,
            summary="One container, with Docker or Podman",
        ),
        DeployTargetSpec(
            name="compose",
            factory="tilores_plugins.deploy.docker.stack:build",
            settings=_SETTINGS,
            summary="A stack of services, with docker compose or podman compose",
        ),
    ]
