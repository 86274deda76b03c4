"""The files of a project, from its templates and the active settings."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final

from tilores_core import DeployProject

PATHS: Final = {
    "Dockerfile": "Dockerfile",
    ".dockerignore": "dockerignore",
    "railway.json": "railway.json",
    "Procfile": "Procfile",
    "deploy/compose.yaml": "compose.yaml",
    "deploy/nginx.conf": "nginx.conf",
    "deploy/systemd/tilores@.service": "tilores@.service",
    "deploy/systemd/tilores-worker.service": "tilores-worker.service",
    "deploy/kubernetes/tilores.yaml": "kubernetes.yaml",
}
"""Path in the project's folder -> name of the template."""

_MORE_SECONDS: Final = 5
_GIVEN: Final = frozenset(("TILORES_HOST", "TILORES_LOG_FORMAT", "TILORES_CONFIG", "REDIS_URL", "DATABASE_URL"))
_ALWAYS: Final = ("postgres", "redis")

_FROM_SOURCE: Final = """\
COPY requirements requirements
RUN /opt/tilores/bin/pip install -r requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY tilores_core tilores_core
COPY plugins plugins
RUN /opt/tilores/bin/pip install -c requirements/dev.txt ".[@EXTRAS@]"\
"""

_FROM_INDEX: Final = """\
COPY requirements.txt ./
RUN /opt/tilores/bin/pip install -r requirements.txt\
"""


def render(project: DeployProject) -> dict[str, str]:
    """Path in the project's folder -> text. The same settings give the same texts, without the value of a secret."""
    is_source = (project.folder / "tilores_core").is_dir() and (project.folder / "pyproject.toml").is_file()
    monitored = (project.folder / "deploy/grafana/tilores.json").is_file()
    extras = ",".join(sorted({*project.extras, *_ALWAYS}))
    has_config = project.config.resolve().parent == project.folder.resolve()
    values = {  # in this order: what is filled in may hold others
        "SERVICE": _template("service").rstrip("\n"),
        "PYTHON": project.python,
        "HEALTH": project.health_path,
        "GRACE": str(project.draining_seconds + _MORE_SECONDS),
        "POD_GRACE": str(project.draining_seconds + 2 * _MORE_SECONDS),  # the hook before the end counts as well
        "INSTALL": (_FROM_SOURCE if is_source else _FROM_INDEX).replace("@EXTRAS@", extras),
        "CONFIG": f"COPY {project.config.name} ./\n" if has_config else "",
        "ENVIRONMENT": _environment(project),
        "MONITORING": _template("monitoring.yaml").rstrip("\n") + "\n" if monitored else "",
        "VOLUMES": "  prometheus: {}\n  grafana: {}" if monitored else "",
    }
    found = {path: _fill(_template(name), values) for path, name in PATHS.items()}
    if not is_source:
        found["requirements.txt"] = f"tilores-core[{extras}]=={version('tilores-core')}\n"
    return found


def _environment(project: DeployProject) -> str:
    """The variables that plugins need, each from that of the machine which runs the stack."""
    lines = []
    for name, variable in sorted(project.variables.items()):
        if name not in _GIVEN:
            needs = "?needed by " + " and ".join(variable.needed_by) if variable.required else "-"
            lines.append(f"    {name}: ${{{name}:{needs}}}")
    return "\n".join(lines)


def _template(name: str) -> str:
    return (package_files("tilores_plugins.deploy.files") / "templates" / name).read_text(encoding="utf-8")


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.rstrip("\n") + "\n"


def differing(folder: Path, texts: dict[str, str]) -> list[str]:
    """Paths of files that are there with another text."""
    return [
        path
        for path, text in texts.items()
        if (folder / path).is_file() and (folder / path).read_text(encoding="utf-8", errors="replace") != text
    ]
