"""The built-in channels: the conformance suite, and what is particular to each."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from tests.alerts.receiver import Receiver
from tests.redis_server import free_port
from tilores_core import (
    AlertChannel,
    AlertChannelError,
    AlertRefusedError,
    ConfigError,
    PluginError,
)
from tilores_core.testing import ALERTS, eventually, isolated_host
from tilores_core.testing.alerts import AlertChannelSuite, Arrived, sample_alert, sample_entry, sample_notice
from tilores_plugins.alerts import alertmanager, apprise, email as email_plugin, file, log, slack, webhook

SECRET = "a-secret-of-enough-length"
Build = Callable[..., AlertChannel]


def build(module: Any, name: str, tmp_path: Path, **settings: Any) -> AlertChannel:
    host = isolated_host({name: module}, {"plugins": {name: settings}}, data_dir=tmp_path)
    return host.build(ALERTS, name)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


class HttpSuite(AlertChannelSuite):
    """`settings`: with the address of a receiver."""

    module: Any
    name: str
    more: dict[str, Any] = {}  # noqa: RUF012

    def address(self, url: str) -> dict[str, Any]:
        return {"url": url, "timeout_seconds": 0.5, **self.more}

    @pytest.fixture
    async def channel(self, receiver: Receiver, tmp_path: Path) -> AsyncIterator[AlertChannel]:
        made = build(self.module, self.name, tmp_path, **(self.address(receiver.url) | {"timeout_seconds": 60}))
        yield made
        await made.aclose()

    @pytest.fixture
    def arrived(self, receiver: Receiver) -> Arrived:
        # JSON escapes what is not ASCII.
        return lambda: [json.dumps(json.loads(body), ensure_ascii=False) for body in receiver.bodies]

    @pytest.fixture
    async def unreachable_channel(self, tmp_path: Path) -> AsyncIterator[AlertChannel]:
        made = build(self.module, self.name, tmp_path, **self.address(f"http://127.0.0.1:{free_port()}"))
        yield made
        await made.aclose()

    @pytest.fixture
    async def hanging_channel(self, receiver: Receiver, tmp_path: Path) -> AsyncIterator[AlertChannel]:
        receiver.fault = "hang"
        made = build(self.module, self.name, tmp_path, **self.address(receiver.url))
        yield made
        await made.aclose()

    @pytest.mark.parametrize(
        ("fault", "said"),
        [(429, "429$"), (500, "500$"), (404, "secret right"), (302, "leads to$"), ("cut", "cannot be reached")],
    )
    async def test_failing_receiver_raises_without_its_address(
        self, channel: AlertChannel, receiver: Receiver, fault: int | str, said: str
    ) -> None:
        receiver.fault, receiver.retry_after = fault, "7"
        with pytest.raises(AlertChannelError, match=said) as caught:
            await channel.send(sample_notice())
        assert not isinstance(caught.value, AlertRefusedError)
        assert caught.value.retry_after == (None if fault == "cut" else 7)
        assert str(receiver.port) not in str(caught.value)
        receiver.fault = None
        await channel.send(sample_notice())
        assert len(receiver.bodies) == 1

    async def test_time_is_as_set(self, hanging_channel: AlertChannel) -> None:
        with pytest.raises(AlertChannelError, match=r"no answer within 0.5 s"):
            await hanging_channel.send(sample_notice())

    async def test_refused_message_is_told_apart(self, channel: AlertChannel, receiver: Receiver) -> None:
        receiver.fault = 400
        with pytest.raises(AlertRefusedError):
            await channel.send(sample_notice())

    def test_without_an_address_it_is_off(self, tmp_path: Path) -> None:
        with pytest.raises(PluginError, match="there is no"):
            build(self.module, self.name, tmp_path)


class TestSlack(HttpSuite):
    module = slack
    name = "slack"

    async def test_message_is_within_the_limits_of_block_kit(self, channel: AlertChannel, receiver: Receiver) -> None:
        long = sample_alert(title="x" * 300, detail="<&>" * 2000)
        await channel.send(sample_notice(*[sample_entry(long)] * 60))
        body = json.loads(receiver.bodies[0])
        assert len(body["blocks"]) <= 50
        assert len(body["blocks"][0]["text"]["text"]) <= 150
        sections = [block["text"]["text"] for block in body["blocks"] if block["type"] == "section"]
        assert all(len(text) <= 3000 and text.endswith(";") for text in sections)  # cut behind an entity
        assert "and 50 more: 60 alerts" in json.dumps(body)

    async def test_markup_in_a_text_is_escaped(self, channel: AlertChannel, receiver: Receiver) -> None:
        await channel.send(sample_notice(sample_entry(sample_alert(title="<!channel> & <b>"))))
        body = json.loads(receiver.bodies[0])
        assert "&lt;!channel&gt; &amp; &lt;b&gt;" in body["text"]
        assert "<!channel>" not in json.dumps(body["blocks"][1:]) + body["text"]


class TestWebhook(HttpSuite):
    module = webhook
    name = "webhook"
    more = {"secret": SECRET}  # noqa: RUF012

    async def test_signature_is_that_of_standard_webhooks(self, channel: AlertChannel, receiver: Receiver) -> None:
        notice = sample_notice()
        await channel.send(notice)
        headers, body = receiver.headers[0], receiver.bodies[0].encode()
        assert headers["webhook-id"] == notice.id
        signed = f"{notice.id}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"

    def test_secret_written_as_base64(self) -> None:
        assert webhook.key_of("whsec_" + base64.b64encode(b"x" * 24).decode()) == b"x" * 24

    @pytest.mark.parametrize("secret", ["q8#w", "whsec_%%%", "whsec_" + base64.b64encode(b"x").decode()])
    def test_weak_secret_is_refused(self, tmp_path: Path, secret: str) -> None:
        with pytest.raises(ConfigError, match="secret") as caught:
            build(webhook, "webhook", tmp_path, url="http://127.0.0.1:1", secret=secret)
        assert secret not in str(caught.value)

    async def test_alerts_listed_are_as_many_as_set(self, receiver: Receiver, tmp_path: Path) -> None:
        made = build(webhook, "webhook", tmp_path, url=receiver.url, secret=SECRET, max_alerts=2, timeout_seconds=60)
        await made.send(sample_notice(*[sample_entry()] * 5))
        body = json.loads(receiver.bodies[0])
        assert (len(body["alerts"]), body["alerts_total"]) == (2, 5)
        await made.aclose()


class TestAlertmanager(HttpSuite):
    module = alertmanager
    name = "alertmanager"

    async def test_alert_and_its_end_have_the_same_labels(self, channel: AlertChannel, receiver: Receiver) -> None:
        alert = sample_alert(labels={"Some-Label": "x"})
        await channel.send(sample_notice(sample_entry(alert)))
        over = sample_entry(alert, reason="resolved", state="resolved", resolved_at=1_790_000_000.0, first_at=1.0)
        await channel.send(sample_notice(over))
        (first,), (last,) = (json.loads(body) for body in receiver.bodies)
        assert receiver.paths == ["/api/v2/alerts"] * 2
        assert first["labels"] == last["labels"]
        assert first["labels"]["alertname"] == "quality.floor"
        assert first["labels"]["severity"] == "high"
        assert first["labels"]["label_Some_Label"] == "x"
        assert first["endsAt"] > first["startsAt"]
        assert last["endsAt"] == "2026-09-21T14:13:20.000Z"

    async def test_other_severities_of_an_alert_raised_again_end(
        self, channel: AlertChannel, receiver: Receiver
    ) -> None:
        await channel.send(sample_notice(sample_entry(sample_alert(severity="CRITICAL"), count=2)))
        found = {one["labels"]["severity"]: one["endsAt"] for one in json.loads(receiver.bodies[0])}
        assert set(found) == {"critical", "high", "medium", "low", "info"}
        assert all(found["critical"] > ends for severity, ends in found.items() if severity != "critical")

    async def test_test_message_ends_within_minutes(self, channel: AlertChannel, receiver: Receiver) -> None:
        now = time.time()
        await channel.send(sample_notice(sample_entry(reason="test", first_at=now, last_at=now)))
        (sent,) = json.loads(receiver.bodies[0])
        ends = datetime.fromisoformat(sent["endsAt"]).timestamp()
        assert now + 120 < ends < now + 900

    async def test_open_alert_is_held_for_its_hours(self, receiver: Receiver, tmp_path: Path) -> None:
        made = build(alertmanager, "alertmanager", tmp_path, url=receiver.url, hold_hours=0.001, timeout_seconds=60)
        await made.send(sample_notice(sample_entry(first_at=1.0)))
        usual = build(alertmanager, "alertmanager", tmp_path, url=receiver.url, timeout_seconds=60)
        await usual.send(sample_notice(sample_entry(first_at=1.0)))
        first, second = (json.loads(body)[0]["endsAt"] for body in receiver.bodies)
        assert first < second
        await made.aclose()
        await usual.aclose()


# Of a module that apprise imports and that later Pythons do not have.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
class TestApprise(AlertChannelSuite):
    def urls(self, port: int) -> list[str]:
        return [f"json://127.0.0.1:{port}/?cto=0.5&rto=0.5"]

    @pytest.fixture
    async def channel(self, receiver: Receiver, tmp_path: Path) -> AlertChannel:
        return build(apprise, "apprise", tmp_path, urls=self.urls(receiver.port), timeout_seconds=60)

    @pytest.fixture
    def arrived(self, receiver: Receiver) -> Arrived:
        return lambda: [json.dumps(json.loads(body), ensure_ascii=False) for body in receiver.bodies]

    @pytest.fixture
    async def unreachable_channel(self, tmp_path: Path) -> AlertChannel:
        return build(apprise, "apprise", tmp_path, urls=self.urls(free_port()))

    @pytest.fixture
    async def hanging_channel(self, receiver: Receiver, tmp_path: Path) -> AlertChannel:
        receiver.fault = "hang"
        return build(apprise, "apprise", tmp_path, urls=self.urls(receiver.port), timeout_seconds=0.3)

    async def test_time_is_as_set(self, hanging_channel: AlertChannel) -> None:
        with pytest.raises(AlertChannelError, match=r"no answer within 0.3 s"):
            await hanging_channel.send(sample_notice())

    def test_address_that_is_none_is_refused_without_being_shown(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"urls\[0\]") as caught:
            build(apprise, "apprise", tmp_path, urls=["nosuch://secret@there"])
        assert "secret" not in str(caught.value)


class TestLog(AlertChannelSuite):
    @pytest.fixture
    async def channel(self, tmp_path: Path) -> AsyncIterator[AlertChannel]:
        self.lines: list[str] = []
        with structlog.testing.capture_logs() as captured:
            self.captured = captured
            yield build(log, "log", tmp_path)

    @pytest.fixture
    def arrived(self) -> Arrived:
        def together() -> list[str]:
            whole = [json.dumps(line, ensure_ascii=False) for line in self.captured]
            return ["\n".join(whole)] if len(whole) > 5 else whole

        return together


class TestFile(AlertChannelSuite):
    @pytest.fixture
    async def channel(self, tmp_path: Path) -> AlertChannel:
        return build(file, "file", tmp_path)

    @pytest.fixture
    def arrived(self, tmp_path: Path) -> Arrived:
        path = tmp_path / "alerts.jsonl"
        return lambda: path.read_text().splitlines() if path.exists() else []

    async def test_file_is_for_its_owner(self, channel: AlertChannel, tmp_path: Path) -> None:
        await channel.send(sample_notice())
        assert stat.S_IMODE((tmp_path / "alerts.jsonl").stat().st_mode) == 0o600

    async def test_file_that_is_full_is_begun_again(self, tmp_path: Path) -> None:
        made = build(file, "file", tmp_path, path="sub/there.jsonl", max_bytes=10_000)
        for _ in range(20):
            await made.send(sample_notice())
        first, second = (tmp_path / "sub" / name for name in ("there.jsonl.1", "there.jsonl"))
        assert first.stat().st_size <= 10_000
        assert len(second.read_text().splitlines()) < 20
        assert all(json.loads(line)["alerts_total"] == 1 for line in first.read_text().splitlines())

    async def test_file_that_cannot_be_written_raises(self, tmp_path: Path) -> None:
        (tmp_path / "taken").mkdir()
        with pytest.raises(AlertChannelError, match="cannot be written"):
            await build(file, "file", tmp_path, path="taken").send(sample_notice())


# --- e-mail ------------------------------------------------------------------------------------------------


class Mailbox:
    """What aiosmtpd hands over. `fault`: what it answers instead."""

    def __init__(self) -> None:
        self.messages: list[email.message.EmailMessage] = []
        self.recipients: list[str] = []
        self.encrypted: list[bool] = []
        self.fault: str | None = None

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        if self.fault:
            return self.fault
        parsed = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)  # type: ignore[arg-type]
        assert isinstance(parsed, email.message.EmailMessage)
        self.messages.append(parsed)
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


def _authenticate(server: SMTP, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.password == SECRET.encode()
    return AuthResult(success=right, handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mail_server(mailbox: Mailbox, certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    port = free_port()
    controller = Controller(
        mailbox,
        hostname="localhost",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=_authenticate,
    )
    controller.start()
    yield port
    controller.stop()


class TestEmail(AlertChannelSuite):
    @pytest.fixture(autouse=True)
    async def closed(self) -> AsyncIterator[None]:
        """A connection with TLS closes some rounds of the loop after the message, when the other side agrees."""
        yield
        loop: Any = asyncio.get_running_loop()
        await eventually(lambda: all(transport._sock is None for transport in list(loop._transports.values())))

    def make(self, tmp_path: Path, port: int, **more: Any) -> AlertChannel:
        settings = {"host": "localhost", "port": port, "sender": "tilores@example.com", "timeout_seconds": 60.0}
        return build(email_plugin, "email", tmp_path, **(settings | {"recipients": ["desk@example.com"]} | more))

    @pytest.fixture
    async def channel(self, tmp_path: Path, mail_server: int, certificate: Path) -> AlertChannel:
        return self.make(tmp_path, mail_server, ca_file=str(certificate / "cert.pem"), user="desk", password=SECRET)

    @pytest.fixture
    def arrived(self, mailbox: Mailbox) -> Arrived:
        return lambda: [f"{one['subject']}\n{one.get_content()}" for one in mailbox.messages]

    @pytest.fixture
    async def unreachable_channel(self, tmp_path: Path) -> AlertChannel:
        return self.make(tmp_path, free_port())

    @pytest.fixture
    async def hanging_channel(self, tmp_path: Path) -> AsyncIterator[AlertChannel]:
        with socket.create_server(("localhost", 0)) as silent:
            yield self.make(tmp_path, silent.getsockname()[1], timeout_seconds=0.3)

    async def test_message_is_encrypted_and_has_its_headers(self, channel: AlertChannel, mailbox: Mailbox) -> None:
        notice = sample_notice()
        await channel.send(notice)
        (message,) = mailbox.messages
        assert mailbox.encrypted == [True]
        assert mailbox.recipients == ["desk@example.com"]
        assert message["message-id"] == f"<{notice.id}@example.com>"
        assert notice.entries[0].alert.fingerprint in message["references"]
        assert message["from"] == "tilores@example.com"

    async def test_time_is_as_set(self, hanging_channel: AlertChannel) -> None:
        with pytest.raises(AlertChannelError, match=r"no answer within 0.3 s"):
            await hanging_channel.send(sample_notice())

    async def test_no_header_comes_from_a_title(self, channel: AlertChannel, mailbox: Mailbox) -> None:
        await channel.send(sample_notice(sample_entry(sample_alert(title="a\r\nBcc: other@example.com"))))
        assert mailbox.recipients == ["desk@example.com"]
        assert mailbox.messages[0]["bcc"] is None

    async def test_certificate_of_a_stranger_is_refused(self, tmp_path: Path, mail_server: int) -> None:
        with pytest.raises(AlertChannelError, match="cannot be reached"):
            await self.make(tmp_path, mail_server).send(sample_notice())

    async def test_wrong_password_is_an_error_without_it(
        self, tmp_path: Path, mail_server: int, certificate: Path
    ) -> None:
        wrong = self.make(
            tmp_path, mail_server, ca_file=str(certificate / "cert.pem"), user="desk", password="wrong-password"
        )
        with pytest.raises(AlertChannelError, match="535") as caught:
            await wrong.send(sample_notice())
        assert "wrong-password" not in str(caught.value)

    @pytest.mark.parametrize(("fault", "kind"), [("451 later", AlertChannelError), ("554 no", AlertRefusedError)])
    async def test_answers_of_the_mail_server(
        self, channel: AlertChannel, mailbox: Mailbox, fault: str, kind: type[AlertChannelError]
    ) -> None:
        mailbox.fault = fault
        with pytest.raises(AlertChannelError) as caught:
            await channel.send(sample_notice())
        assert type(caught.value) is kind

    def test_password_is_never_sent_unencrypted(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="unencrypted"):
            self.make(tmp_path, 25, host="mail.example.com", security="none", user="desk", password=SECRET)

    @pytest.mark.parametrize("missing", ["host", "sender", "recipients"])
    def test_what_is_missing_is_named(self, tmp_path: Path, missing: str) -> None:
        with pytest.raises(PluginError, match=f"there is no {missing}"):
            self.make(tmp_path, 25, **{missing: [] if missing == "recipients" else ""})

    async def test_without_encryption_to_this_machine(self, tmp_path: Path, mailbox: Mailbox) -> None:
        port = free_port()
        controller = Controller(mailbox, hostname="localhost", port=port)
        controller.start()
        try:
            await self.make(tmp_path, port, security="none").send(sample_notice())
        finally:
            controller.stop()
        assert mailbox.encrypted == [False]


def test_libraries_of_channels_are_not_imported_with_their_plugins() -> None:
    code = (
        "import sys\n"
        "from tilores_plugins.alerts import alertmanager, apprise, email, file, log, slack, webhook\n"
        "assert not {'httpx', 'apprise', 'aiosmtplib'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
