"""Built-ins come through entry points like a stranger's: all of them, and nothing else."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from tilores_core.hookspecs import HOOK_NAMES
from tilores_core.host.host import PluginHost
from tilores_core.host.plugin import scan
from tilores_core.settings.loader import PACKAGED, load_config

ROOT = Path(__file__).parents[2]
BUILTINS = ROOT / "plugins"


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return dict(project["entry-points"]["tilores_core.plugins"])


def with_hooks() -> set[str]:
    """Modules below plugins/ that define a hook at their top."""
    found = set()
    for path in BUILTINS.rglob("*.py"):
        names: set[str] = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if names & set(HOOK_NAMES):
            parts = path.relative_to(BUILTINS).with_suffix("").parts
            found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def test_every_module_with_hooks_is_declared_and_every_declared_one_is_there() -> None:
    assert with_hooks() == set(declared().values())


def test_what_is_installed_is_what_is_declared() -> None:
    installed = {found.id: found.target for found in scan() if found.builtin}
    assert installed == declared(), "install the project again: pip install -e ."


def test_every_built_in_is_active_under_the_packaged_configuration(tmp_path: Path) -> None:
    builtin = [found for found in scan() if found.builtin]
    host = PluginHost.start(load_config(PACKAGED), variables={}, data_dir=tmp_path, discovered=builtin)
    assert {record.id: (record.state, record.reason) for record in host.plugins} == dict.fromkeys(
        declared(), ("active", "")
    )
    assert not host.warnings
    assert all(record.provides for record in host.plugins)


def test_every_settings_model_can_be_had(tmp_path: Path) -> None:
    from tilores_core.host.plugin_settings import settings_class

    builtin = [found for found in scan() if found.builtin]
    host = PluginHost.start(load_config(PACKAGED), variables={}, data_dir=tmp_path, discovered=builtin)
    for plugin in declared():
        loaded = host.active_plugin(plugin)
        assert loaded is not None
        model = settings_class(loaded)
        if model is not None:
            nameless = [name for name, field in model.model_fields.items() if not field.description]
            assert not nameless, f"{plugin}: fields without a description: {nameless}"
