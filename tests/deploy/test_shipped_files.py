"""What ships to deploy with: as `tilores deploy files` writes it, well-formed, and naming only what exists."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.cli.command import Command
from tests.web.test_behind_nginx import NGINX
from tilores_core import DeployProject
from tilores_core.cli.command import app
from tilores_core.deploy import make_project
from tilores_core.services import load_host
from tilores_core.settings import load_config, load_environment
from tilores_plugins.deploy.files.render import PATHS, render
from tilores_plugins.deploy.railway import config_file

ROOT = Path(__file__).parents[2]
OTHERS = {"POSTGRES_PASSWORD", "METRICS_KEY", "TILORES_TAG"}
"""Variables of compose.yaml that are not the program's."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DeployProject:
    """This checkout, as it comes: without variables of the machine that tests it."""
    environment = load_environment(env_file=None, data_dir=tmp_path_factory.mktemp("data"))
    host = load_host(environment, loaded=load_config(ROOT / "plugins.toml"))
    return make_project(host, environment, {}, ROOT)


def test_files_of_this_checkout_are_as_the_command_writes_them(project: DeployProject) -> None:
    texts = render(project)
    assert set(texts) == set(PATHS)
    assert {path: (ROOT / path).read_text() for path in texts} == texts


def test_command_writes_files_and_does_not_replace_changed_ones(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Procfile").write_text("web: mine\n")
    tilores = Command(tmp_path)
    assert tilores.run("deploy", "files", str(folder)).returncode != 0
    assert [path.name for path in folder.iterdir()] == ["Procfile"]
    assert set(tilores.json("deploy", "files", str(folder), "--force")) == {*PATHS, "requirements.txt"}
    assert "tilores-core[" in (folder / "requirements.txt").read_text()


def test_dockerfile_has_two_stages_no_root_a_health_check_and_only_paths_that_exist() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    words = [
        shlex.split(line) if not line.startswith(("RUN", "HEALTHCHECK", "CMD")) else [line.split()[0]]
        for line in lines
    ]
    assert [one[0] for one in words].count("FROM") == 2
    assert all(re.search(r":\d", one[1]) for one in words if one[0] == "FROM"), "an image without a version"
    last = lines[max(i for i, one in enumerate(words) if one[0] == "FROM") :]
    assert any(line.startswith("USER 1") for line in last)
    assert any(line.startswith("HEALTHCHECK") for line in last)
    assert not any(name in line for line in last for name in ("apt-get", "gcc", "pip install"))
    copied = [source for one in words if one[0] == "COPY" and "--from=build" not in one for source in one[1:-1]]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    for name in re.findall(r"-[rc] (\S+)", text):
        assert (ROOT / name).is_file()
    assert json.loads(next(line for line in last if line.startswith("CMD"))[4:]) == ["tilores", "serve"]


def test_compose_file_names_files_services_and_variables_that_exist() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text()
    compose = yaml.safe_load(text)
    services = compose["services"]
    assert set(services) == {"proxy", "web-1", "web-2", "worker", "redis", "postgres", "prometheus", "grafana"}
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / "deploy" / source).exists(), source
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.template").read_text(), re.MULTILINE)) | OTHERS
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) <= known
    assert set(services["web-1"]["environment"]) <= known
    assert "secret" not in str(services["web-1"]["environment"]["TILORES_API_KEYS"]).lower()


@pytest.mark.parametrize("path", ["Procfile", "deploy/compose.yaml", "deploy/systemd/tilores@.service",
                                  "deploy/systemd/tilores-worker.service", "deploy/kubernetes/tilores.yaml",
                                  "railway.json"])  # fmt: skip
def test_commands_that_are_started_exist(path: str) -> None:
    text = re.sub(r'[",\]\[}\']', " ", (ROOT / path).read_text())
    commands = re.findall(r"\btilores +(serve|worker)((?: +--[a-z-]+)*)", text)
    assert commands
    for command, options in commands:
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert all(option in shown for option in options.split())


def test_kubernetes_manifest_is_whole() -> None:
    parts: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/tilores.yaml").read_text()))
    kinds = [(part["kind"], part["metadata"]["name"]) for part in parts]
    assert len(set(kinds)) == len(kinds) == 5
    for part in parts:
        if part["kind"] != "Deployment":
            continue
        pod = part["spec"]["template"]
        assert part["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert container["securityContext"]["readOnlyRootFilesystem"]
    [service] = [part for part in parts if part["kind"] == "Service"]
    web = next(part for part in parts if part["metadata"]["name"] == "tilores-web")
    assert service["spec"]["selector"].items() <= web["spec"]["template"]["metadata"]["labels"].items()


def test_kubernetes_names_and_times_fit_the_program(project: DeployProject) -> None:
    web, worker, *_ = yaml.safe_load_all((ROOT / "deploy/kubernetes/tilores.yaml").read_text())
    for deployment in (web, worker):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["enableServiceLinks"] is False  # TILORES_PORT=tcp://… would come from a service called tilores
        assert pod["automountServiceAccountToken"] is False
        [container] = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "tilores"}}]  # no value of a secret
        assert [one["name"] for one in container["env"]] == ["TILORES_DEPLOYMENT"]
    [container] = web["spec"]["template"]["spec"]["containers"]
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= sleep + project.draining_seconds


LINTERS = {
    "hadolint": ("hadolint", "Dockerfile"),
    "kubernetes-validate": ("kubernetes-validate", "--strict", "deploy/kubernetes/tilores.yaml"),
    "check-jsonschema": ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"),
    "promtool": ("promtool", "check", "rules", "deploy/prometheus/rules.yml"),
    "systemd-analyze": ("systemd-analyze", "security", "--offline=true", "--threshold=25"),
}


@pytest.mark.parametrize("name", LINTERS)
def test_linter_that_is_installed_here_finds_nothing(name: str, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    units = []
    for path in (ROOT / "deploy/systemd").iterdir() if name == "systemd-analyze" else ():
        units.append(tmp_path / path.name.replace("@", "-8001"))  # of a template there is no instance without systemd
        units[-1].write_text(path.read_text().replace("%i", "8001"))
    done = subprocess.run([*LINTERS[name], *units], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_takes_the_configuration_of_the_stack(tmp_path: Path) -> None:
    text = (ROOT / "deploy/nginx.conf").read_text()
    assert text.count(" resolve ") == 2
    text = re.sub(r"web-\d:8000 resolve", "127.0.0.1:8000", text)  # its names are those of the stack
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}; {text} }}"
    )
    command = [str(NGINX), "-t", "-p", str(tmp_path), "-e", str(tmp_path / "log"), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_railway_file_has_nothing_that_the_check_finds(project: DeployProject) -> None:
    config, findings = config_file.read(project)
    assert config is not None
    assert [*findings, *config_file.check(config, project)] == []


def test_time_to_end_is_longer_than_requests_may_take(project: DeployProject) -> None:
    longer = render(dataclasses.replace(project, draining_seconds=120))
    assert "TimeoutStopSec=125" in longer["deploy/systemd/tilores@.service"]
    assert "terminationGracePeriodSeconds: 130" in longer["deploy/kubernetes/tilores.yaml"]  # with the hook before it
    assert "terminationGracePeriodSeconds: 125" in longer["deploy/kubernetes/tilores.yaml"]
    assert "stop_grace_period: 125s" in longer["deploy/compose.yaml"]
    assert json.loads(longer["railway.json"])["deploy"]["drainingSeconds"] == 125


def test_variable_that_a_plugin_cannot_do_without_is_required(tmp_path: Path) -> None:
    (tmp_path / "plugins.toml").write_text('schema = 1\n[use]\nsource = "tilores"\nmodel = "openai:gpt-4o-mini"\n')
    environment = load_environment(env_file=None, data_dir=tmp_path)
    host = load_host(environment, loaded=load_config(tmp_path / "plugins.toml"))
    made = make_project(host, environment, {"OPENAI_API_KEY": "key-of-openai"}, tmp_path)
    required = {name for name, one in made.variables.items() if one.required}
    assert {"OPENAI_API_KEY", "TILORES_API_KEYS", "TILORES_ADMIN_KEYS", "TILORES_CLIENT_SECRET"} <= required
    assert "OPENAI_BASE_URL" not in required
    assert not any("key-of-openai" in text for text in render(made).values())
