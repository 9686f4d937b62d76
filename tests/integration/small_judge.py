"""Rows that teach the real seed model to judge in the protocol's form within a few steps."""

from __future__ import annotations

from judgekit.data.sources import starter_instructions
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import Demonstration, Order, Preference, ResponsePair

STEPS = 20
BATCH = 4
PROTOCOL = EvalPlanner(EvalPlannerPrompt(style="brief"))
TURNS: tuple[tuple[Order, str], ...] = (("ab", "A"), ("ba", "B"))


def pairs(first: int, count: int) -> list[ResponsePair]:
    """Pairs whose better answer names the question."""
    rows = starter_instructions()[first : first + count]
    return [ResponsePair(row.id, row.text, f"About: {row.text}", f"About: {row.near_miss}", "A") for row in rows]


def demonstrations() -> list[Demonstration]:
    """Judgments that quote the question, so that replies differ by prompt; both verdicts, in turns."""
    rows = []
    for place, pair in enumerate(pairs(0, BATCH * STEPS)):
        order, position = TURNS[place % 2]
        rows.append(Demonstration(pair.id, PROTOCOL.judge_prompt(pair, order), _judgment(pair, position)))
    return rows


def preferences(count: int) -> list[Preference]:
    """The right verdict against the wrong one."""
    rows = []
    for place, pair in enumerate(pairs(0, count)):
        order, position = TURNS[place % 2]
        other = "B" if position == "A" else "A"
        prompt = PROTOCOL.judge_prompt(pair, order)
        rows.append(Preference(pair.id, prompt, _judgment(pair, position), _judgment(pair, other)))
    return rows


def _judgment(pair: ResponsePair, position: str) -> str:
    return PROTOCOL.stitch(f"Question: {pair.instruction}", "Compared.", position)
