"""What the user said in a conversation, read for mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tilores_core.chat.customer.choices import Said
from tilores_core.chat.customer.identifiers import Mentions, extract, readable
from tilores_core.chat.messages import text_of
from tilores_core.contracts import CustomerSource, Message, SupportsMentions

_MOST_MESSAGES = 40
_DIGIT = re.compile(r"\d")


class Conversation:
    """The last user messages, each read for mentions when first asked for."""

    def __init__(self, messages: Sequence[Message], *, source: CustomerSource, region: str) -> None:
        self._spots = source if isinstance(source, SupportsMentions) else None
        self._region = region
        self._said: list[tuple[str, str]] = []
        asked = ""
        for message in messages:
            role = message.get("role")
            if role == "user":
                self._said.append((text_of(message), asked))
                asked = ""
            elif role == "assistant":
                asked = text_of(message)
        self._said = self._said[-_MOST_MESSAGES:]
        self._read: dict[int, Mentions] = {}

    def __len__(self) -> int:
        return len(self._said)

    def mentions(self, i: int) -> Mentions:
        if i not in self._read:
            text = readable(self._said[i][0])
            known = self._spots.mentions(text) if self._spots is not None else ()
            self._read[i] = extract(text, region=self._region, mentions=known)
        return self._read[i]

    def date_of_birth(self, i: int) -> str | None:
        """As in `mentions`, but a message without a digit is not read for it."""
        return self.mentions(i).date_of_birth if _DIGIT.search(self._said[i][0]) else None

    def text(self, i: int) -> str:
        return self._said[i][0]

    def said(self, i: int) -> Said:
        text, asked = self._said[i]
        return Said(readable(text), self.mentions(i).dates, asked)
