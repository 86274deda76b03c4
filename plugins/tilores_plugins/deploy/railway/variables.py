"""Which variables a service on Railway should have, and which of them it has not."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from tilores_core import DeployProject
from tilores_plugins.deploy.railway.settings import Settings


def wanted_variables(project: DeployProject, settings: Settings) -> dict[str, str]:
    """What this machine has for the variables that are needed, and over it what the settings say.

    An address of this machine is left out.
    """
    here = {
        name: variable.value.get_secret_value()
        for name, variable in project.variables.items()
        if variable.value is not None and settings.send and not variable.is_local
    }
    return here | settings.variables


def changes(new: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """Those that are missing there or have another value. A reference there (`${{Redis.REDIS_URL}}`) stays.

    Values are compared without telling by time how much of them is right.
    """
    return {
        name: value
        for name, value in new.items()
        if name not in there
        or not (
            ("${{" in there[name] and "${{" not in value) or hmac.compare_digest(value.encode(), there[name].encode())
        )
    }
