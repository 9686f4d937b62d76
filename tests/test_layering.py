"""Who imports whom: no circles, and every arrow points down the layers of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import judgekit

PACKAGE = Path(judgekit.__file__).parent
Edge = tuple[str, str]
Place = Literal["module", "function"]

CHECKS = (
    "schema.rules", "schema.checks", "schema.shared_checks", "schema.eval_checks", "schema.composition", "schema.nodes",
    "schema.keys", "schema.overrides", "schema.origins", "schema.repository", "recipes.*.checks",
)  # fmt: skip
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "randomness", "locks", "costs", "papers", "kernels"),
    ("registry", "stats", "rows", "weights", "run_folder", "run_results"),
    ("verdict_rows", "score_rows", "store"),
    ("schema",),
    ("bias",),
    ("schema.bias",),
    ("losses", "models", "samplers"),
    ("prompts",),
    ("schema.judges",),
    ("schema.teachers",),
    ("preferences", "sampling"),
    ("data", "training"),
    ("evaluation",),
    ("judges",),
    ("recipes.base",),
    ("recipes.*.config",),
    ("schema.config", "schema.evaluation"),
    CHECKS,
    ("sweep_folder",),
    ("sweeps.slurm",),
    ("named_judge", "tracking", "sweeps.status"),
    ("report", "stages"),
    ("recipes",),
    ("export", "evaluator", "runner", "planning", "file_judging", "api"),
    ("sweeps",),
    ("app", "commands"),
    ("cli",),
    ("judgekit",),
)
"""Rooms from low to high; a room imports what is below it, and rooms of one layer do not know each other."""


def modules() -> dict[str, Path]:
    """Modules by dotted name below ``judgekit``; a package stands under its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "judgekit"] = path
    return found


MODULES = modules()


def imports(tree: ast.AST, place: Place = "module") -> Iterator[tuple[Place, str]]:
    """Modules of judgekit that are imported, at once or inside functions; those for annotations alone do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.partition(".")[0] == "judgekit":
                inside = name.removeprefix("judgekit").removeprefix(".")
                while inside not in MODULES and inside:
                    inside = inside.rpartition(".")[0]
                yield place, inside or "judgekit"
        yield from imports(node, "function" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else place)


def edges() -> dict[Place, set[Edge]]:
    """(importer, imported) by where the import stands."""
    found: dict[Place, set[Edge]] = {"module": set(), "function": set()}
    for name, path in MODULES.items():
        for place, target in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if target != name:
                found[place].add((name, target))
    return found


EDGES = edges()


def room(module: str) -> str:
    """The room of a module: the longest name of ``LAYERS`` that it begins with, ``*`` standing for any name."""
    rooms = [name for layer in LAYERS for name in layer if fnmatch(module, name) or fnmatch(module, f"{name}.*")]
    assert rooms, f"{module} belongs to no layer: add it to LAYERS and to docs/architecture.md"
    return max(rooms, key=len)


def layer(module: str) -> int:
    """Its layer, 0 the lowest. All checks of configurations are one room."""
    return next(number for number, rooms in enumerate(LAYERS) if room(module) in rooms)


def runs_up(edge: Edge) -> bool:
    """Whether an import leads to a room that is not below."""
    (one, two), checks = edge, {room(module) in CHECKS for module in edge}
    return room(one) != room(two) and checks != {True} and layer(two) >= layer(one)


def circles(found: set[Edge]) -> list[list[str]]:
    """Modules that import each other, over whatever others; importing a module also runs its packages."""
    below: dict[str, set[str]] = {name: set() for name in MODULES}
    for one, two in found:
        packages = [two[: match.start()] for match in re.finditer(r"\.", two)]
        below[one] |= {two, *(name for name in packages if not f"{one}.".startswith(f"{name}."))}
    reached = {name: set(targets) for name, targets in below.items()}
    for middle in MODULES:
        for name in MODULES:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    return sorted({tuple(sorted(two for two in reached[one] if one in reached[two])) for one in MODULES} - {()})


def test_the_page_lists_the_same_rooms_in_the_same_order() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| rooms | what they hold |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [tuple(re.findall(r"`([^`]+)`", row.split("|")[1])) for row in table] == list(LAYERS)


def test_no_modules_import_each_other() -> None:
    assert circles(EDGES["module"]) == []


def test_imports_point_down() -> None:
    assert [edge for edge in EDGES["module"] if runs_up(edge)] == []


def test_imports_inside_functions_point_down_too() -> None:
    assert [edge for edge in EDGES["function"] - EDGES["module"] if runs_up(edge)] == []


def test_statistics_know_nothing_of_judges() -> None:
    targets = {two for one, two in EDGES["module"] | EDGES["function"] if room(one) == "stats" != room(two)}
    assert targets <= {"errors", "randomness"}
