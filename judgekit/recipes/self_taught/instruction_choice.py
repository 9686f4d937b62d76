"""Balanced selection of classified instructions (Self-Taught Evaluators, arXiv 2408.02666, instruction selection)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from judgekit.randomness import draw_bits
from judgekit.recipes.self_taught.classification import Classification
from judgekit.recipes.self_taught.config import SelectionConfig
from judgekit.rows import Instruction


def choose(
    instructions: Sequence[Instruction], classes: Mapping[str, Classification], rules: SelectionConfig, seed: int
) -> tuple[list[Instruction], Counter[str]]:
    """Instructions of the wanted categories and complexities, at most so many of each category, in their order.

    :param classes: classifications by instruction id; an instruction without one is dropped
    :return: what is kept, and how many were dropped by reason
    """
    dropped: Counter[str] = Counter()
    by_category: dict[str, list[Instruction]] = {}
    for row in instructions:
        found = classes.get(row.id, Classification(None, None, "not classified"))
        reason = _unwanted(found, rules)
        if reason is not None:
            dropped[reason] += 1
        else:
            by_category.setdefault(str(found.category), []).append(row)
    chosen: set[str] = set()
    for category, rows in by_category.items():
        ranked = sorted(rows, key=lambda row: draw_bits(seed, row.id, "select"))
        count = len(rows) if rules.per_category is None else min(len(rows), rules.per_category)
        chosen |= {row.id for row in ranked[:count]}
        dropped[f"over recipe.selection.per_category: {category}"] += len(rows) - count
    dropped += Counter()  # forget zero counts
    return [row for row in instructions if row.id in chosen], dropped


def _unwanted(found: Classification, rules: SelectionConfig) -> str | None:
    """Why an instruction is not selected; None when it may be."""
    if found.category is None or found.complexity is None:
        return f"classification: {found.invalid}"
    if rules.keep is not None and found.category not in rules.keep:
        return f"category: {found.category}"
    if not rules.complexity_min <= found.complexity <= rules.complexity_max:
        return f"complexity: {found.complexity}"
    return None
