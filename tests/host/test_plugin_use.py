from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.throwaway_plugins import Examine, Site, good
from tilores_core import ConfigError, PluginError, TiloresError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import ALERTS, CACHE, DEPLOY, EXTRACTOR, LLM, OPTIMIZER, SOURCE, TRACERS
from tilores_core.host.use import provider_of, selections
from tilores_core.settings import UseTable

EVERYTHING = """
from tilores_core import (AlertChannelSpec, CacheBackendSpec, CustomerExtractorSpec, CustomerSourceSpec,
    DeployTargetSpec, ExecutorSpec, LLMProviderSpec, OptimizerStrategySpec, TracerSpec, hookimpl)

def fine(context): return context

@hookimpl
def register_cache_backends(): return [CacheBackendSpec(name="near", factory=fine)]
@hookimpl
def register_customer_sources(): return [CustomerSourceSpec(name="people", factory=fine)]
@hookimpl
def register_llm_providers(): return [LLMProviderSpec(name="talk", factory=fine)]
@hookimpl
def register_alert_channels(): return [AlertChannelSpec(name="shout", factory=fine)]
@hookimpl
def register_optimizer_strategies(): return [OptimizerStrategySpec(name="better", factory=fine)]
@hookimpl
def register_deploy_targets(): return [DeployTargetSpec(name="cloud", factory=fine)]
@hookimpl
def register_customer_extractors(): return [CustomerExtractorSpec(name="finder", factory=fine)]
"""
USE = '[use]\ncache = ["near"]\nsource = "people"\nmodel = "talk:big"\n'


@pytest.fixture
def base(site: Site) -> Site:
    """A site on which `USE` works."""
    site.install("everything", EVERYTHING)
    return site


def only_problem(host: PluginHost) -> TiloresError:
    (problem,) = host.problems
    return problem


def test_what_is_there_is_used(base: Site, examine: Examine) -> None:
    chosen = 'alerts = ["shout"]\noptimizer = "better"\ndeploy = "cloud"\nextractor = "finder"\n'
    host = examine(USE + chosen)
    assert not host.problems
    assert not host.warnings
    assert not host.disabled_roles
    assert (host.used_names(CACHE), host.used_names(SOURCE), host.used_names(ALERTS)) == (
        ("near",),
        ("people",),
        ("shout",),
    )
    assert (host.used_names(OPTIMIZER), host.used_names(DEPLOY), host.used_names(EXTRACTOR)) == (
        ("better",),
        ("cloud",),
        ("finder",),
    )
    assert host.used_names(TRACERS) == ()
    assert host.used_names(LLM) == ("talk",)


@pytest.mark.parametrize(
    ("toml", "key", "hint"),
    [
        (USE.replace('"near"', '"naer"'), "use.cache[0]", "did you mean 'near'?"),
        (USE.replace('"near"]', '"near", "naer"]'), "use.cache[1]", "did you mean 'near'?"),
        (USE.replace('"people"', '"poeple"'), "use.source", "did you mean 'people'?"),
        (USE.replace('"talk:big"', '"tolk:big"'), "use.model", "did you mean 'talk'?"),
        (USE + 'fallbacks = ["talk:a", "tolk:b"]', "use.fallbacks[1]", "did you mean 'talk'?"),
        (USE + 'alerts = ["shuot"]', "use.alerts[0]", "did you mean 'shout'?"),
        (USE + 'tracers = ["x"]', "use.tracers[0]", "there is none"),
        (USE + 'optimizer = "x"', "use.optimizer", "known: better"),
        (USE + 'deploy = "x"', "use.deploy", "known: cloud"),
        (USE + 'executor = "x"', "use.executor", "there is none"),
        (USE.replace('"near"', '"near", "near"'), "use.cache", "twice"),
        (USE.replace('"talk:big"', '"talk:"'), "use.model", "provider:model"),
        (USE.replace('"talk:big"', '""'), "use.model", "provider:model"),
        (USE.replace('"talk:big"', '":big"'), "use.model", "provider:model"),
    ],
)
def test_a_name_nobody_ever_heard_of_stops_with_file_key_and_nearest(
    base: Site, examine: Examine, tmp_path: Path, toml: str, key: str, hint: str
) -> None:
    problem = only_problem(examine(toml))
    assert isinstance(problem, ConfigError)
    assert f"{tmp_path / 'plugins.toml'}: {key}: " in str(problem)
    assert hint in str(problem)


def test_the_first_tier_must_work(base: Site, examine: Examine) -> None:
    base.install("far", "import nowhere_sdk")
    problem = only_problem(examine(USE.replace('"near"', '"far", "near"')))
    assert isinstance(problem, PluginError)
    for part in (
        "'far' (dist-far 1.2.3)",
        "use.cache[0] names 'far'",
        "missing-dependency",
        "pip install 'nowhere_sdk'",
    ):
        assert part in str(problem)
    assert isinstance(problem.__cause__, PluginError)


def test_a_further_tier_that_cannot_work_is_switched_off(base: Site, examine: Examine) -> None:
    base.install("far", "import nowhere_sdk")
    host = examine(USE.replace('"near"', '"near", "far"'))
    assert not host.problems
    assert list(host.disabled_roles) == ["cache/far"]
    assert "missing-dependency" in host.disabled_roles["cache/far"]
    assert host.used_names(CACHE) == ("near",)
    assert any("cache 'far' is disabled" in warning for warning in host.warnings)


def test_unless_it_is_required(base: Site, examine: Examine) -> None:
    base.install("far", "import nowhere_sdk")
    host = examine(USE.replace('"near"', '"near", "far"') + "[plugins.far]\nrequired = true")
    assert "nowhere_sdk" in str(only_problem(host))


def test_a_required_plugin_must_work_even_when_nothing_names_it(base: Site, examine: Examine) -> None:
    base.install("far", "raise ValueError")
    problem = only_problem(examine(USE + "[plugins.far]\nrequired = true"))
    assert "required, but failed" in str(problem)


@pytest.mark.parametrize("plugin", ["far", "far-cache"])
def test_a_disabled_plugin_that_is_needed_is_told_with_its_state_and_how_to_enable_it(
    base: Site, examine: Examine, plugin: str
) -> None:
    base.install(plugin, "raise RuntimeError('imported')")
    host = examine(USE.replace('"near"', '"far"') + f"[plugins.{plugin}]\nenabled = false")
    problem = only_problem(host)
    assert "disabled" in str(problem)
    assert "use.cache[0]" in str(problem)
    assert f"tilores plugins enable {plugin}" in str(problem)


def test_the_default_models_provider_must_work_and_a_fallbacks_need_not(base: Site, examine: Examine) -> None:
    base.install("other-model", "raise ValueError('broken')")
    host = examine(USE + 'fallbacks = ["other:small"]')
    assert not host.problems
    assert "broken" in host.disabled_roles["llm/other"]
    host = examine(USE.replace("talk:big", "other:small"))
    assert "use.model names 'other'" in str(only_problem(host))


def test_a_bare_model_name_needs_some_provider(base: Site, examine: Examine) -> None:
    assert not examine(USE.replace("talk:big", "big")).problems
    host = examine('[use]\ncache = []\nsource = "people"\nmodel = "big"', variables={"TILORES_PLUGINS_DISABLE": "x"})
    assert not host.problems
    base.install("people-only", good("unused"))
    host = examine('[use]\ncache = ["unused"]\nsource = "unused"\nmodel = "big"', disable=["everything"])
    assert any("no active plugin provides models" in str(problem) for problem in host.problems)


def test_a_library_that_a_selected_name_needs_is_missed_at_start(base: Site, examine: Examine) -> None:
    code = good("far").replace("factory=Tier", "factory=Tier, requires={'nowhere_sdk': 'dist-far[sdk]'}")
    base.install("far", code)
    assert not examine(USE).warnings  # nobody uses it
    host = examine(USE.replace('"near"', '"near", "far"'))
    assert "pip install 'dist-far[sdk]'" in host.disabled_roles["cache/far"]
    host = examine(USE.replace('"near"', '"far"'))
    assert "'nowhere_sdk'" in str(only_problem(host))


def test_strict_stops_on_any_problem(base: Site, examine: Examine) -> None:
    base.install("far", "raise ValueError('broken')")
    strict = "[host]\nstrict = true\n"
    assert not examine(USE).problems
    assert "broken" in str(only_problem(examine(strict + USE)))
    problems = examine(strict + USE + "[plugins.nobody]\norder = 1", disable=["far"]).problems
    assert len(problems) == 1
    assert "nobody" in str(problems[0])


def test_start_raises_the_first_problem_and_counts_the_others(base: Site, examine: Examine) -> None:
    host = examine(USE.replace("near", "naer").replace("people", "poeple"))
    assert len(host.problems) == 2
    with pytest.raises(ConfigError, match=r"naer(.|\n)*1 more: tilores plugins check"):
        PluginHost.start(
            host.loaded,
            variables={},
            data_dir=host.data_dir,
            discovered=host.plugins,
        )


def test_only_loads_one_and_leaves_use_alone(base: Site, examine: Examine) -> None:
    base.install("far", "raise RuntimeError('imported')")
    host = examine(USE.replace("near", "nobody"), only=["everything"], check_use=True)
    assert not host.problems
    assert {record.id: record.state for record in host.plugins} == {"everything": "active", "far": "disabled"}


def test_provider_is_what_stands_before_the_first_colon() -> None:
    assert provider_of("openrouter:meta/llama:free") == "openrouter"
    assert provider_of("gpt-4o") is None


def test_every_key_of_use_is_checked() -> None:
    full = UseTable(
        cache=("a",), source="b", model="c:x", fallbacks=("d:x",), optimizer="e", deploy="f", executor="g",
        extractor="h", tracers=("i",), alerts=("j",),
    )  # fmt: skip
    assert [item.name for item in selections(full)] == list("abcdefghij")
    assert {item.key.removeprefix("use.").partition("[")[0] for item in selections(full)} == set(
        UseTable.model_fields
    )
