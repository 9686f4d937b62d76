"""CritiqueLLM (arXiv 2311.18702): a judge of single answers and of pairs, from a teacher's critiques."""

from judgekit.recipes.critiquellm.config import CritiqueLLMConfig

__all__ = ["CritiqueLLMConfig"]
