"""A Tilores instance for tests: a real HTTP server on a loopback port that executes real GraphQL.

    async with TiloresInstance() as instance:
        instance.api_url, instance.token_url      # two ports: POST / of the first, POST /oauth2/token of the second
        instance.client_id, instance.client_secret

        instance.requests                         # SeenRequest: document, variables, gzip, status, connection …
        instance.in_flight, instance.in_flight_max
        instance.token.issued, instance.token.requests

        instance.token.down = True                # connections are reset; also .hanging, .throttled, .status
        instance.token.expires_in = 2.0           # for tokens issued from now on
        instance.token.expire_all()               # the next call is answered 401
        instance.token.scopes = {"tilores/query.search"}

        instance.faults.latency_seconds = 0.1     # see also cold_start_seconds
        instance.faults.fail(503, times=2, retry_after=1)
        instance.faults.reset(times=1)            # also hang(), cut(), garbage(); times=None is "until clear()"
        instance.faults.fail(500, when="__schema")  # only documents that contain this
        instance.faults.break_field("Entity", "duplicates", "no such table")
        instance.faults.clear()

        instance.merge("crm-1001", "web-2201")    # record ids; returns the id of the entity that stays
        instance.split(["desk-4001"])             # these records leave their entity
        instance.entity_id("crm-1001")            # of a record, now
        instance.submit({"id": "web-9", …})       # at once; through GraphQL after submit_delay_seconds,
        instance.submissions.settle()             # or now

`TiloresInstance(version="0.84")` has the schema of that server version; `layout=UPPER` or `layout=NESTED` are
instances with other names (layouts.py). The customers, and who has which value, are in people.py; the rules that link
and find them, and how scores are computed, in matching.py. `python -m tilores_instance --port 0` runs the same in a
process of its own, with a third port to switch and watch it (__main__.py, control.py).
"""

from __future__ import annotations

from tests.tilores_instance.instance import TiloresInstance
from tests.tilores_instance.layouts import BANK, NESTED, UPPER, Layout
from tests.tilores_instance.people import PEOPLE, crowd
from tests.tilores_instance.recording import SeenRequest, SeenTokenRequest

__all__ = [
    "BANK",
    "NESTED",
    "PEOPLE",
    "UPPER",
    "Layout",
    "SeenRequest",
    "SeenTokenRequest",
    "TiloresInstance",
    "crowd",
]
