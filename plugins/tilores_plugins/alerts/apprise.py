"""Notices by any of the services that the library apprise speaks to: https://github.com/caronc/apprise.

Nothing here imports apprise; building the channel does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tilores_core import (
    AlertChannelError,
    AlertChannelSpec,
    AlertNotice,
    ConfigError,
    PluginContext,
    PluginError,
    hookimpl,
)
from tilores_plugins.alerts.wording import paragraphs, printable

if TYPE_CHECKING:
    from apprise import Apprise


class Settings(BaseModel):
    """`[plugins.apprise]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    urls: tuple[SecretStr, ...] = Field(
        (), max_length=20, description="addresses as apprise writes them, by reference; none: the channel is off"
    )
    timeout_seconds: float = Field(8.0, gt=0, le=60, description="longest time for one message")


class AppriseChannel:
    def __init__(self, client: Apprise, *, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    async def send(self, notice: AlertNotice) -> None:
        from apprise import NotifyType

        kind: Any = NotifyType.WARNING
        if notice.is_resolved:
            kind = NotifyType.SUCCESS
        elif notice.severity in ("CRITICAL", "HIGH"):
            kind = NotifyType.FAILURE
        elif notice.severity == "INFO":
            kind = NotifyType.INFO
        try:
            async with asyncio.timeout(self._seconds):
                done = await self._client.async_notify(
                    title=printable(notice.headline), body="\n\n".join(paragraphs(notice)), notify_type=kind
                )
        except TimeoutError:
            raise AlertChannelError(f"no answer within {self._seconds:g} s") from None
        if not done:  # the library does not say which, nor why
            raise AlertChannelError("a service did not take the message")

    async def aclose(self) -> None:
        return None


def build(context: PluginContext) -> AppriseChannel:
    """Raises `PluginError` without an address, `ConfigError` for one that apprise does not know."""
    from apprise import Apprise

    settings: Settings = context.settings
    if not settings.urls:
        raise PluginError("there is no address", plugin=context.plugin_id, fix="set urls in [plugins.apprise]")
    logging.getLogger("apprise").disabled = True  # it logs addresses, which hold secrets
    client = Apprise()
    for number, url in enumerate(settings.urls):
        if not client.add(url.get_secret_value()):
            raise ConfigError(
                "apprise does not know this address",
                where=f"[plugins.apprise] urls[{number}]",
                fix="write it as its documentation says",
            )
    return AppriseChannel(client, seconds=settings.timeout_seconds)


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="apprise",
            factory=build,
            settings=Settings,
            requires={"apprise": "tilores-core[apprise]"},
            summary="A hundred other services, by the library apprise",
        )
    ]
