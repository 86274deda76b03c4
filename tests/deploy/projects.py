"""A project that can be deployed to Railway as it is, for tests that spoil one thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tilores_core import DeployProject, DeployVariable

RAILWAY_JSON: dict[str, Any] = {
    "$schema": "https://railway.com/railway.schema.json",
    "build": {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"},
    "deploy": {
        "startCommand": "sh -c 'exec tilores serve --host 0.0.0.0 --port ${PORT:-8080}'",
        "healthcheckPath": "/health/ready",
        "healthcheckTimeout": 120,
        "overlapSeconds": 20,
        "drainingSeconds": 35,
        "restartPolicyType": "ON_FAILURE",
    },
}

VALUES = {
    "TILORES_HOST": "0.0.0.0",  # in a container
    "TILORES_API_KEYS": "desk:key-of-the-desk",
    "TILORES_ADMIN_KEYS": "ops:key-of-operations",
    "OPENAI_API_KEY": "key-of-openai",
}


def sound_project(folder: Path) -> DeployProject:
    (folder / "Dockerfile").write_text("FROM python:3.11-slim\n")
    (folder / "requirements.txt").write_text("tilores-core[openai]\n")
    (folder / "plugins.toml").write_text("schema = 1\n")
    write_config(folder, RAILWAY_JSON)
    return DeployProject(
        folder=folder,
        config=folder / "plugins.toml",
        model="openai:gpt-4o-mini",
        uses_redis=True,
        variables={
            name: DeployVariable(name=name, needed_by=("this",), required=True, value=SecretStr(value))
            for name, value in VALUES.items()
        },
    )


def write_config(folder: Path, config: Any) -> None:
    (folder / "railway.json").write_text(json.dumps(config))
