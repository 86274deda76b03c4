"""What a model writes around its answer: its thoughts, and the marks of its own format."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NEVER: Final = "\0"  # closes nothing: it stands in no text
# Tags around thoughts, by the one that opens.
_THOUGHTS: Final = {
    **{
        f"<{name}{end}": f"</{name}>"
        for name in ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad")
        for end in "> "
    },
    **{f"<{name}>": f"</{name}>" for name in ("seed:think", "mm:think", "longcat_think", "antthinking")},
    '<details type="reasoning"': "</details>",
    "<|channel>thought": "<channel|>",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<unused94>": "<unused95>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<|channel|>analysis": "<|end|>",
    "<|channel|>commentary": "<|end|>",
    "<|channel|>final": "<|message|>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
# From here on a model plays the others of the conversation.
_OTHERS: Final = (
    *("<|im_start|>user", "<|start_header_id|>user", "<start_of_turn>user", "<|turn>user", "<|user|>"),
    *("<|observation|>", "<|header_start|>user"),
)
# They begin or end a turn of the model, and line breaks behind them are part of that.
_TURNS: Final = (
    *("<|start|>assistant", "<|message|>", "<|end|>", "<|return|>", "<|im_start|>assistant", "<|im_end|>", "</s>"),
    *("<|start_header_id|>assistant<|end_header_id|>", "<|header_start|>assistant<|header_end|>", "<|assistant|>"),
    *("<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|endoftext|>", "<|end_of_text|>", "<|end_of_turn|>"),
    *("<start_of_turn>model", "<end_of_turn>", "<|turn>model", "<turn|>", "<eos>", "<bos>"),
    *(f"<|{end}|>{name}<|sep|>" for end in ("open", "close") for name in ("response", "message")),
    *("<s>", "<|begin_of_text|>", "<|begin_of_solution|>", "<|end_of_solution|>"),
    *("<｜begin▁of▁sentence｜>", "<｜Assistant｜>"),
    *(
        "<think/>",
        "<think />",
        "<|end_of_turn_token|>",
        "<|start_response|>",
        "<|end_response|>",
        "<｜end▁of▁sentence｜>",
    ),
)
_MARKS: Final = ("<|begin_of_box|>", "<|end_of_box|>")
# Calls of tools, in the form that `written_calls` reads.
_CALLS: Final = ("<|channel|>commentary to=functions.", "<|start|>assistant to=functions.")
_CLOSES: Final = {
    **_THOUGHTS,
    **dict.fromkeys(_OTHERS, _NEVER),
    **dict.fromkeys(_CALLS, "<|call|>"),
}
_LATE: Final = frozenset(_THOUGHTS.values()) - frozenset(_TURNS)  # whose opening tag was part of the prompt
_TAGS: Final = (*_CLOSES, *_LATE, *_TURNS, *_MARKS)


def _any_of(tags: Iterable[str]) -> str:
    longest_first = sorted(tags, key=len, reverse=True)
    return "|".join(re.escape(tag) if tag[0] == "<" else f"(?-i:{re.escape(tag)})" for tag in longest_first)


_TAG: Final = re.compile(_any_of(_TAGS), re.IGNORECASE)
# What tells whether text before it was thoughts.
_TELLING: Final = re.compile(f"(?P<opens>{_any_of(_THOUGHTS)})|{_any_of(_LATE)}", re.IGNORECASE)
_BEGUN: Final = frozenset(tag[:size] for tag in _TAGS for size in range(1, len(tag)))
_LONGEST: Final = max(map(len, _TAGS))
_OPENS: Final = re.compile("[<[◁]")
_CLOSING: Final = {end: re.compile(re.escape(end), re.IGNORECASE) for end in (*_CLOSES.values(), "<|call|>")}
# Models mix these up, and write one within another.
_ALIKE: Final = re.compile(r"<(?:/|(?P<opens>))(?:think(?:ing)?|thought)>", re.IGNORECASE)
_CLOSING.update(dict.fromkeys(("</think>", "</thinking>", "</thought>"), _ALIKE))
_SPACE: Final = re.compile(r"\s*")
_LINES: Final = re.compile(r"\n*")
# Where an answer begins: gpt-oss's format without its marks.
_FIRST: Final = re.compile(r"\s*(?:(analysis)(?=[A-Z])|assistant(?=<\|channel\|>)|assistantfinal)")
_FIRST_WORDS: Final = ("assistant<|channel|>", "assistantfinal", "analysis ")
_LONGEST_FIRST: Final = max(map(len, _FIRST_WORDS))
_FINAL: Final = re.compile("assistantfinal")
# Models whose template begins within a thought, unless their server takes the thoughts out of the text.
_THINKS_FIRST: Final = re.compile(
    r"(?:^|[-/_:.])(?:r1|qwq|minimax-m2(?:\.\d+)?|think(?:ing|er)|reason(?:ing|er))(?:$|[-_:.])", re.IGNORECASE
)


def begins_in_thought(model: str) -> bool:
    """Is it, by its name, a model whose text may begin within a thought?"""
    return _THINKS_FIRST.search(model) is not None


class ThoughtFilter:
    """Feed the text of an answer to `add` and get back what of it is the answer; at its end `rest`.

    `calls`: tools were offered, so a call in gpt-oss's format is left in the text, with all that follows.
    `thinks_first`: the text may begin within a thought, so it is held until a tag or the end tells.

    `late`: the text so far was thoughts, whose opening tag was part of the prompt; `dropped`: the part of it that no
    call of `add` has given; `follows`: other thoughts had ended before it.
    """

    def __init__(self, *, calls: bool, thinks_first: bool) -> None:
        self._calls = calls
        self._held = ""  # what may be the beginning of a tag, or thoughts
        self._closing: re.Pattern[str] | None = None  # what ends the thoughts, while there are some
        self._trim: re.Pattern[str] | None = None  # what is left out until something else comes
        self._thinking: str | None = None  # thoughts that have not ended, where tools were offered
        self._open = int(thinks_first)  # thoughts around what is held
        self._waits = thinks_first
        self._looked = 0
        self._begun = False
        self._passes = False
        self.late = False
        self.dropped = ""
        self.follows = False
        self._ended = False  # a thought

    def add(self, text: str) -> str:
        self.late = False
        if self._passes:
            return text
        text, self._held = self._held + text, ""
        if not self._begun:
            begun = self._begin(text)
            if begun is None:
                self._held = text
                return ""
            text = begun
        if not (self._closing or self._trim or self._waits or "<" in text or "[" in text or "◁" in text):
            return text
        return self._filter(text)

    def rest(self) -> str:
        """What was held back and is part of the answer."""
        rest, self._held = self._held, ""
        if self._waits:
            self.expect_answer()
            rest = self._filter(rest)
            return rest + self.rest()
        if self._closing is not None:
            if self._thinking is not None:
                self._thinking += rest
            return ""
        tag = _TAG.match(rest)
        return rest[tag.end() :] if tag else rest

    def expect_answer(self) -> None:
        """What is held, and what comes, is not within a thought."""
        self._waits, self._open = False, 0

    @property
    def unclosed(self) -> str:
        """The thoughts that the answer ends in, where tools were offered: some models call them there."""
        return self._thinking or ""

    def _begin(self, text: str) -> str | None:
        """What is to be read of the answer's beginning, None while it is not known how it begins."""
        start = text.lstrip()
        if len(start) <= _LONGEST_FIRST and any(words.startswith(start) for words in _FIRST_WORDS):
            return None
        self._begun = True
        if first := _FIRST.match(text):
            self._closing = _FINAL if first[1] else None
            return text[first.end() :]
        return text

    def _filter(self, text: str) -> str:
        spoken: list[str] = []
        at = 0  # where the text is that has not been looked at
        while at < len(text):
            if self._waits:
                found = _TELLING.search(text, max(at, self._looked))
                self._looked = 0
                if found is None:
                    self._held, self._looked = text[at:], len(text) - at - _LONGEST
                    break
                if found.lastgroup:
                    self.expect_answer()
                else:
                    self._drop(text[at : found.start()])
                    at = found.end()
                    self._end_thought()
                continue
            if self._closing is not None:
                found = self._closing.search(text, at)
                if found is None:
                    self._held = text[max(at, len(text) - _LONGEST) :]  # the tag may be in it in part
                    if self._thinking is not None:
                        self._thinking += text[at : len(text) - len(self._held)]
                    break
                if found.lastgroup:
                    self._open += 1
                    if self._thinking is not None:
                        self._thinking += text[at : found.end()]
                    at = found.end()
                    continue
                at, self._closing, self._thinking = found.end(), None, None
                self._end_thought()
                continue
            if self._trim is not None:
                space = self._trim.match(text, at)
                at = space.end() if space else at
                self._trim = self._trim if at == len(text) else None
                continue
            opens = _OPENS.search(text, at)
            if opens is None:
                spoken.append(text[at:])
                break
            spoken.append(text[at : opens.start()])
            at = opens.start()
            if len(text) - at < _LONGEST and (text[at:] in _BEGUN or text[at:].lower() in _BEGUN):
                self._held = text[at:]
                break
            tag = _TAG.match(text, at)
            if tag is None:
                spoken.append(text[at])
                at += 1
                continue
            name = tag.group() if tag.group() in _CLOSES else tag.group().lower()
            if name in _CALLS and self._calls:
                self._passes = True
                spoken.append(text[at:])
                break
            at = tag.end()
            if (closes := _CLOSES.get(name)) is not None:
                self._closing, self._open = _CLOSING[closes], 1
                self._thinking = "" if self._calls and name in _THOUGHTS else None
            elif name in _LATE:
                self._drop("".join(spoken))
                self.late, self._trim = True, _SPACE
                spoken.clear()
            else:
                self._trim = _LINES if name in _TURNS else None
        return "".join(spoken)

    def _end_thought(self) -> None:
        """Within another one: what comes may still be a thought."""
        self._open -= 1
        self._waits, self._trim, self._ended = self._open > 0, _SPACE, True

    def _drop(self, text: str) -> None:
        self.dropped, self.follows = text, self._ended
