from __future__ import annotations

import sys

import pytest

from tests.host.throwaway_plugins import Examine, Site, good, states
from tilores_core import __version__
from tilores_core.host.plugin import Plugin
from tilores_core.host.roles import CACHE

BOOM = "raise RuntimeError('this must not be imported')"


def found(plugin: str, *, builtin: bool = False, distribution: str | None = None) -> Plugin:
    name = "tilores-core" if builtin else distribution or f"dist-{plugin}"
    return Plugin(id=plugin, target=f"nowhere_{plugin}", distribution=name, version="1", builtin=builtin)


def test_a_disabled_plugin_is_never_imported(site: Site, examine: Examine) -> None:
    module = site.install("alpha", BOOM)
    host = examine("[plugins.alpha]\nenabled = false\n")
    (record,) = host.plugins
    assert (record.state, record.error, record.load_ms) == ("disabled", None, None)
    assert record.reason.endswith("plugins.toml")
    assert module not in sys.modules
    assert not host.problems


@pytest.mark.parametrize(
    ("toml", "variables", "options", "state", "reason"),
    [
        ('[host]\nautoload = "none"', {}, {}, "disabled", 'autoload = "none"'),
        ('[host]\nautoload = "builtin"', {}, {}, "disabled", 'autoload = "builtin"'),
        ('[host]\nautoload = "none"\n[plugins.alpha]\nenabled = true', {}, {}, "active", ""),
        ("[plugins.alpha]\norder = 3", {}, {}, "active", ""),
        ("", {"TILORES_PLUGINS_DISABLE": "other, alpha"}, {}, "disabled", "TILORES_PLUGINS_DISABLE"),
        ("[plugins.alpha]\nenabled = true", {"TILORES_PLUGINS_DISABLE": "alpha"}, {}, "disabled", ""),
        ("", {"TILORES_PLUGINS_ONLY": "other"}, {}, "disabled", "TILORES_PLUGINS_ONLY"),
        ("[plugins.alpha]\nenabled = false", {"TILORES_PLUGINS_ONLY": "alpha"}, {}, "active", ""),
        ("", {"TILORES_PLUGINS_ONLY": "alpha"}, {"disable": ["alpha"]}, "disabled", "--disable-plugin"),
        ("[plugins.alpha]\nenabled = true", {}, {"no_plugins": True}, "disabled", "--no-plugins"),
        ("", {"TILORES_PLUGINS_ONLY": " ,"}, {}, "active", ""),
    ],
)
def test_who_has_the_last_word(
    site: Site,
    examine: Examine,
    toml: str,
    variables: dict[str, str],
    options: dict[str, object],
    state: str,
    reason: str,
) -> None:
    site.install("alpha", good("alpha"))
    (record,) = examine(toml, variables=variables, **options).plugins
    assert record.state == state
    assert reason in record.reason


def test_no_plugins_and_autoload_builtin_leave_built_ins_alone(examine: Examine) -> None:
    for toml, options in (("", {"no_plugins": True}), ('[host]\nautoload = "builtin"', {})):
        (record,) = examine(toml, discovered=[found("alpha", builtin=True)], **options).plugins
        assert record.state != "disabled"


@pytest.mark.parametrize(
    ("requirement", "compatible"),
    [
        ("tilores-core>=0.1", True),
        ("Tilores_Core >= 99", False),
        (f"tilores-core=={__version__}", True),
        ("tilores-core<0.0.1", False),
        ("tilores-core>=99; python_version < '3'", True),
        ("tilores-core>=99; extra == 'new'", True),
        ("something-else>=99", True),
    ],
)
def test_a_plugin_for_another_host_is_incompatible_and_not_imported(
    site: Site, examine: Examine, requirement: str, compatible: bool
) -> None:
    module = site.install("alpha", good("alpha"), requires=[requirement])
    (record,) = examine().plugins
    if compatible:
        assert record.state == "active"
    else:
        assert record.state == "incompatible"
        assert __version__ in record.reason
        assert "tilores-core" in record.fix
        assert module not in sys.modules


def test_two_distributions_claiming_one_id_are_both_named_and_neither_imported(site: Site, examine: Examine) -> None:
    site.install("alpha", BOOM, distribution="dist-one")
    site.install("alpha", BOOM, distribution="dist-two", target="alpha_two")
    site.install("beta", good("beta"))
    host = examine()
    first, second, good_one = host.plugins
    assert first.state == second.state == "conflict"
    assert "dist-one 1.2.3 and dist-two 1.2.3" in first.reason
    assert good_one.state == "active"


def test_disabling_the_id_ends_a_conflict(site: Site, examine: Examine) -> None:
    site.install("alpha", BOOM, distribution="dist-one")
    site.install("alpha", BOOM, distribution="dist-two", target="alpha_two")
    assert set(states(examine("[plugins.alpha]\nenabled = false")).values()) == {"disabled"}


def test_an_id_that_is_no_id_is_not_imported(examine: Examine) -> None:
    (record,) = examine(discovered=[found("../x")]).plugins
    assert record.state == "failed"
    assert "id" in record.reason


def test_operators_order_decides_then_ids(site: Site, examine: Examine) -> None:
    for plugin in ("zeta", "alpha", "mid"):
        site.install(plugin, good(plugin))
    host = examine("[plugins.zeta]\norder = 1\n[plugins.alpha]\norder = 200")
    assert [record.id for record in host.plugins] == ["zeta", "mid", "alpha"]
    assert host.names(CACHE) == ("zeta", "mid", "alpha")


def test_an_unknown_id_is_a_warning_with_the_nearest_one(site: Site, examine: Examine) -> None:
    site.install("redis-cache", good("redis"))
    host = examine("[plugins.redis-cahce]\nenabled = true", variables={"TILORES_PLUGINS_DISABLE": "redis-cach"})
    assert not host.problems
    table, variable = host.warnings
    assert "plugins.redis-cahce" in table
    assert "did you mean 'redis-cache'?" in table
    assert variable.startswith("TILORES_PLUGINS_DISABLE")


def test_an_unknown_id_that_is_required_stops(examine: Examine) -> None:
    (problem,) = examine("[plugins.redis-cahce]\nrequired = true").problems
    assert "plugins.redis-cahce" in str(problem)
    assert "required" in str(problem)


def test_required_and_disabled_contradict_each_other(examine: Examine) -> None:
    (problem,) = examine("[plugins.a]\nrequired = true\nenabled = false", discovered=[found("a")]).problems
    assert "required and disabled" in str(problem)


@pytest.mark.parametrize(
    "line", ['enabled = "yes"', "enabled = 1", 'order = "first"', "order = true", 'required = "x"', "required = 0"]
)
def test_the_hosts_keys_have_types(site: Site, examine: Examine, line: str) -> None:
    site.install("alpha", good("alpha"))
    (problem,) = examine(f"[plugins.alpha]\n{line}").problems
    assert f"plugins.alpha.{line.split()[0]}" in str(problem)
    assert "this must be" in str(problem)
