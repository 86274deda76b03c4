"""Which models are tried, in which spec, and when no other one is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chat.engine_world import World
from tilores_core.chat.prompts import BUILTIN
from tilores_core.contracts import Answer, ExperimentArm, ModelInfo, PromptChoice, PromptSource, Turn, Usage
from tilores_core.errors import (
    ContentRefusedError,
    ContextTooLongError,
    InvalidRequestError,
    ProviderAuthError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    UnknownModelError,
    UnsupportedParameterError,
)
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.waiting import eventually


class Chain(World):
    """Three providers: `one:m` is the default, `two:m` and `three:m` are its fallbacks."""

    def __init__(self, prompts: PromptSource | None = None) -> None:
        infos = (ModelInfo(id="m", input_price=1.0, output_price=1.0),)
        self.one, self.two, self.three = (FakeProvider(name, infos) for name in ("one", "two", "three"))
        super().__init__(
            providers={"one": self.one, "two": self.two, "three": self.three},
            model="one:m",
            fallbacks=["two:m", "three:m"],
            prompts=prompts,
        )

    @property
    def tried(self) -> tuple[int, int, int]:
        return len(self.one.asked), len(self.two.asked), len(self.three.asked)


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    async with Chain() as chain:
        yield chain


async def get(chain: Chain, streamed: bool, **turn: object) -> Answer:
    return (await chain.listen(**turn))[1] if streamed else await chain.ask(**turn)


def down(name: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(f"{name} is down", provider=name)


both_ways = pytest.mark.parametrize("streamed", [False, True])


@both_ways
async def test_the_chain_is_tried_in_order(chain: Chain, streamed: bool) -> None:
    chain.one.enqueue(down("one"))
    chain.two.enqueue(ProviderRateLimitedError("slow down", provider="two"))
    chain.three.enqueue(FakeReply(text="from three", usage=Usage(input_tokens=5, output_tokens=7)))
    answer = await get(chain, streamed)
    assert (answer.text, answer.model, chain.tried) == ("from three", "three:m", (1, 1, 1))
    assert answer.cost == pytest.approx(12e-6)
    await eventually(lambda: chain.outcomes)
    attempts = chain.outcomes[0].attempts
    assert [(attempt.model, attempt.error) for attempt in attempts] == [
        ("one:m", "provider_unavailable"),
        ("two:m", "provider_rate_limited"),
        ("three:m", None),
    ]
    assert attempts[2].usage == Usage(input_tokens=5, output_tokens=7)
    assert all(attempt.seconds >= 0 for attempt in attempts)


@both_ways
@pytest.mark.parametrize(
    "error",
    [
        down("one"),
        ProviderRateLimitedError("slow down", provider="one"),
        ProviderAuthError("no key", provider="one"),
        ProviderError("odd", provider="one"),
        UnknownModelError("the provider has retired it"),
        RuntimeError("something of the SDK's"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_another_may_do_better(chain: Chain, streamed: bool, error: Exception) -> None:
    chain.one.enqueue(error)
    chain.two.enqueue("from two")
    answer = await get(chain, streamed)
    assert (answer.text, answer.model, chain.tried) == ("from two", "two:m", (1, 1, 0))


@both_ways
@pytest.mark.parametrize(
    "error",
    [
        ContentRefusedError("no", provider="one"),
        InvalidRequestError("wrong", param="messages"),
        UnsupportedParameterError("cannot", param="tools"),
        ContextTooLongError("too long"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_another_would_only_hide_it(chain: Chain, streamed: bool, error: Exception) -> None:
    chain.one.enqueue(error)
    with pytest.raises(type(error)):
        await get(chain, streamed)
    assert chain.tried == (1, 0, 0)


@both_ways
async def test_a_name_that_the_caller_made_up_is_the_callers_to_mend(chain: Chain, streamed: bool) -> None:
    chain.one.enqueue(UnknownModelError("gone"))
    with pytest.raises(UnknownModelError):
        await get(chain, streamed, model="one:typo")
    assert chain.tried == (1, 0, 0)


class VendorError(Exception):
    """What an SDK raises."""


async def test_what_the_provider_makes_of_its_own_error_is_raised(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = UnknownModelError("this provider has no such model any more")
    monkeypatch.setattr(chain.one, "map_error", lambda error: gone)
    chain.one.enqueue(VendorError("404"))
    with pytest.raises(UnknownModelError) as caught:
        await chain.ask(model="one:new")
    assert isinstance(caught.value.__cause__, VendorError)


@both_ways
async def test_all_fail_with_what_the_first_said(chain: Chain, streamed: bool) -> None:
    for provider in (chain.one, chain.two, chain.three):
        provider.enqueue(down(provider.name))
    with pytest.raises(ProviderUnavailableError, match="one is down"):
        await get(chain, streamed)
    assert chain.tried == (1, 1, 1)
    await eventually(lambda: chain.outcomes)
    assert len(chain.outcomes[0].attempts) == 3


@both_ways
@pytest.mark.parametrize(
    "error",
    [UnsupportedParameterError("cannot", param="tools"), ContextTooLongError("too long"), UnknownModelError("gone")],
    ids=lambda error: type(error).__name__,
)
async def test_a_fallback_that_cannot_take_the_request_is_passed_over(
    chain: Chain, streamed: bool, error: Exception
) -> None:
    """The request is right for the model it named."""
    chain.one.enqueue(down("one"), down("one"))
    chain.two.enqueue(error, error)
    chain.three.enqueue("from three", down("three"))
    assert (await get(chain, streamed)).text == "from three"
    with pytest.raises(ProviderUnavailableError, match="one is down"):
        await get(chain, streamed)


async def test_a_fallback_refusal_is_final(chain: Chain) -> None:
    chain.one.enqueue(down("one"))
    chain.two.enqueue(ContentRefusedError("no", provider="two"))
    with pytest.raises(ContentRefusedError):
        await chain.ask()
    assert chain.tried == (1, 1, 0)


async def test_before_the_first_piece_the_caller_notices_nothing(chain: Chain) -> None:
    chain.one.enqueue(FakeReply(text="one two three", error=down("one"), error_after=0))
    chain.two.enqueue("from two")
    pieces, answer = await chain.listen()
    assert "".join(piece.text for piece in pieces) == answer.text == "from two"


async def test_a_model_that_is_asked_for_by_name_has_the_same_fallbacks(chain: Chain) -> None:
    chain.three.enqueue(down("three"))
    chain.one.enqueue("never asked")
    chain.two.enqueue("from two")
    answer = await chain.ask(model="three:m")
    assert (answer.model, chain.tried) == ("two:m", (0, 1, 1))


async def test_no_model_is_tried_twice(chain: Chain) -> None:
    chain.two.enqueue(down("two"))
    chain.three.enqueue(down("three"))
    with pytest.raises(ProviderUnavailableError, match="two is down"):
        await chain.ask(model="two:m")
    assert chain.tried == (0, 1, 1)


# --- an experiment with another model ----------------------------------------------------------------------


class ThirdModel:
    """A `PromptSource` that has an arm answered by `three:m`."""

    arm = ExperimentArm("models-1", "models", 0, "candidate", "s1")
    model: str | None = "three:m"
    varies = True

    def choose(self, turn: Turn, model: str) -> PromptChoice:
        return PromptChoice(BUILTIN, self.model, self.arm)


@both_ways
async def test_model_of_an_arm_answers_under_a_key_of_its_own(streamed: bool) -> None:
    source = ThirdModel()
    async with Chain(source) as chain:
        chain.three.enqueue("from three")
        assert (await get(chain, streamed)).model == "three:m"
        assert (await get(chain, streamed)).cache_tier == "l1"
        assert chain.tried == (0, 0, 1)
        await eventually(lambda: len(chain.outcomes) == 2)
        assert {(outcome.model, outcome.arm) for outcome in chain.outcomes} == {("three:m", ThirdModel.arm)}
        source.model = None
        chain.one.enqueue("from one")
        assert (await get(chain, streamed)).model == "one:m"


@both_ways
@pytest.mark.parametrize("error", [down("three"), UnsupportedParameterError("no tools", param="tools")])
async def test_model_of_an_arm_that_fails_leaves_the_turn_to_the_one_it_asked_for(
    streamed: bool, error: Exception
) -> None:
    async with Chain(ThirdModel()) as chain:
        chain.three.enqueue(error)
        chain.one.enqueue("from one")
        answer = await get(chain, streamed)
        assert (answer.model, chain.tried) == ("one:m", (1, 0, 1))
        await eventually(lambda: chain.outcomes)
        assert chain.outcomes[0].model == "three:m"
