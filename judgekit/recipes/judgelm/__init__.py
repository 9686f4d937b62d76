"""JudgeLM (arXiv 2310.17631): a judge distilled from a teacher's scores and reasons."""

from judgekit.recipes.judgelm.config import JudgeLMConfig

__all__ = ["JudgeLMConfig"]
