"""A third port for an instance in a process of its own: what a test in the same process does by attribute.

`GET /` answers the counters. `POST /` takes a JSON object; every key is optional:

    {"token": {"down": true, "expires_in": 60}, "faults": {"latency_seconds": 0.1},
     "fail": [{"status": 503, "times": 2, "retry_after": 1, "when": ""}], "clear": true,
     "expire_tokens": true, "go_cold": true, "merge": ["crm-1001", "web-2201"], "split": ["desk-4001"]}
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.tilores_instance.instance import TiloresInstance
from tests.tilores_instance.replies import json_reply

_TOKEN = {"expires_in", "valid_seconds", "latency_seconds", "down", "hanging", "throttled", "status", "retry_after"}
_FAULTS = {"latency_seconds", "cold_start_seconds", "gateway_seconds"}
_KEYS = {"token", "faults", "fail", "clear", "expire_tokens", "go_cold", "merge", "split"}


class Control:
    def __init__(self, instance: TiloresInstance) -> None:
        self._instance = instance

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """400 with a sentence for a body that says nothing sensible."""
        if request.method == "GET":
            return json_reply(200, self._counters())
        try:
            self._apply(json.loads(await request.read()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return json_reply(400, {"message": f"{type(error).__name__}: {error}"})
        return json_reply(200, self._counters())

    def _counters(self) -> dict[str, Any]:
        instance = self._instance
        return {
            "requests": len(instance.requests),
            "in_flight": instance.in_flight,
            "in_flight_max": instance.in_flight_max,
            "tokens_issued": instance.token.issued,
            "token_requests": len(instance.token.requests),
            "token_in_flight_max": instance.token.in_flight_max,
        }

    def _apply(self, wanted: dict[str, Any]) -> None:
        if unknown := set(wanted) - _KEYS:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        instance = self._instance
        if wanted.get("clear"):
            instance.faults.clear()
        _set(instance.token, wanted.get("token", {}), _TOKEN)
        _set(instance.faults, wanted.get("faults", {}), _FAULTS)
        for one in wanted.get("fail", ()):
            instance.faults.fail(**one)
        if wanted.get("expire_tokens"):
            instance.token.expire_all()
        if wanted.get("go_cold"):
            instance.faults.go_cold()
        if wanted.get("merge"):
            instance.merge(*wanted["merge"])
        if wanted.get("split"):
            instance.split(wanted["split"])


def _set(target: object, values: dict[str, Any], known: set[str]) -> None:
    if unknown := set(values) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(target, name, value)
