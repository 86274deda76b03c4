"""The product's words: terms are in the glossary, and words that readers stumble over are not used."""

from __future__ import annotations

import re

import pytest

from tests.docs.words import ROOT, findings, modules, pages, part_of

TO_DO: frozenset[str] = frozenset(
    {
        "docs/answers.md",
        "docs/monitoring.md",
        "docs/tracing-otel.md",
        "plugins/tilores_plugins/providers",
        "plugins/tilores_plugins/sources",
        "tilores_core/chat",
        "tilores_core/cli",
        "tilores_core/identity",
        "tilores_core/jobs",
        "tilores_core/metrics",
        "tilores_core/worker",
    }
)
"""Parts that still use words that are not used elsewhere. A part that is clean must be removed from here."""

TERMS = (
    "ability|answer key|batch|cache tier|capture|circuit breaker|customer|customer source|deadline|entity|"
    "executor|extractor|fallback|filler|fingerprint|grounding|hedged call|hook|in-flight call|invalidation|lease|"
    "mention|namespace|observer|outcome|plugin|pre-warming|promotion|prompt version|provider|purpose|record|routing|"
    "scope|session|spec|spectrum|stale answer|tag|tier|tool mode|trace|tracer|trait|turn|upstream|worker process"
)


def _parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in (*modules(), *pages()):
        found.setdefault(part_of(path), []).extend(findings(path))
    return found


def test_words_that_are_not_used_here_are_in_no_clean_part() -> None:
    found = [text for part, texts in _parts().items() if part not in TO_DO for text in texts]
    assert not found, "\n" + "\n".join(found)


def test_parts_to_do_are_not_clean_yet() -> None:
    parts = _parts()
    clean = sorted(part for part in TO_DO if not parts.get(part))
    assert not clean, f"these are clean; remove them from TO_DO: {clean}"


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
