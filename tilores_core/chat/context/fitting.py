"""How much of a customer's records fits a model, and the system message with just that much.

The records get what a model's context window leaves after the conversation, the prompt and the answer, but never more
than a share of the window: a model that reads ten times as much is slower, and its answers are not better. Records
that fit, which nearly all do, are used as they were rendered once; others are shortened for each model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.messages import text_of
from tilores_core.chat.prompts import system_message
from tilores_core.chat.records import shorten
from tilores_core.contracts import Message, ModelInfo, Prompt, Turn

if TYPE_CHECKING:
    from tilores_core.chat.models import Models

_ANSWER: Final = 1_024  # tokens kept for an answer when nobody says how long it may be
_LARGEST_ANSWER_SHARE: Final = 0.25  # of the window, when the model says how much it can write, as that may be all
_PER_MESSAGE: Final = 8  # what a protocol adds
_PER_PART: Final = 1_600  # an image, as the models with the largest count for one count it


class TokenBudgets:
    """The token budgets of models.

    `share`: the largest share of a context window for records. `windows`: in tokens by model, used before what the
    provider declares; `window`: for models that declare none.
    """

    def __init__(self, models: Models, *, share: float, window: int, windows: Mapping[str, int]) -> None:
        self._models = models
        self._share = share
        self._window = window
        self._windows = windows

    def window(self, model: str) -> int:
        """The context window of a model (`provider:model`) in tokens."""
        given = self._windows.get(model)
        info = self._models.info(model)
        return given or (info.context_window if info is not None else None) or self._window

    def cache_key_part(self, model: str) -> str:
        """The settings that decide how much of a customer a model is given; part of every answer's key."""
        return f"{self.window(model)}/{self._share:g}"

    def system(
        self, turn: Turn, prompt: Prompt, text: str | None, tokens: int, spectrum: str
    ) -> Callable[[str], str]:
        """A model's system message, by its name. `text`: the records (of `tokens`), or None without a customer."""
        return partial(self._system, turn, prompt, text, tokens, spectrum)

    def _system(self, turn: Turn, prompt: Prompt, text: str | None, tokens: int, spectrum: str, model: str) -> str:
        if text is not None and tokens > (room := self.free(model, turn, prompt)):
            text = shorten(text, room, spectrum=spectrum, measure=estimate_tokens)
        return system_message(prompt, text)

    def free(self, model: str, turn: Turn, prompt: Prompt) -> int:
        """Tokens that prompt, conversation and answer leave for records; at least 0."""
        window = self.window(model)
        answer = _answer_tokens(turn.parameters, self._models.info(model), window)
        return max(0, min(int(window * self._share), window - answer - _taken_tokens(turn, prompt)))


def _taken_tokens(turn: Turn, prompt: Prompt) -> int:
    """What prompt, conversation and tools need."""
    tools = turn.parameters.get("tools")
    return (
        estimate_tokens(prompt.template)
        + sum(map(_message_tokens, turn.messages))
        + (estimate_tokens(orjson.dumps(tools, default=str).decode()) if tools else 0)
    )


def _message_tokens(message: Message) -> int:
    content = message.get("content")
    parts = (
        sum(part.get("type", "text") not in ("text", "input_text") for part in content)
        if isinstance(content, list)
        else 0
    )
    calls = message.get("tool_calls")
    return (
        _PER_MESSAGE
        + estimate_tokens(text_of(message))
        + parts * _PER_PART
        + (estimate_tokens(orjson.dumps(calls, default=str).decode()) if calls else 0)
    )


def _answer_tokens(parameters: Any, info: ModelInfo | None, window: int) -> int:
    asked = parameters.get("max_completion_tokens") or parameters.get("max_tokens")
    if isinstance(asked, int) and asked > 0:
        return min(asked, window)
    most = info.max_output_tokens if info is not None else None
    return int(min(most or _ANSWER, _ANSWER * 4, window * _LARGEST_ANSWER_SHARE))
