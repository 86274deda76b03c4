from __future__ import annotations

import sys

import pytest

from tests.host.throwaway_plugins import Site, good, scanned
from tilores_core.host.plugin import scan


def test_scan_finds_id_target_distribution_and_version_without_importing(site: Site) -> None:
    site.install("alpha", "raise RuntimeError('imported')", requires=["redis>=5; extra == 'driver'"])
    (found,) = scanned()
    assert (found.id, found.target, found.distribution, found.version) == ("alpha", "alpha", "dist-alpha", "1.2.3")
    assert found.requires == ("redis>=5; extra == 'driver'",)
    assert not found.builtin
    assert "alpha" not in sys.modules


def test_built_ins_come_by_the_same_way_and_are_marked() -> None:
    builtin = [found for found in scan() if found.distribution == "tilores-core"]
    assert builtin
    assert all(found.builtin for found in builtin)


def test_scan_does_not_import_the_parent_of_a_dotted_target(site: Site) -> None:
    site.install(
        "nested",
        {"nested_pkg/__init__.py": "raise RuntimeError", "nested_pkg/plugin.py": good("x")},
        target="nested_pkg.plugin",
    )
    scanned()
    assert "nested_pkg" not in sys.modules


def test_a_shadowed_copy_of_a_distribution_is_not_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("alpha", good("alpha"), version="2.0.0")
    site.install("alpha", good("stale"), version="1.0.0", folder="old")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site.path / "old")])
    assert [(found.id, found.version) for found in scanned()] == [("alpha", "2.0.0")]


def test_the_order_does_not_depend_on_what_was_installed_first(site: Site) -> None:
    for plugin in ("zeta", "alpha", "mid"):
        site.install(plugin, good(plugin))
    assert [found.id for found in scanned()] == ["alpha", "mid", "zeta"]


def test_half_removed_metadata_hides_nobody(site: Site) -> None:
    site.install("alpha", good("alpha"))
    site.install("beta", good("beta"))
    (site.path / "dist_beta-1.2.3.dist-info" / "METADATA").unlink()
    found = {item.id: item for item in scanned()}
    assert found["alpha"].version == "1.2.3"
    assert found["beta"].version == "unknown"
