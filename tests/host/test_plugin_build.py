from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

import tilores_core.host.host as host_module
from tests.host.throwaway_plugins import Examine, Site, good
from tilores_core import ConfigError, MissingDependencyError, PluginError
from tilores_core.contracts import CacheTier, CustomerSource, LLMProvider
from tilores_core.host.roles import ROLE

SECRET = "hunter2-very-secret"


def spec(rest: str, name: str = "alpha") -> str:
    return good(name).replace("factory=Tier", rest)


async def test_a_factory_gets_id_settings_and_folder_and_is_closed(
    site: Site, examine: Examine, tmp_path: Path
) -> None:
    site.install("alpha", good("alpha"))
    host = examine()
    built = host.build("cache", "alpha")
    context = built.context  # type: ignore[attr-defined]
    assert (context.plugin_id, context.settings, context.data_dir) == ("alpha", None, tmp_path)
    assert host.build("cache", "alpha") is not built
    await host.aclose()
    assert built.closed  # type: ignore[attr-defined]


def test_a_factory_named_by_text_is_imported_when_it_is_built(site: Site, examine: Examine) -> None:
    code = {
        "alpha.py": spec("factory='alpha_tier:make.tier'"),
        "alpha_tier.py": good("x") + "class make: tier = Tier",
    }
    site.install("alpha", code)
    host = examine()
    assert "alpha_tier" not in sys.modules
    assert type(host.build("cache", "alpha")).__name__ == "Tier"


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("factory=lambda context: 1 / 0", "building 'cache:alpha' failed: ZeroDivisionError: division by zero"),
        ("factory=lambda context: exit(2)", "building 'cache:alpha' failed: SystemExit: 2"),
        ("factory=lambda: None", "building 'cache:alpha' failed: TypeError"),
        ("factory='nowhere_sdk:x'", "missing dependency 'nowhere_sdk'"),
        ("factory='alpha:Nothing'", "'alpha:Nothing': module has no 'Nothing'"),
        ("factory='alpha:__name__'", "cannot be called"),
        ("factory=lambda context: None", "made a NoneType, which lacks get_many, set_many, delete, delete_tag"),
        ("factory=lambda context: __import__('nowhere_sdk')", "missing dependency 'nowhere_sdk'"),
        ("factory=Tier.aclose", "its factory is async"),
    ],
)
def test_a_build_that_fails_names_the_plugin_and_the_cause(
    site: Site, examine: Examine, rest: str, reason: str
) -> None:
    site.install("alpha", spec(rest))
    site.install("beta", good("beta"))
    host = examine()
    with pytest.raises(PluginError) as caught:
        host.build("cache", "alpha")
    assert str(caught.value).startswith("plugin 'alpha' (dist-alpha 1.2.3): ")
    assert reason in str(caught.value)
    record = host.records[0]
    assert record.is_problem
    assert reason in record.reason
    host.build("cache", "beta")


def test_a_missing_method_is_named(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha").replace("    async def delete_tag(self, tag): return 0\n", "    stats = 3\n"))
    with pytest.raises(PluginError, match=r"made a Tier, which lacks delete_tag\n"):
        examine().build("cache", "alpha")


def test_requirements_are_checked_before_the_factory_runs(site: Site, examine: Examine) -> None:
    requires = "requires={'json': 'x', 'nowhere_sdk.client': 'dist-alpha[sdk]'}"
    site.install("alpha", spec(f"factory=lambda context: 1 / 0, {requires}"))
    with pytest.raises(MissingDependencyError, match=r"nowhere_sdk(.|\n)*pip install 'dist-alpha\[sdk\]'"):
        examine().build("cache", "alpha")


def test_a_factorys_own_configuration_error_is_the_operators(site: Site, examine: Examine) -> None:
    refuse = """
from tilores_core import ConfigError

def make(context):
    raise ConfigError("no such file", where="here")
"""
    site.install("alpha", {"alpha.py": spec("factory='alpha_tier:make'"), "alpha_tier.py": refuse})
    host = examine()
    with pytest.raises(ConfigError, match="here: no such file"):
        host.build("cache", "alpha")
    assert host.records[0].state == "active"


def test_a_secret_in_a_factorys_error_reaches_neither_message_nor_traceback(site: Site, examine: Examine) -> None:
    code = {
        "alpha.py": spec("factory='alpha_tier:make', settings='alpha_tier:Settings'"),
        "alpha_tier.py": """
from pydantic import BaseModel, ConfigDict

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str

def make(context):
    raise OSError(f"cannot connect to {context.settings.url}")
""",
    }
    site.install("alpha", code)
    host = examine('[plugins.alpha]\nurl = { env = "URL" }', variables={"URL": f"redis://:{SECRET}@here"})
    with pytest.raises(PluginError) as caught:
        host.build("cache", "alpha")
    assert "OSError: cannot connect to ***" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in host.records[0].reason


def test_unknown_names_say_what_is_known(site: Site, examine: Examine) -> None:
    site.install("alpha", good("alpha"))
    with pytest.raises(ConfigError, match=r"no active plugin provides cache 'beta'\n.*alpha"):
        examine().build("cache", "beta")


USE = '[use]\ncache = ["near", "far"]\nsource = "people"\nmodel = "talk:big"\n'


def services(site: Site, far: str) -> None:
    code = """
from tilores_core import CustomerSourceSpec, LLMProviderSpec, hookimpl

@hookimpl
def register_customer_sources(): return [CustomerSourceSpec(name="people", factory=print)]
@hookimpl
def register_llm_providers(): return [LLMProviderSpec(name="talk", factory=print)]
"""
    site.install("services", code)
    site.install("near", good("near"))
    site.install("far", far)


def test_what_is_not_essential_is_switched_off_when_it_cannot_be_built(site: Site, examine: Examine) -> None:
    services(site, spec("factory=lambda context: 1 / 0", "far"))
    host = examine(USE)
    assert list(host.build_used("cache")) == ["near"]
    assert "ZeroDivisionError" in host.switched_off["cache/far"]
    assert any("switched off" in warning for warning in host.warnings)
    assert list(host.build_used("cache")) == ["near"]


@pytest.mark.parametrize("extra", ["[plugins.far]\nrequired = true", "[host]\nstrict = true", "first"])
def test_what_is_essential_required_or_strict_stops(site: Site, examine: Examine, extra: str) -> None:
    services(site, spec("factory=lambda context: 1 / 0", "far"))
    toml = USE.replace('"near", "far"', '"far", "near"') if extra == "first" else USE + extra
    host = examine(toml)
    assert not host.problems
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        host.build_used("cache")


def test_the_default_models_provider_is_essential(site: Site, examine: Examine) -> None:
    services(site, good("far"))
    with pytest.raises(PluginError, match="lacks models"):
        examine(USE).build_used("llm")


CLOSING = """
import asyncio
from tilores_core import HealthCheckSpec, hookimpl

closed = []

class Part:
    def __init__(self, name): self.name = name
    def __call__(self): pass
    async def aclose(self):
        closed.append(self.name)
        if self.name == "raises": raise ValueError("redis://:hunter2-very-secret@here")
        if self.name == "hangs":
            while True:
                try: await asyncio.sleep(60)
                except asyncio.CancelledError: closed.append("asked to stop"); raise

@hookimpl
def register_health_checks():
    return [HealthCheckSpec(name=n, factory=lambda c, n=n: Part(n)) for n in ("first", "raises", "hangs", "last")]
"""


async def test_closing_goes_backwards_and_each_on_its_own(
    site: Site, examine: Examine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_module, "CLOSE_SECONDS", 0.05)
    site.install("closing", CLOSING)
    host = examine()
    for name in ("first", "raises", "hangs", "last"):
        host.build("health", name)
    with caplog.at_level(logging.WARNING):
        await host.aclose()
    await asyncio.sleep(0)
    assert sys.modules["closing"].closed == ["last", "hangs", "asked to stop", "raises", "first"]
    assert [record.getMessage() for record in caplog.records] == [
        "closing health:hangs of plugin closing failed: TimeoutError",
        "closing health:raises of plugin closing failed: ValueError",
    ]
    assert SECRET not in caplog.text
    await host.aclose()
    assert len(sys.modules["closing"].closed) == 5


async def test_an_executor_is_shut_down(site: Site, examine: Examine) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from tilores_core import ExecutorSpec, hookimpl

@hookimpl
def register_executors():
    return [ExecutorSpec(name="threads", factory=lambda context: ThreadPoolExecutor(1))]
"""
    site.install("alpha", code)
    host = examine()
    executor = host.build("executor", "threads")
    await host.aclose()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)  # type: ignore[attr-defined]


def test_the_names_checked_are_those_of_the_protocols() -> None:
    for role, protocol in (("cache", CacheTier), ("source", CustomerSource), ("llm", LLMProvider)):
        methods = {name: lambda: None for name in ROLE[role].methods}  # type: ignore[index]
        assert set(methods) == {name for name in dir(protocol) if not name.startswith("_")}
        assert SimpleNamespace(**methods)


MORE_MODELS = """
from tilores_core import LLMProviderSpec, hookimpl

class Models:
    def models(self): return ()
    def chat_model(self, model, parameters): raise NotImplementedError
    def map_error(self, error): return error
    async def aclose(self): pass

@hookimpl
def register_llm_providers():
    lacking = {"nowhere_sdk": "dist-models[sdk]"}
    return [LLMProviderSpec(name="here", factory=lambda context: Models()),
            LLMProviderSpec(name="elsewhere", factory=lambda context: Models(), requires=lacking)]
"""


def test_a_provider_nobody_names_may_lack_its_library(site: Site, examine: Examine) -> None:
    site.install("more-models", MORE_MODELS)
    host = examine('[use]\nmodel = "here:small"')
    assert list(host.build_used("llm")) == ["here"]
    assert "pip install 'dist-models[sdk]'" in host.idle_providers["elsewhere"]
    assert not host.switched_off
    assert not any("elsewhere" in warning for warning in host.warnings)
    host = examine('[use]\nmodel = "here:small"\n[plugins.more-models]\nrequired = true')
    with pytest.raises(MissingDependencyError):
        host.build_used("llm")
