"""Everything a plugin can do wrong gets a state and a sentence of its own, while a good one stays active."""

from __future__ import annotations

import gc
import threading
import warnings
from types import SimpleNamespace

import pytest

from tests.host.throwaway_plugins import Examine, Site, good, states
from tilores_core import MissingDependencyError, PluginError
from tilores_core.hookspecs import HOOK_NAMES
from tilores_core.host import load
from tilores_core.host.roles import CACHE, LLM, ROUTERS

hanging: list[threading.Event] = []
HEAD = "from tilores_core import CacheBackendSpec, LLMProviderSpec, hookimpl\n"
HALF = f"""{HEAD}
@hookimpl
def register_cache_backends():
    return [CacheBackendSpec(name="half", factory=print)]

@hookimpl
def register_llm_providers(unknown):
    return []
"""


def one_hook(body: str, *, prefix: str = "") -> str:
    return f"{HEAD}\n@hookimpl\n{prefix}def register_cache_backends():\n    {body}\n"


CASES = {
    "raises": ("raise ValueError('at import')", "failed", "ValueError: at import"),
    "syntax": ("def broken(:", "failed", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "failed", "SystemExit"),
    "calls-exit": ("import sys\nsys.exit()", "failed", "SystemExit"),
    "missing-library": ("import nowhere_at_all", "missing-dependency", "missing dependency 'nowhere_at_all'"),
    "too-old-library": ("import json.nowhere", "missing-dependency", "the installed 'json' has no 'json.nowhere'"),
    "wrong-name-in-library": ("from json import nowhere", "failed", "ImportError: cannot import name 'nowhere'"),
    "no-hook": ("x = 1", "failed", "implements no hook"),
    "unmarked": ("def register_cache_backends(): return []", "failed", "implements no hook"),
    "misspelt": (
        f"{HEAD}\n@hookimpl\ndef register_cache_backend(): return []",
        "failed",
        "there is no hook 'register_cache_backend'",
    ),
    "wrong-argument": (HALF, "failed", "unknown"),
    "wrapper": (
        f"{HEAD}\n@hookimpl(wrapper=True)\ndef register_cache_backends():\n    return (yield)",
        "failed",
        "wrapper",
    ),
    "async-hook": (one_hook("return []", prefix="async "), "failed", "is async"),
    "none": (one_hook("pass"), "failed", "returned NoneType"),
    "not-a-list": (
        one_hook("return CacheBackendSpec(name='x', factory=print)"),
        "failed",
        "returned CacheBackendSpec",
    ),
    "wrong-spec": (
        one_hook("return [LLMProviderSpec(name='x', factory=print)]"),
        "failed",
        "a list with LLMProviderSpec in it",
    ),
    "raising-hook": (one_hook("raise KeyError('k')"), "failed", "'register_cache_backends' failed: KeyError: 'k'"),
    "exiting-hook": (one_hook("raise SystemExit"), "failed", "SystemExit"),
    "bad-name": (one_hook("return [CacheBackendSpec(name='Up', factory=print)]"), "failed", "lower case"),
    "bad-factory": (one_hook("return [CacheBackendSpec(name='x', factory=3)]"), "failed", "factory must be"),
    "bad-settings": (
        one_hook("return [CacheBackendSpec(name='x', factory=print, settings='nocolon')]"),
        "failed",
        "settings must be",
    ),
    "bad-requires": (
        one_hook("return [CacheBackendSpec(name='x', factory=print, requires=['redis'])]"),
        "failed",
        "requires must map",
    ),
    "bad-environment": (
        one_hook("return [CacheBackendSpec(name='x', factory=print, environment={'k': 3})]"),
        "failed",
        "environment must map",
    ),
    "twice": (
        one_hook("return [CacheBackendSpec(name='x', factory=print)] * 2"),
        "failed",
        "registers 'cache:x' twice",
    ),
    "two-models": (
        one_hook("return [CacheBackendSpec(name=n, factory=print, settings=f'{n}:S') for n in 'ab']"),
        "failed",
        "different settings models",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_gets_its_state_and_reason_and_harms_nobody(site: Site, examine: Examine, case: str) -> None:
    code, state, reason = CASES[case]
    site.install(f"bad-{case}", code)
    site.install("alpha", good("alpha"))
    site.install("zeta", good("zeta"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine left behind would warn when it is collected
        host = examine()
        gc.collect()
    assert states(host) == {"alpha": "active", f"bad-{case}": state, "zeta": "active"}
    record = host.plugins[1]
    assert reason in record.reason
    assert isinstance(record.error, PluginError)
    assert isinstance(record.error, MissingDependencyError) == (state == "missing-dependency")
    assert record.provides == ()
    assert host.names(CACHE) == ("alpha", "zeta")
    assert host.names(LLM) == ()
    (warning,) = host.warnings
    for part in (f"bad-{case}", f"dist-bad-{case} 1.2.3", reason, f"tilores plugins show bad-{case} --traceback"):
        assert part in warning


def test_a_ghost_has_an_entry_point_and_no_module(site: Site, examine: Examine) -> None:
    site.install("ghost", {}, target="ghost_module")
    (record,) = examine().plugins
    assert record.state == "failed"
    assert "its own module 'ghost_module' is missing" in record.reason
    assert "--force-reinstall" in record.fix


def test_a_missing_part_of_the_plugin_itself_is_no_missing_dependency(site: Site, examine: Examine) -> None:
    site.install("gap", {"gap_pkg/__init__.py": "import gap_pkg.lost"}, target="gap_pkg")
    (record,) = examine().plugins
    assert (record.state, record.reason) == ("failed", "its own module 'gap_pkg.lost' is missing")


@pytest.mark.parametrize(
    ("requires", "fix"),
    [
        (["some-sdk>=5; extra == 'driver'"], "pip install 'dist-lib[driver]'"),
        (["some_sdk>=5; python_version >= '3.8' and extra == \"sdk\""], "pip install 'dist-lib[sdk]'"),
        (["some-sdk>=5"], "pip install 'some-sdk>=5'"),
        ([], "pip install 'some_sdk'"),
    ],
)
def test_the_mend_of_a_missing_library_comes_from_the_metadata(
    site: Site, examine: Examine, requires: list[str], fix: str
) -> None:
    site.install("lib", "import some_sdk.client", requires=requires)
    (record,) = examine().plugins
    assert (record.state, record.fix) == ("missing-dependency", fix)


def test_the_cause_stays_chained(site: Site, examine: Examine) -> None:
    site.install("alpha", "raise ValueError('deep')")
    (record,) = examine().plugins
    assert record.error is not None
    assert isinstance(record.error.__cause__, ValueError)


def test_a_misspelt_hook_is_answered_with_the_nearest_name(site: Site, examine: Examine) -> None:
    site.install("alpha", CASES["misspelt"][0])
    (record,) = examine().plugins
    assert "did you mean 'register_cache_backends'?" in record.fix


def test_an_optional_hook_of_another_version_is_let_be(site: Site, examine: Examine) -> None:
    code = good("alpha") + "\n@hookimpl(optionalhook=True)\ndef register_of_tomorrow(): return []\n"
    site.install("alpha", code)
    assert states(examine()) == {"alpha": "active"}


def test_a_name_claimed_twice_puts_both_out_of_action_and_names_both(site: Site, examine: Examine) -> None:
    site.install("one", good("same"))
    site.install("two", good("same"), version="9.9")
    site.install("alpha", good("alpha"))
    host = examine()
    assert states(host) == {"one": "conflict", "two": "conflict", "alpha": "active"}
    assert host.names(CACHE) == ("alpha",)
    for record in host.plugins[1:]:
        assert (
            "'cache:same' is claimed by plugin 'one' (dist-one 1.2.3) and plugin 'two' (dist-two 9.9)"
            in record.reason
        )
        assert "disable" in record.fix


def test_routers_and_commands_may_share_names(site: Site, examine: Examine) -> None:
    code = """
from tilores_core import RouterSpec, hookimpl

@hookimpl
def register_routers():
    return [RouterSpec(name="api", factory=print)]
"""
    site.install("one", code)
    site.install("two", code)
    host = examine()
    assert states(host) == {"one": "active", "two": "active"}
    assert [host.registration(ROUTERS, name).plugin_id for name in host.names(ROUTERS)] == ["one", "two"]


def test_a_plugin_may_be_an_object_in_a_module(site: Site, examine: Examine) -> None:
    code = """
from tilores_core import CacheBackendSpec, hookimpl

class Plugin:
    @hookimpl
    def register_cache_backends(self):
        return [CacheBackendSpec(name="x", factory=print)]

plugin = Plugin()
"""
    site.install("alpha", code)
    entry = site.path / "dist_alpha-1.2.3.dist-info" / "entry_points.txt"
    entry.write_text("[tilores_core.plugins]\nalpha = alpha:plugin\n")
    assert states(examine()) == {"alpha": "active"}


@pytest.mark.parametrize("hook", HOOK_NAMES)
def test_every_hook_is_collected_into_its_role(site: Site, examine: Examine, hook: str) -> None:
    from tilores_core.host.roles import ROLE_OF_HOOK

    role = ROLE_OF_HOOK[hook]
    code = f"""
import tilores_core
from tilores_core import hookimpl

@hookimpl
def {hook}():
    return [tilores_core.{role.spec.__name__}(name="x", factory=print)]
"""
    site.install("alpha", code)
    host = examine()
    (name,) = host.names(role)
    registration = host.registration(role, name)
    assert (registration.plugin_id, type(registration.spec)) == ("alpha", role.spec)
    assert host.plugins[0].provides == (f"{role.name}:x",)


def test_hosts_share_nothing(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha"))
    first = examine()
    second = examine("[plugins.alpha]\nenabled = false")
    assert first.names(CACHE) == ("alpha",)
    assert second.names(CACHE) == ()


def test_plugin_that_hangs_while_it_is_loaded_is_named(
    site: Site, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    named = threading.Event()

    def warn(event: str, plugin: str, fix: str) -> None:
        said.extend((event, plugin, fix))
        named.set()

    monkeypatch.setattr(load, "log", SimpleNamespace(warning=warn))
    monkeypatch.setattr(load, "_SLOW_SECONDS", 0.01)
    site.install("slow", f"from {__name__} import hanging\nhanging[0].wait(60)\n{good('slow')}")
    hanging[:] = [named]
    assert states(examine()) == {"slow": "active"}
    assert said == ["plugin.slow", "slow", "if it hangs: --disable-plugin slow"]
