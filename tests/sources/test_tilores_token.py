"""Access tokens: one request for all, early, and what happens while there are none to be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.sources.tilores_client import EDWINA, EDWINA_EMAIL, asked, connected, settings_for
from tests.tilores_instance import TiloresInstance
from tilores_core import Identifiers, SourceError, SourceUnavailableError
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.tilores.status import Status
from tilores_plugins.sources.tilores.tokens import Granted, Token, Tokens

WHO = Identifiers(email=EDWINA_EMAIL)


async def test_many_at_once_share_one_token(instance: TiloresInstance, tmp_path: Path) -> None:
    instance.token.latency_seconds = 0.05
    async with connected(instance, tmp_path, timeout_seconds=30) as source:
        found = await asyncio.gather(*(source.find(WHO) for _ in range(64)))
    assert all(len(customers) == 1 for customers in found)
    assert instance.token.issued == 1
    (request,) = instance.token.requests
    assert (request.credentials, request.client_id) == ("basic", instance.client_id)
    assert request.scope == "tilores/query.search tilores/query.entity"
    assert instance.in_flight_max <= 32
    assert len({seen.connection for seen in instance.requests}) <= 34, "connections are kept"
    assert all(seen.accepts_gzip for seen in instance.requests)


async def test_without_a_scope_all_are_had(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, scope=" ") as source:
        assert await source.find(WHO)
    assert instance.token.requests[0].scope == ""


async def test_it_is_renewed_early_while_the_old_one_serves(
    instance: TiloresInstance, tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    instance.token.expires_in = 1000.0
    async with connected(instance, tmp_path) as source:
        await source.find(WHO)
        pass_time(810.0)  # 80 % are over
        instance.token.latency_seconds = 1.0
        assert await source.find(WHO)
        assert instance.token.issued == 1, "the call went with the old one"
        await eventually(lambda: instance.token.issued >= 2)
    assert all(seen.status == 200 for seen in instance.requests)


def test_when_a_token_is_renewed() -> None:
    assert Token.new("t", 3600, 0.0).refresh_at == 2880.0
    assert Token.new("t", 200, 0.0).refresh_at == 140.0, "a minute before the end"
    assert Token.new("t", 10, 0.0).refresh_at == 8.0
    assert "secret-value" not in repr(Token.new("secret-value", 10, 0.0))


async def test_a_token_that_expires_midway_is_replaced(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path) as source:
        assert await source.find(WHO)
        instance.token.expire_all()
        found = await asyncio.gather(*(source.find(WHO) for _ in range(20)))
        assert all(found)
        assert instance.token.issued == 2
        instance.token.expire_all()  # the replacement may be replaced as well
        assert await source.find(WHO)
        assert instance.token.issued == 3


async def test_tokens_that_are_always_refused_are_not_asked_for_again_and_again(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path) as source:
        assert await source.find(WHO)
        instance.token.valid_seconds = 0.0
        instance.token.expire_all()
        for _ in range(10):
            with pytest.raises(SourceError, match="401") as raised:
                await source.find(WHO)
            assert not isinstance(raised.value, SourceUnavailableError)
            assert "TILORES_TOKEN_URL" in str(raised.value.fix)
        assert instance.token.issued == 2


@pytest.mark.parametrize("how", ["down", "throttled", "status", "hanging"])
async def test_the_old_token_serves_while_none_is_to_be_had(
    how: str, instance: TiloresInstance, tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    instance.token.expires_in = 1000.0
    async with connected(instance, tmp_path, timeout_seconds=30.0) as source:
        assert await source.find(WHO)
        setattr(instance.token, how, 503 if how == "status" else True)
        for _ in range(50):
            pass_time(18.0)
            assert await source.find(WHO)
        # Its renewal was tried, but not by each call.
        await eventually(lambda: len(instance.token.requests) >= 2)
        assert len(instance.token.requests) <= 12
        pass_time(100.0)  # it has expired
        asking = asyncio.ensure_future(source.find(WHO))
        while not asking.done():
            await asyncio.sleep(0.01)  # a turn for the sockets
            pass_time(10.0)  # what hangs is given up
        with pytest.raises(SourceUnavailableError) as raised:
            await asking
        assert raised.value.retry_after > 0
        assert "token" in raised.value.message or "did not answer" in raised.value.message


async def test_a_token_endpoint_that_is_down_is_asked_seldom_and_recovery_is_noticed(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path) as source:
        assert await source.find(WHO)
        instance.token.down = True
        instance.token.expire_all()
        failed = 0
        for _ in range(100):
            with pytest.raises(SourceUnavailableError, match="no access token"):
                await asyncio.wait_for(source.find(WHO), 60)
            failed += 1
            await asyncio.sleep(0.01)  # a steady load
        assert failed == 100
        assert len(instance.token.requests) < 12, "never a storm"
        instance.token.down = False

        async def found() -> bool:
            with suppress(SourceUnavailableError):
                return bool(await source.find(WHO))
            return False

        await eventually(found)


async def test_a_caller_who_gives_up_does_not_end_it_for_the_others() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def ask() -> Granted:
        started.set()
        await release.wait()
        return Granted("t", 60.0)

    async with TiloresInstance() as instance:
        tokens = Tokens(ask, settings_for(instance), Status())
        first, second = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
        await started.wait()
        first.cancel()
        release.set()
        assert await second == "t"
        with pytest.raises(asyncio.CancelledError):
            await first
        await tokens.aclose()


@pytest.mark.parametrize(
    ("wrong", "says", "fix"),
    [
        ({"client_secret": "mistaken"}, "invalid_client", "TILORES_CLIENT_SECRET"),
        ({"client_id": "nobody"}, "invalid_client", "TILORES_CLIENT_ID"),
        ({"scope": "tilores/query.search tilores/mutation.fly"}, "invalid_scope", "TILORES_SCOPE"),
    ],
)
async def test_what_the_token_endpoint_refuses_is_said(
    wrong: dict[str, Any], says: str, fix: str, instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path, **wrong) as source:
        for _ in range(5):
            with pytest.raises(SourceError, match=says) as raised:
                await source.find(WHO)
            assert not isinstance(raised.value, SourceUnavailableError)
            assert fix in str(raised.value.fix)
            assert instance.client_secret not in str(raised.value)
            assert "mistaken" not in repr(raised.value)
    assert len(instance.token.requests) == 1, "asking again cannot help"


async def test_the_token_address_may_be_wrong(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, token_url=f"{instance.api_url}/oauth2/token") as source:
        with pytest.raises(SourceError, match="token endpoint refused us") as raised:
            await source.find(WHO)
    assert "TILORES_TOKEN_URL" in str(raised.value.fix)


async def test_a_customer_by_id_needs_no_search_scope(instance: TiloresInstance, tmp_path: Path) -> None:
    instance.token.scopes = {"tilores/query.entity"}
    async with connected(instance, tmp_path, scope="tilores/query.entity") as source:
        assert await source.get(instance.entity_id(EDWINA)) is not None
        with pytest.raises(SourceError, match=r"lacks the scope tilores/query\.search") as raised:
            await source.find(WHO)
    assert "TILORES_SCOPE" in str(raised.value.fix)
    assert len(asked(instance, "Search")) == 1, "not tried again"
