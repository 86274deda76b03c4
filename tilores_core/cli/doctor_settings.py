"""What the doctor can tell without building anything: settings, keys, data folder, plugins."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tilores_core.cli.finding import Finding, problem, warning
from tilores_core.errors import TiloresError
from tilores_core.settings.data_folder import create_data_folder, key_file

if TYPE_CHECKING:
    from tilores_core.host import PluginHost
    from tilores_core.settings import Environment, LoadedConfig

MEBIBYTE = 1024 * 1024
LITTLE_SPACE = 512 * MEBIBYTE
NO_SPACE = 16 * MEBIBYTE


def environment(values: Environment) -> list[Finding]:
    detail = f"{values.host}:{values.port}, workers {values.workers}, log {values.log_level} as {values.log_format}"
    return [Finding(part="settings", state="ok", detail=detail)]


def data_folder(folder: Path) -> list[Finding]:
    """Can it be made and written, and is there room?"""
    part = "data folder"
    fix = "correct its permissions, or set TILORES_DATA_DIR to a folder that can be written"
    try:
        create_data_folder(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return [Finding(part=part, state="problem", detail=f"{folder}: {error.strerror}", fix=fix)]
    if _others_may_read(folder):
        detail = f"other users of this machine can read the names of the files in {folder}"
        fix = f"chmod 700 {folder}, unless it is shared on purpose"
        return [Finding(part=part, state="warning", detail=detail, fix=fix)]
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free // MEBIBYTE} MiB free"
    if free < LITTLE_SPACE:
        state = "problem" if free < NO_SPACE else "warning"
        return [Finding(part=part, state=state, detail=detail, fix="make room, or set TILORES_DATA_DIR elsewhere")]  # type: ignore[arg-type]
    return [Finding(part=part, state="ok", detail=detail)]


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def keys(values: Environment, loaded: LoadedConfig) -> list[Finding]:
    """Would the server start with these keys, and does plugins.toml know them?"""
    from tilores_core.web.auth import check_exposure, check_key_tables, describe_keys, is_loopback

    findings = []
    for check, given in ((check_exposure, (values,)), (check_key_tables, (values, loaded.config.keys))):
        try:
            check(*given)
        except TiloresError as error:
            findings.append(problem("keys", error))
    if findings:
        return findings
    places = describe_keys(values, loaded.config.use.source)
    detail = f"chat: {places['chat']}; administration: {places['admin']}"
    if values.allow_anonymous and not values.api_keys and not is_loopback(values.host):
        return [Finding(part="keys", state="warning", detail=detail, fix="set TILORES_API_KEYS=name:secret")]
    readable = [path for path in (key_file(values.data_dir, kind) for kind in places) if _others_may_read(path)]
    if readable:
        detail = f"other users of this machine can read {', '.join(str(path) for path in readable)}"
        fix = "delete it, and start the server for a new key"
        return [Finding(part="keys", state="warning", detail=detail, fix=fix)]
    return [Finding(part="keys", state="ok", detail=detail)]


def plugins(host: PluginHost) -> list[Finding]:
    """Everything that would stop start-up, then what is only worth saying."""
    findings = [problem("plugins", error) for error in host.problems]
    blamed = "\n".join(finding.detail for finding in findings)
    findings += [
        warning("plugins", text, "tilores plugins list")
        for text in host.warnings
        if text.split("\n")[0] not in blamed
    ]
    active = sum(row.state == "active" for row in host.plugins)
    findings.append(Finding(part="plugins", state="ok", detail=f"{active} active of {len(host.plugins)}"))
    return findings
