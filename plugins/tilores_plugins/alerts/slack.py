"""Notices to Slack by an incoming webhook, with Block Kit: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

Nothing here imports httpx; building the channel does.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tilores_core import AlertChannel, AlertChannelSpec, AlertNotice, PluginContext, hookimpl
from tilores_plugins.alerts.wording import facts, printable, word

_MOST_SHOWN: Final = 10
_HEADER_CHARACTERS: Final = 150
_CUT_ENTITY: Final = re.compile(r"&[a-z]*$")
_SECTION_CHARACTERS: Final = 2900  # 3000, of Slack's own count
_SIGNS: Final = {
    "CRITICAL": ":red_circle:",
    "HIGH": ":large_orange_circle:",
    "MEDIUM": ":large_yellow_circle:",
    "LOW": ":large_blue_circle:",
    "INFO": ":white_circle:",
    "RESOLVED": ":large_green_circle:",
    "TEST": ":white_circle:",
}


class Settings(BaseModel):
    """`[plugins.slack]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr | None = Field(
        None, description="address of the incoming webhook, which is a secret; none: the channel is off"
    )
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest time for one message")


def message(notice: AlertNotice) -> dict[str, Any]:
    """The body for the webhook: `text` for notifications, `blocks` for the channel."""
    headline = printable(notice.headline)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": headline[:_HEADER_CHARACTERS], "emoji": False}}
    ]
    for entry in notice.entries[:_MOST_SHOWN]:
        lines = [f"{_SIGNS[word(entry)]} *{escape(entry.alert.title)}*"]
        if entry.alert.detail:
            lines.append(escape(entry.alert.detail))
        lines.append(" · ".join(f"{escape(name)}: {escape(value)}" for name, value in facts(entry)))
        text = _CUT_ENTITY.sub("", "\n".join(lines)[:_SECTION_CHARACTERS])
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    if (rest := len(notice.entries) - _MOST_SHOWN) > 0:
        text = f"and {rest} more: {len(notice.entries)} alerts, raised {notice.count} times"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
    return {"text": escape(headline), "blocks": blocks}


def escape(text: str) -> str:
    """Only these three have a meaning that text must not have: https://docs.slack.dev/messaging/formatting-message-text."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def build(context: PluginContext) -> AlertChannel:
    """Raises `PluginError` when there is no address."""
    from tilores_plugins.alerts.http_post import HttpChannel

    fix = "set SLACK_WEBHOOK_URL to an incoming webhook"
    return HttpChannel.to(context, context.settings.url, lambda notice: (message(notice), {}), fix=fix)


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="slack",
            factory=build,
            settings=Settings,
            requires={"httpx": "tilores-core[alerts]"},
            environment={"url": "SLACK_WEBHOOK_URL"},
            summary="Slack, by an incoming webhook",
        )
    ]
