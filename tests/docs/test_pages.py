"""Links, names and folders that the pages speak of are there; what has no place in public files is not."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import tilores_core
from tests.docs.markdown_blocks import ROOT, pages

LINK = re.compile(r"\[[^\]\[]*\]\((?P<path>[^)\s#]*)(?:#(?P<anchor>[^)\s]+))?\)")
# In pieces, so that this file does not hold them itself.
NOT_PUBLIC = re.compile(
    "|".join(
        [
            "/" + r"work/main\b",
            "/" + r"root/",
            "/" + r"home/\w",
            "/" + r"Users/\w",
            "/" + r"tmp/[a-z]/",
            r"registry" + r"\.",
            "python" + r"hosted\.org",
            "pypi" + r"\.",
            "npm" + r"js\.",
            "artifact" + "ory",
            "index-" + r"url\s*[= ]\s*http",
        ]
    )
)


def _anchor(heading: str) -> str:
    """As the usual Markdown viewers make it."""
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(page.read_text()):
        if re.match(r"[a-z]+:", link["path"]):
            continue
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), f"{page.name}: {link[0]}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link[0]}"
        if link["anchor"]:
            assert link["anchor"] in _anchors(target), f"{page.name}: {link[0]}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {link["path"] for link in LINK.finditer((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def _public_files() -> list[Path]:
    """What is under version control or would be added to it."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no git checkout here")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_and_no_package_registry_is_named() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in _public_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if (match := NOT_PUBLIC.search(line))
    ]
    assert found == []


def test_the_changelog_knows_this_version() -> None:
    headings = re.findall(r"^## (?:\[)?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings, "no version at all"
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings.count("Unreleased") <= 1
    assert len(released) == len(set(released))
    assert "Unreleased" in headings[:1] or tilores_core.__version__ == released[0]


def test_each_public_name_is_there_once_and_under_its_own_name() -> None:
    tree = ast.parse((ROOT / "tilores_core" / "__init__.py").read_text())
    given = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [alias.name for alias in given if alias.asname != alias.name] == [], "mypy needs `A as A`"
    assert len(given) == len({alias.name for alias in given})
    assert [alias.name for alias in given if not hasattr(tilores_core, alias.name)] == []


def test_the_map_shows_the_folders_that_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = re.search(r"## The folders\n\n(.*?)\n\n", text, re.DOTALL)
    assert tree is not None
    shown: set[Path] = set()
    parents = [ROOT]
    for line in tree[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 2
        if depth > 3:
            continue  # the rest of a description
        first, *others = line.split()
        files = others if all("." in word or word.isupper() or word == "Makefile" for word in others) else []
        for name in (first, *files):
            path = parents[depth] / name
            assert path.exists(), f"docs/architecture.md shows {name}, which is not there"
            shown.add(path)
        parents[depth + 1 :] = [parents[depth] / first]
    for folder in (ROOT / "tilores_core", ROOT / "tilores_core" / "chat", ROOT / "plugins" / "tilores_plugins"):
        there = {path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert there <= shown, f"docs/architecture.md lacks {sorted(path.name for path in there - shown)}"


def test_the_layers_are_those_that_are_checked() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    shown = re.search(r"^    (errors.*?  <.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert shown is not None
    (contract,) = [
        contract
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    checked = [
        {module.strip().removeprefix("tilores_core.") for module in layer.split(":")}
        for layer in reversed(contract["layers"])
    ]
    assert [{name.strip() for name in layer.split(",")} for layer in shown[1].split("<")] == checked
