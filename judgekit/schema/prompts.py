"""``prompt``: one dataclass per protocol (how to ask and how to read the reply)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class EvalPlannerPrompt:
    """``prompt=evalplanner``: plan, execute, decide."""

    name: Literal["evalplanner"] = setting("evalplanner", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots, tags and output format are the same")
    plan_style: Literal["unconstrained", "criteria", "questions"] = setting(
        "unconstrained", "what the plan prompt asks for (EvalPlanner §5, plan types)"
    )


@dataclass(frozen=True)
class SelfTaughtPrompt:
    """``prompt=self_taught``: reason about two answers, then ``[[A]]`` or ``[[B]]``."""

    name: Literal["self_taught"] = setting("self_taught", "protocol")
    style: Literal["full", "criteria", "brief"] = setting(
        "full",
        "wording; slots and output format are the same. full: explain and decide; criteria: look for errors, name "
        "criteria, check each, decide, as the released eval_plan prompt; brief: for small models",
    )


PromptConfig = EvalPlannerPrompt | SelfTaughtPrompt
"""Union of the protocols' dataclasses; ``prompt.name`` says which one a configuration holds."""

PROMPTS: dict[str, type[PromptConfig]] = {"evalplanner": EvalPlannerPrompt, "self_taught": SelfTaughtPrompt}
