"""Tools for tests of plugins: one conformance suite per role, an isolated plugin host and the roles that it builds,
a model provider with scripted replies, and a tracer that keeps its traces.

    from tilores_core.testing import FakeProvider, FakeTracer, isolated_host
    from tilores_core.testing.cache import CacheTierSuite

The suites need `pip install 'tilores-core[testing]'`.
"""

import sys

from tilores_core.host.roles import (
    ALERTS,
    CACHE,
    COMMANDS,
    DEPLOY,
    EXECUTOR,
    EXTRACTOR,
    HEALTH,
    LLM,
    OBSERVERS,
    OPTIMIZER,
    ROUTERS,
    SOURCE,
    TRACERS,
)
from tilores_core.testing.app import TestApp
from tilores_core.testing.fake_provider import FakeProvider, FakeReply
from tilores_core.testing.fake_tracer import FakeTracer
from tilores_core.testing.host import isolated_host
from tilores_core.testing.waiting import Clock, eventually, settle, wait_until

__all__ = [
    "ALERTS",
    "CACHE",
    "COMMANDS",
    "DEPLOY",
    "EXECUTOR",
    "EXTRACTOR",
    "HEALTH",
    "LLM",
    "OBSERVERS",
    "OPTIMIZER",
    "ROUTERS",
    "SOURCE",
    "TRACERS",
    "Clock",
    "FakeProvider",
    "FakeReply",
    "FakeTracer",
    "TestApp",
    "eventually",
    "isolated_host",
    "settle",
    "wait_until",
]

if "pytest" in sys.modules:
    # so that a failing assertion of a suite shows both sides, as one in the author's own test does
    sys.modules["pytest"].register_assert_rewrite(
        "tilores_core.testing.alerts",
        "tilores_core.testing.cache",
        "tilores_core.testing.deploy",
        "tilores_core.testing.optimizers",
        "tilores_core.testing.provider_wire",
        "tilores_core.testing.providers",
        "tilores_core.testing.sources",
        "tilores_core.testing.tracers",
    )
