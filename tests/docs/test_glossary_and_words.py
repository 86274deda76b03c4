"""The product's words: terms are in the glossary, and words that readers stumble over are not used."""

from __future__ import annotations

import re

import pytest

from tests.docs.words import ROOT, findings, modules, pages

TERMS = (
    "ability|answer key|batch|cache tier|capture|circuit breaker|customer|customer source|deadline|entity|"
    "executor|extractor|fallback|filler|fingerprint|grounding|hedged call|hook|in-flight call|invalidation|lease|"
    "mention|namespace|observer|outcome|plugin|pre-warming|promotion|prompt version|provider|purpose|record|routing|"
    "scope|session|spec|spectrum|stale answer|tag|tier|tool mode|trace|tracer|trait|turn|upstream|worker process"
)


def test_words_that_are_not_used_here_are_nowhere() -> None:
    found = [text for path in (*modules(), *pages()) for text in findings(path)]
    assert not found, "\n" + "\n".join(found)


def test_glossary_has_every_term_once_in_one_line_and_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    terms = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.MULTILINE)[1:]
    terms = [term for term in terms if not term.startswith("---")]
    assert terms == sorted(set(terms), key=str.lower)
    missing = set(TERMS.split("|")) - set(terms)
    assert not missing


@pytest.mark.parametrize("page", [path.name for path in pages() if path.parent.name == "docs"])
def test_pages_that_use_terms_link_to_the_glossary(page: str) -> None:
    if page == "glossary.md":
        return
    text = (ROOT / "docs" / page).read_text()
    assert "glossary.md" in text, "link to glossary.md where the first term of the product is used"
