from __future__ import annotations

import re

from tilores_core import Prompt
from tilores_core.chat.prompts import (
    BUILTIN,
    BUILTIN_PARTS,
    BUILTIN_TEMPLATE,
    GUIDANCE,
    NO_CUSTOMER,
    ORDER,
    PLACEHOLDER,
    build_prompt,
    system_message,
)
from tilores_core.spectrums import SPECTRUMS


def test_the_builtin_prompt_is_version_one_named_by_its_text() -> None:
    assert re.fullmatch("1-[0-9a-f]{12}", BUILTIN.version)
    assert set(ORDER) <= set(BUILTIN.parts)


def test_every_text_of_a_prompt_is_in_its_version() -> None:
    versions = {build_prompt(1, BUILTIN_PARTS).version, build_prompt(2, BUILTIN_PARTS).version}
    for name in (*BUILTIN_PARTS, "guidance.general"):
        versions.add(build_prompt(1, {**BUILTIN_PARTS, name: "Another."}).version)
    assert len(versions) == 2 + len(BUILTIN_PARTS) + 1
    other_order = dict(sorted(BUILTIN_PARTS.items(), reverse=True))
    assert build_prompt(1, other_order).version == build_prompt(1, BUILTIN_PARTS).version


def test_the_parts_stand_in_order_before_guidance_and_customer() -> None:
    prompt = build_prompt(3, {"hedging": "H", "role": "R\n", "guidance.credit_analysis": " G "})
    assert prompt.template == "R\n\nH\n\n{guidance}\n\n{customer}\n"
    assert prompt.for_spectrum("credit_analysis").template == "R\n\nH\n\nG\n\n{customer}\n"
    assert prompt.for_spectrum("general").template == "R\n\nH\n\n{customer}\n"
    assert prompt.for_spectrum("credit_analysis").version == prompt.version


def test_a_part_may_place_guidance_and_customer_itself() -> None:
    prompt = build_prompt(3, {"role": "A {customer} B {guidance} C", "guidance.general": "G"})
    assert prompt.for_spectrum("general").template == "A {customer} B G C\n"


def test_the_guidance_for_a_spectrum_names_a_spectrum() -> None:
    names = {spectrum.name for spectrum in SPECTRUMS}
    assert {name.removeprefix(GUIDANCE) for name in BUILTIN_PARTS if name.startswith(GUIDANCE)} <= names
    assert set(BUILTIN_PARTS) - {name for name in BUILTIN_PARTS if name.startswith(GUIDANCE)} == set(ORDER)


def test_the_builtin_template_has_one_place_for_the_customer() -> None:
    assert BUILTIN_TEMPLATE.count(PLACEHOLDER) == 1


def test_records_are_put_in_unread() -> None:
    records = "note: {customer} {0} {x!r} %s \\1"
    assert (
        system_message(Prompt(version="v", template="A {b} {customer} C {}"), records) == f"A {{b}} {records} C {{}}"
    )


def test_without_a_customer_it_says_so() -> None:
    text = system_message(BUILTIN, None)
    assert NO_CUSTOMER in text
    assert PLACEHOLDER not in text
    assert "{guidance}" not in text
    assert "<records customer=" not in text


def test_a_template_without_a_place_still_gets_the_records() -> None:
    assert system_message(Prompt(version="v", template="Be kind.\n"), "city: Leeds") == "Be kind.\n\ncity: Leeds"


def test_an_empty_customer_text_is_not_an_unknown_customer() -> None:
    assert system_message(Prompt(version="v", template="A{customer}B"), "") == "AB"
