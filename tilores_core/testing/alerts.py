"""What every alert channel must do, a channel that keeps what it is given, and notices to send.

    import pytest_asyncio
    from tilores_core.testing.alerts import AlertChannelSuite

    class TestAcmeChannel(AlertChannelSuite):
        @pytest_asyncio.fixture
        async def channel(self, acme_service):
            channel = AcmeChannel(acme_service.url, ...)
            yield channel
            await channel.aclose()

        @pytest.fixture
        def arrived(self, acme_service):
            return lambda: acme_service.texts

        @pytest_asyncio.fixture
        async def unreachable_channel(self): ...      # its receiver refuses connections

        @pytest_asyncio.fixture
        async def hanging_channel(self): ...          # its receiver takes requests and answers none

`arrived` gives the text of each message that the receiver has now, as it came. Tests of a fixture that is not
overridden are skipped. Give the channels a deadline of a second or less, so that the tests are quick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from tilores_core.contracts import Alert, AlertChannel, AlertNotice, NoticeEntry
from tilores_core.errors import AlertChannelError
from tilores_core.testing.waiting import eventually

Arrived = Callable[[], Sequence[str]]


def sample_alert(**more: Any) -> Alert:
    """An alert about a model in one spectrum; `more` replaces fields of it."""
    fields: dict[str, Any] = {
        "kind": "quality.floor",
        "severity": "HIGH",
        "title": "Answers about billing fell below 90 %",
        "detail": "acme:large scored 0.87 on the last 200 answers.",
        "source": "quality",
        "model": "acme:large",
        "spectrum": "billing",
        "prompt_version": "builtin-0123456789ab",
        "labels": {"floor": "warning"},
        "values": {"score": 0.87},
    }
    return Alert(**{**fields, **more})


def sample_entry(alert: Alert | None = None, **more: Any) -> NoticeEntry:
    """An entry of a notice, opened a minute ago; `more` replaces fields of it."""
    now = time.time()
    fields: dict[str, Any] = {
        "alert": alert or sample_alert(),
        "reason": "raised",
        "first_at": now - 60,
        "last_at": now,
    }
    return NoticeEntry(**{**fields, **more})


def sample_notice(*entries: NoticeEntry) -> AlertNotice:
    """A notice with a new id."""
    return AlertNotice(id=uuid4().hex, entries=entries or (sample_entry(),))


class FakeChannel:
    """`notices` holds what came, oldest first. With `error` set `send` raises it; with `hangs` it waits until it is
    cancelled. `calls` counts the calls, failed ones as well."""

    def __init__(self, *, error: Exception | None = None, hangs: bool = False) -> None:
        self.error = error
        self.hangs = hangs
        self.notices: list[AlertNotice] = []
        self.calls = 0
        self.closed = False

    async def send(self, notice: AlertNotice) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.notices.append(notice)

    async def aclose(self) -> None:
        self.closed = True


class AlertChannelSuite:
    """Subclass it and override the fixtures."""

    @pytest.fixture
    def channel(self) -> AlertChannel:
        raise NotImplementedError("override the fixture `channel`")

    @pytest.fixture
    def arrived(self) -> Arrived:
        raise NotImplementedError("override the fixture `arrived`")

    @pytest.fixture
    def unreachable_channel(self) -> AlertChannel:
        pytest.skip("no `unreachable_channel`")

    @pytest.fixture
    def hanging_channel(self) -> AlertChannel:
        pytest.skip("no `hanging_channel`")

    async def test_notice_arrives_with_what_it_says(self, channel: AlertChannel, arrived: Arrived) -> None:
        alert = sample_alert(title=f"Answers fell {uuid4().hex[:8]}")
        await channel.send(sample_notice(sample_entry(alert)))
        await eventually(arrived, "the message")
        (text,) = arrived()
        assert alert.title in text
        assert alert.severity in text or alert.severity.lower() in text

    async def test_end_says_that_it_is_one(self, channel: AlertChannel, arrived: Arrived) -> None:
        over = sample_entry(reason="resolved", state="resolved", resolved_at=time.time())
        await channel.send(sample_notice(over))
        await eventually(arrived, "the message")
        # Alertmanager says it by the time of the end alone.
        assert "resolved" in arrived()[0].lower() or "endsAt" in arrived()[0]

    async def test_storm_is_one_message_of_bounded_size(self, channel: AlertChannel, arrived: Arrived) -> None:
        entries = [
            sample_entry(sample_alert(title=f"storm {n} " + "x" * 200, labels={"n": str(n)}), count=7)
            for n in range(1000)
        ]
        await channel.send(sample_notice(*entries))
        await eventually(arrived, "the message")
        (text,) = arrived()
        assert "1000" in text or "999" in text or text.count("storm") >= 1000
        assert len(text) < 4_000_000

    async def test_odd_text_arrives(self, channel: AlertChannel, arrived: Arrived) -> None:
        odd = sample_alert(title="a <b> & \"c\" 'd' ü ☎ *e* _f_\r\nBcc: x@example.com\n\x07", detail="", values={})
        await channel.send(sample_notice(sample_entry(odd)))
        await eventually(arrived, "the message")
        assert "ü ☎" in arrived()[0]

    async def test_several_at_once(self, channel: AlertChannel, arrived: Arrived) -> None:
        await asyncio.gather(*(channel.send(sample_notice()) for _ in range(5)))
        await eventually(lambda: len(arrived()) >= 5, "the messages")
        assert len(arrived()) == 5

    async def test_unreachable_receiver_raises(self, unreachable_channel: AlertChannel) -> None:
        with pytest.raises(AlertChannelError) as caught:
            await unreachable_channel.send(sample_notice())
        assert caught.value.message

    async def test_hanging_receiver_raises_in_time(self, hanging_channel: AlertChannel) -> None:
        async with asyncio.timeout(30):
            with pytest.raises(AlertChannelError):
                await hanging_channel.send(sample_notice())

    async def test_cancelled_send_ends(self, hanging_channel: AlertChannel) -> None:
        sending = asyncio.create_task(hanging_channel.send(sample_notice()))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    async def test_close_may_be_called_twice(self, channel: AlertChannel) -> None:
        await channel.aclose()
        await channel.aclose()
