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


PromptConfig = EvalPlannerPrompt
"""Union of the protocols' dataclasses; ``prompt.name`` says which one a configuration holds."""

PROMPTS: dict[str, type[PromptConfig]] = {"evalplanner": EvalPlannerPrompt}
