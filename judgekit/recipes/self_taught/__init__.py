"""Self-Taught Evaluators (arXiv 2408.02666): a judge from its own judgments on pairs built to have a right answer."""

from judgekit.recipes.self_taught.config import SelfTaughtConfig

__all__ = ["SelfTaughtConfig"]
