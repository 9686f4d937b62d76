"""What the pages name exists: files, links and the headings they lead to, modules and what is imported from them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgekit.registry import GROUP

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDERS = ("NAME", "RECIPE")


def name(page: Path) -> str:
    return page.name


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives a page's headings."""
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def paths(text: str) -> Iterator[str]:
    """Paths of this project that stand in a text."""
    for found in re.findall(r"(?<![\w/.-])((?:judgekit|tests|conf|launchers|benchmarks|docs)/[\w./*-]*)", text):
        if not any(part in found for part in PLACEHOLDERS) and "*" not in found:
            yield found.rstrip(".")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_exist(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    assert [path for path in paths(text) if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"\w+:", link):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_of_modules_and_what_is_in_them_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`(judgekit(?:\.\w+)+)`", text)) - {GROUP}
    for code in PYTHON.findall(text):
        named |= {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("judgekit")
            for alias in node.names
        }
    assert [found for found in sorted(named) if not _there(found)] == []


def _there(dotted: str) -> bool:
    """Whether a dotted name is a module or something in one."""
    module, rest = dotted, list[str]()
    while module:
        try:
            thing = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            continue
        for part in rest:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme] == []
