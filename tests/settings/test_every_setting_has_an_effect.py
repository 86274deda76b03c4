"""Every documented setting and every hook has an effect: a test that would fail if it were ignored."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.settings.every_setting import every_setting
from tests.settings.proofs import PROOFS

ROOT = Path(__file__).parents[2]


def test_every_setting_and_hook_has_a_proof(tmp_path: Path) -> None:
    names = {setting.name for setting in every_setting(tmp_path)}
    missing = sorted(names - set(PROOFS))
    assert not missing, (
        f"add a test that changes the setting and sees a difference, and name it in proofs.py: {missing}"
    )
    assert not sorted(set(PROOFS) - names), "these settings are gone; remove them from proofs.py"


@pytest.mark.parametrize("setting", PROOFS)
def test_proof_exists(setting: str) -> None:
    file, _, name = PROOFS[setting].partition("::")
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    assert set(name.split("::")) <= names, f"{PROOFS[setting]} is gone; name the test that proves {setting} now"
