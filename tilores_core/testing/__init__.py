"""What a plugin author tests with: one conformance suite per role, and a host that sees only what it is given.

    from tilores_core.testing import isolated_host
    from tilores_core.testing.cache import CacheTierSuite

The suites need `pip install 'tilores-core[testing]'`.
"""

import sys

from tilores_core.testing.host import isolated_host

__all__ = ["isolated_host"]

if "pytest" in sys.modules:
    # so that a failing assertion of a suite shows both sides, as one in the author's own test does
    sys.modules["pytest"].register_assert_rewrite("tilores_core.testing.cache", "tilores_core.testing.providers")
