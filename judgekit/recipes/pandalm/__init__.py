"""PandaLM (arXiv 2306.05087): a small judge that learns a stronger model's verdicts, reasons and references."""

from judgekit.recipes.pandalm.config import PandaLMConfig

__all__ = ["PandaLMConfig"]
