"""EvalPlanner (arXiv 2501.18099): a judge that plans an evaluation, executes the plan, and decides."""

from judgekit.recipes.evalplanner.config import EvalPlannerConfig

__all__ = ["EvalPlannerConfig"]
