"""Notices by e-mail.

Nothing here imports aiosmtplib; sending does.
"""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tilores_core import (
    AlertChannelError,
    AlertChannelSpec,
    AlertNotice,
    AlertRefusedError,
    ConfigError,
    PluginContext,
    PluginError,
    hookimpl,
)
from tilores_plugins.alerts.wording import paragraphs, printable

_SUBJECT_CHARACTERS: Final = 200
_REFUSED: Final = frozenset((552, 554))


class Settings(BaseModel):
    """`[plugins.email]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field("", max_length=255, description="the mail server; empty: the channel is off")
    port: int = Field(587, ge=1, le=65535, description="its port")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection is encrypted; none: for a mail server on this machine"
    )
    ca_file: str | None = Field(None, description="authorities that the mail server's certificate may come from, PEM")
    user: str | None = Field(None, max_length=320, description="user name there; none: no log-in")
    password: SecretStr | None = Field(None, description="its password, by reference")
    sender: str = Field("", max_length=320, description="address that the messages come from")
    recipients: tuple[str, ...] = Field((), max_length=50, description="addresses that they go to")
    timeout_seconds: float = Field(8.0, gt=0, le=60, description="longest time for one message")


class EmailChannel:
    """Sends alerts as e-mail over SMTP. `tls`: the context for both kinds of encryption."""

    def __init__(self, settings: Settings, tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._tls = tls

    async def send(self, notice: AlertNotice) -> None:
        import aiosmtplib

        settings = self._settings
        password = settings.password.get_secret_value() if settings.password is not None else None
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                await aiosmtplib.send(
                    self._message(notice),
                    hostname=settings.host,
                    port=settings.port,
                    username=settings.user,
                    password=password if settings.user else None,
                    timeout=settings.timeout_seconds,
                    use_tls=settings.security == "tls",
                    start_tls=settings.security == "starttls",
                    tls_context=self._tls if settings.security != "none" else None,
                )
        except TimeoutError:
            raise AlertChannelError(f"no answer within {settings.timeout_seconds:g} s") from None
        except aiosmtplib.SMTPRecipientsRefused:
            raise AlertChannelError("the mail server refuses the recipients") from None
        except aiosmtplib.SMTPResponseException as error:  # its words may quote an address
            kind = AlertRefusedError if error.code in _REFUSED else AlertChannelError
            raise kind(f"the mail server answers with {error.code}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise AlertChannelError(f"the mail server cannot be reached: {type(error).__name__}") from None

    async def aclose(self) -> None:
        return None

    def _message(self, notice: AlertNotice) -> EmailMessage:
        settings, first = self._settings, notice.entries[0].alert.fingerprint
        message = EmailMessage()
        message["Subject"] = printable(notice.headline)[:_SUBJECT_CHARACTERS]
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.recipients)
        message["Date"] = formatdate(usegmt=True)
        domain = settings.sender.rpartition("@")[2]
        message["Message-ID"] = f"<{notice.id}@{domain}>"
        message["References"] = f"<{first}@{domain}>"  # mail programs show the messages about one alert together
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n\n".join(paragraphs(notice)) + "\n")
        return message


def build(context: PluginContext) -> EmailChannel:
    """Raises `PluginError` when it is not set up, `ConfigError` when it would send a password unencrypted."""
    settings: Settings = context.settings
    missing = [name for name in ("host", "sender", "recipients") if not getattr(settings, name)]
    if missing:
        raise PluginError(
            f"there is no {missing[0]}", plugin=context.plugin_id, fix=f"set {missing[0]} in [plugins.email]"
        )
    if settings.security == "none" and settings.user and settings.host not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError(
            "the password would be sent unencrypted", where="[plugins.email] security", fix="use starttls or tls"
        )
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the authorities cannot be read: {type(error).__name__}",
            where="[plugins.email] ca_file",
            fix="name a file with certificates in PEM form, or remove the key",
        ) from None
    return EmailChannel(settings, tls)


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="email",
            factory=build,
            settings=Settings,
            requires={"aiosmtplib": "tilores-core[email]"},
            environment={"password": "SMTP_PASSWORD"},
            summary="E-mail by SMTP",
        )
    ]
