"""Notices as signed JSON to any address, as https://www.standardwebhooks.com says.

    webhook-id          the notice's id: the same when it is sent again
    webhook-timestamp   seconds since the epoch
    webhook-signature   v1, and the base64 of HMAC-SHA256 of "ID.TIMESTAMP.BODY" by the secret

A receiver checks the signature over the bytes as they came, refuses a time stamp that is more than five minutes off,
and remembers ids for as long: so neither a changed nor a repeated request has an effect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tilores_core import AlertChannel, AlertChannelSpec, AlertNotice, PluginContext, PluginError, hookimpl
from tilores_plugins.alerts.wording import as_json

_PREFIX: Final = "whsec_"


class Settings(BaseModel):
    """`[plugins.webhook]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr | None = Field(None, description="where notices are posted to; none: the channel is off")
    secret: SecretStr | None = Field(
        None, description="what they are signed with, at least 16 characters; whsec_ and base64 is read as such"
    )
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest time for one message")
    max_alerts: int = Field(100, ge=1, le=5000, description="alerts listed in one message; the rest is a number")

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            try:
                length = len(key_of(value.get_secret_value()))
            except ValueError:
                raise ValueError("behind whsec_ there must be base64") from None
            if length < 16:
                raise ValueError("it is too short: take at least 16 characters")
        return value


def key_of(secret: str) -> bytes:
    """The bytes that a secret stands for. Raises `ValueError`."""
    if secret.startswith(_PREFIX):
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    return secret.encode()


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed_request(notice: AlertNotice, key: bytes, *, max_alerts: int, now: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers. `now`: seconds since the epoch."""
    body = json.dumps(as_json(notice, max_alerts)).encode()
    return body, {
        "webhook-id": notice.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, notice.id, now, body),
    }


def build(context: PluginContext) -> AlertChannel:
    """Raises `PluginError` when address or secret is missing."""
    from tilores_plugins.alerts.http_post import HttpChannel

    settings: Settings = context.settings
    if not settings.secret:
        raise PluginError("there is no secret", plugin=context.plugin_id, fix="set TILORES_ALERT_WEBHOOK_SECRET")
    key = key_of(settings.secret.get_secret_value())

    def request(notice: AlertNotice) -> tuple[bytes, dict[str, str]]:
        return signed_request(notice, key, max_alerts=settings.max_alerts, now=int(time.time()))

    return HttpChannel.to(context, settings.url, request, fix="set TILORES_ALERT_WEBHOOK_URL")


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="webhook",
            factory=build,
            settings=Settings,
            requires={"httpx": "tilores-core[alerts]"},
            environment={"url": "TILORES_ALERT_WEBHOOK_URL", "secret": "TILORES_ALERT_WEBHOOK_SECRET"},
            summary="Signed JSON to an address",
        )
    ]
