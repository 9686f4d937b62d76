"""What the pages name exists: files, links and the headings they lead to, modules and what is imported, tests."""

from __future__ import annotations

import ast
import functools
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
RECIPE_ROWS, BENCHMARK_ROWS = "Recipes", "Benchmarks"
"""Tables of the page on fidelity, by their headings."""


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


def fidelity(heading: str) -> list[list[str]]:
    """The cells of each row of a table."""
    page = (PROJECT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def named_tests(cell: str) -> list[tuple[Path, str]]:
    """Files and functions; a name without a file is in the file before it."""
    found, file = list[tuple[Path, str]](), ""
    for named in re.findall(r"`([^`]*)`", cell):
        path, _, function = named.partition("::")
        file = path or file
        found.append((PROJECT / file, function))
    return found


@functools.cache
def functions(file: Path) -> set[str]:
    """Names of a file's functions; the file is not imported."""
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("heading", [RECIPE_ROWS, BENCHMARK_ROWS])
def test_every_row_on_fidelity_names_tests_that_there_are(heading: str) -> None:
    rows = fidelity(heading)
    assert len(rows) > 20 and {len(row) for row in rows} == {4}
    for *row, cell in rows:
        tests = named_tests(cell)
        assert tests and re.fullmatch(r"`[^`]+`(, `[^`]+`)*", cell), row
        missing = [name for file, name in tests if not name.startswith("test_") or name not in functions(file)]
        assert missing == [], row
        assert heading != RECIPE_ROWS or row[2].startswith(("same", "differs", "unknown")), row


def test_literals_of_releases_stand_in_the_tests_named_beside_them() -> None:
    for *row, cell, tests in fidelity(BENCHMARK_ROWS):
        texts = [file.read_text(encoding="utf-8") for file, _ in named_tests(tests)]
        literals = re.findall(r"`([^`]+)`", cell)
        assert literals, row
        for literal in literals:
            # Not within a longer number
            whole = rf"(?<![\d.]){re.escape(literal)}(?!\.?\d)"
            assert any(re.search(whole, text) for text in texts), (row, literal)


@pytest.mark.parametrize(("heading", "group"), [(RECIPE_ROWS, "recipe"), (BENCHMARK_ROWS, "benchmark")])
def test_the_page_on_fidelity_leaves_out_no_recipe_and_no_benchmark(heading: str, group: str) -> None:
    named = {name for row in fidelity(heading) for name in re.findall(r"`(\w+)`", row[0])}
    without_release = {"starter", "followbencheval"}
    assert {file.stem for file in (PROJECT / "conf" / group).glob("*.yaml")} - without_release <= named
