from __future__ import annotations

import hashlib

from tilores_core import Prompt, PromptSource, Turn
from tilores_core.chat.prompts import BUILTIN_TEMPLATE, NO_CUSTOMER, PLACEHOLDER, BuiltinPrompts, system_message

TURN = Turn(messages=({"role": "user", "content": "Hello"},))


def test_the_builtin_prompt_is_versioned_by_its_text() -> None:
    source: PromptSource = BuiltinPrompts()
    prompt = source.choose(TURN)
    assert prompt.template == BUILTIN_TEMPLATE
    assert prompt.version == "builtin-" + hashlib.sha256(BUILTIN_TEMPLATE.encode()).hexdigest()[:12]
    assert source.choose(TURN) is prompt
    assert BuiltinPrompts("Another. {customer}").choose(TURN).version != prompt.version


def test_a_turns_own_prompt_wins() -> None:
    own = Prompt(version="v7", template="Mine: {customer}")
    assert BuiltinPrompts().choose(Turn(messages=TURN.messages, prompt=own)) is own


def test_the_builtin_template_has_one_place_for_the_customer() -> None:
    assert BUILTIN_TEMPLATE.count(PLACEHOLDER) == 1


def test_records_are_put_in_unread() -> None:
    records = "note: {customer} {0} {x!r} %s \\1"
    assert (
        system_message(Prompt(version="v", template="A {b} {customer} C {}"), records) == f"A {{b}} {records} C {{}}"
    )


def test_without_a_customer_it_says_so() -> None:
    text = system_message(BuiltinPrompts().choose(TURN), None)
    assert NO_CUSTOMER in text
    assert PLACEHOLDER not in text
    assert "<records customer=" not in text


def test_a_template_without_a_place_still_gets_the_records() -> None:
    assert system_message(Prompt(version="v", template="Be kind.\n"), "city: Leeds") == "Be kind.\n\ncity: Leeds"


def test_an_empty_customer_text_is_not_an_unknown_customer() -> None:
    assert system_message(Prompt(version="v", template="A{customer}B"), "") == "AB"
