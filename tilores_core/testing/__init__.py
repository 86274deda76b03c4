"""What a plugin author tests with: one conformance suite per role, a host that sees only what it is given, and a
model provider with scripted replies, a tracer that keeps what it is given.

    from tilores_core.testing import FakeProvider, FakeTracer, isolated_host
    from tilores_core.testing.cache import CacheTierSuite

The suites need `pip install 'tilores-core[testing]'`.
"""

import sys

from tilores_core.testing.fake_provider import FakeProvider, FakeReply
from tilores_core.testing.fake_tracer import FakeTracer
from tilores_core.testing.host import isolated_host
from tilores_core.testing.waiting import Clock, eventually, settle, wait_until

__all__ = [
    "Clock",
    "FakeProvider",
    "FakeReply",
    "FakeTracer",
    "eventually",
    "isolated_host",
    "settle",
    "wait_until",
]

if "pytest" in sys.modules:
    # so that a failing assertion of a suite shows both sides, as one in the author's own test does
    sys.modules["pytest"].register_assert_rewrite(
        "tilores_core.testing.cache",
        "tilores_core.testing.provider_wire",
        "tilores_core.testing.providers",
        "tilores_core.testing.sources",
        "tilores_core.testing.tracers",
    )
