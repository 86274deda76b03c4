"""Files to deploy with: Dockerfile, compose.yaml, railway.json, Procfile, systemd units, a Kubernetes manifest."""

from __future__ import annotations

from tilores_core import DeployTargetSpec, SupportsFiles, hookimpl


@hookimpl
def register_deploy_targets() -> list[DeployTargetSpec]:
    return [
        DeployTargetSpec(
            name="files",
            factory="tilores_plugins.deploy.files.target:build",
            abilities=(SupportsFiles,),
            summary="Writes the files that other ways of deploying need",
        )
    ]
